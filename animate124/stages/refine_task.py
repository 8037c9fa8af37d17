"""What `refine` optimises: a moving scene's detail, by a ControlNet that sharpens its own views.

The published stage renders all 16 frames of a frozen copy at every step to use two of them, always
the same two, and after a restart that copy is the half refined scene. Here a pool of views of the
coarse scene at random moments is rendered once, and a step draws from it.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from animate124 import runtime
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, azimuth_elevation_radius
from animate124.geometry.trajectories import random_views
from animate124.priors import distill
from animate124.priors.guidance import Guidance
from animate124.priors.tile_control import TileControl
from animate124.priors.timesteps import TimestepRange
from animate124.priors.views import view_embedding, view_prompts
from animate124.render.volume import render_images
from animate124.settings.refine import RefineSettings
from animate124.stages.picture import Picture
from animate124.stages.scene_task import SceneTask

SHOWN = 4  # views in a preview


class RefineTask(SceneTask):
    """Detail for a moving scene.

    Args:
        picture: what t = 0 looks like from its camera.
        field, occupancy: the coarse scene as it was stored, K time slices; changed in place, after
            its views were rendered.
        march: distance between samples along a ray, world units.
        tile: needed where the weight `tile` is not 0.
        prompt: with the learnt word, in the prior's language.

    Raises:
        ValueError: a prior that is needed and missing.
    """

    name = "refine"

    def __init__(
        self,
        picture: Picture,
        field: RadianceField,
        occupancy: OccupancyGrid,
        march: float,
        settings: RefineSettings,
        *,
        tile: TileControl | None = None,
        prompt: str = "",
    ) -> None:
        super().__init__(settings, picture.device, field, occupancy, march)
        self.picture, self.tile = picture, tile
        if settings.tile:
            if tile is None:
                raise ValueError("the weight tile is not 0: give a tile-control prior")
            self.text = tile.encode_text(view_prompts(prompt))
            self.negative = tile.encode_text([settings.negative])
            self.control = tile.encode_text([settings.control]) if settings.control else None
        self.timesteps = TimestepRange(
            settings.t_low, settings.t_high, settings.t_low_end, settings.t_high_end
        )
        self.times, self.cameras, self.coarse = self._pool()

    def _pool(self) -> tuple[Tensor, Cameras, Tensor]:
        """Moments [P], cameras and images [P, 3, S, S] of the coarse scene, from the seed alone."""
        settings = self.settings
        generator = runtime.generator(self.seed, self.name, "pool", device=self.device)
        limits = {"elevation_range": (settings.lowest, settings.highest)}
        poses = random_views(settings.pool, generator, **limits)
        cameras = Cameras(poses, DEFAULT_FOV_Y, settings.size, settings.size)
        slices, loop = len(self.field.grid.slices), self.field.grid.loop
        # On the slices: a blend of two shows what moves twice.
        drawn = torch.randint(slices, (settings.pool,), generator=generator, device=self.device)
        times = drawn.cpu() / (slices if loop else max(slices - 1, 1))
        images = render_images(self.field, self.occupancy, times, cameras, self.march)["rgb"]
        return times, cameras, images.permute(0, 3, 1, 2).clamp(0, 1)

    def loss(self, step: int) -> dict[str, Tensor]:
        settings = self.settings
        terms = self.at_start(self.picture, step)
        generator = self._generator("views", step)
        chosen = torch.randint(
            settings.pool, (settings.views,), generator=generator, device=self.device
        )
        cameras = self.cameras[chosen]
        result, frames = self.render_views(
            self.times[chosen.cpu()], cameras, self._generator("march", step)
        )
        terms["spread"] = terms["spread"] + settings.spread * result.spread()
        coarse = self.coarse[chosen]
        if settings.kept:
            terms["kept"] = settings.kept * (frames - coarse).square().mean()
        if settings.tile:
            terms["tile"] = self._sharpened(frames, coarse, cameras, step)
        return terms

    def _sharpened(self, frames: Tensor, coarse: Tensor, cameras: Cameras, step: int) -> Tensor:
        """The pull to what the ControlNet denoises frames [V, 3, H, W] to (spec §6.2)."""
        settings, tile = self.settings, self.tile
        latents = tile.encode_images(frames)
        generator = self._generator("tile", step)
        t = self.timesteps.draw(
            len(frames), tile.schedule.steps, generator, step, settings.train.steps
        )
        azimuth, _, _ = azimuth_elevation_radius(cameras.c2w)
        text = view_embedding(self.text, azimuth.to(self.text.device))
        predict = partial(
            tile.predict_pair,
            text=text,
            negative=self.negative,
            condition=coarse,
            control_text=self.control,
        )
        found = distill.x0_target(
            latents,
            t,
            predict,
            tile.schedule,
            Guidance(settings.tile_scale),
            generator,
            weight=settings.tile,
            steps=settings.denoising,
        )
        return distill.surrogate(latents, found.gradient)

    def preview(self, step: int) -> Tensor:
        """Some views of the coarse scene above the same as they are now."""
        chosen = torch.arange(min(SHOWN, self.settings.pool))
        now = render_images(
            self.field, self.occupancy, self.times[chosen], self.cameras[chosen], self.march
        )["rgb"].clamp(0, 1)
        rows = (self.coarse[chosen].permute(0, 2, 3, 1), now)
        return torch.cat([row.transpose(0, 1).flatten(1, 2) for row in rows])
