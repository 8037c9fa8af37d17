"""What `fit` optimises: a 4D field against the fit views and fit times of a truth bundle."""

import numpy as np
import torch
from torch import Tensor

from animate124 import runtime
from animate124.errors import UserError
from animate124.fields.build import build_field
from animate124.geometry.cameras import rays_through
from animate124.render.volume import render_images
from animate124.settings.fit import FitSettings
from animate124.stages.scene_task import SceneTask
from animate124.toybox.bundle import Bundle


class FitTask(SceneTask):
    """Photometric fit: pixels are compared over random backgrounds, so colour and alpha of the
    truth both count; nothing else of the bundle is used."""

    name = "fit"

    def __init__(self, bundle: Bundle, settings: FitSettings, device: str) -> None:
        for part in ("fit_views", "held_out_views", "fit_frames", "held_out_frames"):
            if len(getattr(bundle, part)) == 0:
                raise UserError(
                    f"The truth bundle {bundle.folder} has no {part.replace('_', ' ')}: render it "
                    "again with --force."
                )
        frames = bundle.fit_frames
        if settings.frame is not None:
            if settings.frame >= len(frames):
                raise UserError(
                    f"frame={settings.frame} is beyond the {len(frames)} fit frames of "
                    f"{bundle.folder}: give 0 to {len(frames) - 1}."
                )
            frames = frames[settings.frame : settings.frame + 1]
        self.frames = frames
        # A static field knows no time: its one slice answers at t = 0.
        static = settings.frame is not None
        self.times = torch.zeros(1) if static else bundle.times[frames].float()
        slices = 1 if static else settings.field.slices or len(frames)
        self.cameras = bundle.cameras[bundle.fit_views].to(device)
        rgba = bundle.rgba[bundle.fit_views][:, frames].float() / 255
        rgba[..., :3] *= rgba[..., 3:]
        self.pixels = rgba.flatten(2, 3).to(device)  # [views, frames, pixels, 4], premultiplied
        init = runtime.generator(settings.train.seed, "fit", "init")
        field, occupancy = build_field(settings.field, slices, bundle.record.loop, init)
        super().__init__(settings, device, field, occupancy, settings.field.step)

    def loss(self, step: int) -> dict[str, Tensor]:
        generator = self._generator("rays", step)
        settings, device = self.settings, self.device
        groups = min(settings.frames_per_step, len(self.frames))
        per_pixel = settings.subsamples**2
        count = max(settings.rays // per_pixel // groups, 1)
        frame = torch.randperm(len(self.frames), generator=generator, device=device)[:groups]
        view = torch.randint(len(self.cameras), (groups, count), generator=generator, device=device)
        pixel = torch.randint(
            self.pixels.shape[2], (groups, count), generator=generator, device=device
        )
        xy = self._subpixels(pixel, generator)
        origins, directions = rays_through(
            self.cameras, view[..., None].expand(xy.shape[:-1]).flatten(1), xy.flatten(1, 2)
        )
        times = self.times[frame.cpu()]
        result = self.render(times, origins, directions, generator)
        target = self.pixels[view, frame[:, None], pixel].reshape(-1, 4)
        background = torch.rand(len(target), 3, generator=generator, device=device)
        colour = result.colour.reshape(-1, per_pixel, 3).mean(1)
        opacity = result.opacity.reshape(-1, per_pixel).mean(1)[:, None]
        error = colour + (1 - opacity) * background
        error = error - (target[:, :3] + (1 - target[:, 3:]) * background)
        return {"rgb": error.square().mean(), "spread": settings.spread * result.spread()}

    def _subpixels(self, pixel: Tensor, generator: torch.Generator) -> Tensor:
        """Jittered points [G, n, s², 2] on an s × s grid inside pixels [G, n]."""
        s, width = self.settings.subsamples, self.cameras.width
        cell = torch.arange(s * s, device=self.device)
        corner = torch.stack([cell % s, cell // s], -1)
        jitter = torch.rand(*pixel.shape, s * s, 2, generator=generator, device=self.device)
        place = torch.stack([pixel % width, pixel // width], -1)
        return place[..., None, :] + (corner + jitter) / s

    def preview(self, step: int) -> Tensor:
        """Truth beside result of one fit view, another one every time."""
        turn = step // max(self.settings.train.preview_every, 1)
        view, frame = turn % len(self.cameras), turn % len(self.frames)
        size = self.cameras.height, self.cameras.width
        truth = self.pixels[view, frame].reshape(*size, 4)
        truth = truth[..., :3] + 1 - truth[..., 3:]
        image = render_images(
            self.field,
            self.occupancy,
            self.times[frame : frame + 1],
            self.cameras[view],
            self.settings.field.step,
        )["rgb"][0]
        return torch.cat([truth, image.clamp(0, 1)], 1)


def truth_image(bundle: Bundle, view: int, frame: int) -> np.ndarray:
    """Image [H, W, 3] of a bundle over white."""
    rgba = bundle.rgba[view, frame].float() / 255
    return (rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]).numpy()
