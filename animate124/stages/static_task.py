"""What `static` optimises: a field that looks like one picture from the front, and from elsewhere
like what the priors make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from animate124 import runtime
from animate124.fields.build import build_field
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import Perceptron, RadianceField
from animate124.geometry.cameras import (
    DEFAULT_FOV_Y,
    Cameras,
    azimuth_elevation_radius,
    orbit,
    rays,
    rays_through,
)
from animate124.geometry.trajectories import random_views
from animate124.priors import distill
from animate124.priors.guidance import Guidance
from animate124.priors.latent import LatentPrior, resize
from animate124.priors.novel_view import NovelView, pose_token
from animate124.priors.text_to_image import TextToImage
from animate124.priors.timesteps import TimestepRange
from animate124.priors.views import VIEW_TEMPLATES, angle_weight, view_embedding, view_prompts
from animate124.render.volume import Rendered, render_images, render_rays, surface_normals
from animate124.settings.static import StaticSettings
from animate124.training import Task

BETAS, EPSILON = (0.9, 0.99), 1e-15  # spec §3.8
PREVIEW_AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
_TIME = torch.zeros(1)  # of a field that knows no time


class StaticTask(Task):
    """A static field from one picture: losses at its camera, score distillation everywhere else.

    The picture's camera stands at azimuth 0 and `settings.elevation`, at the default radius and
    field of view; new views are drawn evenly by area between `settings.lowest` and `.highest`.
    Every step sees pixels of the picture and, after `settings.warmup` steps, new views, all in one
    render and one backward pass. New views reach the priors over white, which is what the priors
    know, and through the autoencoder's gradient.

    Args:
        image: straight-alpha RGBA float32 [H, W, 4] in [0, 1], square.
        novel_view, text_to_image: needed where the weight of that name (`text` for the second) is
            not 0, else not used. Priors that share an autoencoder share what it encodes.
        prompt: what `text_to_image` is told, in its language; `templates` add the view's words.

    Raises:
        ValueError: a picture that is not square RGBA, or a prior that is needed and missing.
    """

    name = "static"

    def __init__(
        self,
        image: Tensor,
        settings: StaticSettings,
        device: str = "cpu",
        *,
        novel_view: NovelView | None = None,
        text_to_image: TextToImage | None = None,
        prompt: str = "",
        templates: Sequence[str] = VIEW_TEMPLATES,
    ) -> None:
        if image.dim() != 3 or image.shape[2] != 4 or image.shape[0] != image.shape[1]:
            raise ValueError(f"the picture must be square RGBA [H, H, 4], got {list(image.shape)}")
        self.settings, self.seed, self.device = settings, settings.train.seed, device
        self.pixels, size = _premultiplied(image.to(device), settings.reference_size)
        self.camera = Cameras(orbit(0.0, settings.elevation)[None], DEFAULT_FOV_Y, size, size)
        self.camera = self.camera.to(device)
        self.priors = self._prepare(novel_view, text_to_image, prompt, templates)
        self.timesteps = TimestepRange(
            settings.t_low,
            settings.t_high,
            settings.t_low_end,
            settings.t_high_end,
            settings.annealing,
        )
        self.field, self.occupancy = build_field(
            settings.field, 1, False, runtime.generator(self.seed, self.name, "init")
        )
        if isinstance(self.field.head, Perceptron):  # tinycudann's has no bias to set
            with torch.no_grad():
                self.field.head.b2[0] = settings.start_density
        self.field.to(device)
        self.occupancy.to(device)

    def _prepare(
        self,
        novel_view: NovelView | None,
        text_to_image: TextToImage | None,
        prompt: str,
        templates: Sequence[str],
    ) -> list[tuple[str, LatentPrior, float, Callable]]:
        """Of each prior in use: its name, itself, its guidance scale, and how it predicts a pair
        when it is given noisy latents, timesteps and (azimuth, elevation) from the picture's."""
        settings, found = self.settings, []
        if settings.novel_view:
            if novel_view is None:
                raise ValueError("the weight novel_view is not 0: give a novel-view prior")
            side = self.camera.height
            white = self.pixels[:, :3] + 1 - self.pixels[:, 3:]
            reference = novel_view.reference(white.t().reshape(1, 3, side, side))

            def turned(noisy: Tensor, t: Tensor, azimuth: Tensor, elevation: Tensor):
                pose = pose_token(elevation, azimuth, 0.0)
                return novel_view.predict_pair(noisy, t, reference, pose)

            found.append(("novel_view", novel_view, settings.novel_view_scale, turned))
        if settings.text:
            if text_to_image is None:
                raise ValueError("the weight text is not 0: give a text-to-image prior")
            embeddings = text_to_image.encode_text(view_prompts(prompt, templates))
            negative = text_to_image.encode_text([settings.negative])

            def described(noisy: Tensor, t: Tensor, azimuth: Tensor, elevation: Tensor):
                text = view_embedding(embeddings, azimuth.to(embeddings.device))
                return text_to_image.predict_pair(noisy, t, text, negative)

            found.append(("text", text_to_image, settings.text_scale, described))
        return found

    def parameters(self) -> list[dict]:
        names = dict(self.field.named_parameters())
        grid = [(n, p) for n, p in names.items() if n.startswith("grid.")]
        heads = [(n, p) for n, p in names.items() if not n.startswith("grid.")]
        common = {"betas": BETAS, "eps": EPSILON}
        return [
            {"params": grid, "lr": self.settings.lr, **common},
            {"params": heads, "lr": self.settings.lr / 4, **common},
        ]

    def lr_scale(self, step: int) -> float:
        return self.settings.lr_end ** (step / max(self.settings.train.steps, 1))

    def before_step(self, step: int) -> None:
        self.field.active = self._active(step)
        if step % self.settings.refresh_every == 0:
            self.occupancy.refresh(self.field, [0], self._generator("occupancy", step))

    def _active(self, step: int) -> int:
        """Levels of the grid in use at `step`."""
        levels, settings = self.field.grid.levels.levels, self.settings
        until = settings.coarse_share * settings.train.steps
        if step >= until:
            return levels
        first = min(settings.coarse_levels, levels)
        return first + int((levels - first) * step / until)

    def loss(self, step: int) -> dict[str, Tensor]:
        settings = self.settings
        generator = self._generator("picture", step)
        origins, directions, target = self._reference_rays(generator)
        known = len(origins)
        cameras = self._new_views(step)
        if cameras is not None:
            more = (r.reshape(-1, 3) for r in rays(cameras))
            origins, directions = (
                torch.cat([a, b]) for a, b in zip((origins, directions), more, strict=True)
            )
        result = render_rays(
            self.field,
            self.occupancy,
            _TIME,
            origins[None],
            directions[None],
            settings.field.step,
            self._generator("march", step),
        )
        terms = self._reference_terms(result, target, generator)
        terms["spread"] = settings.spread * result.spread()
        opacity = result.opacity.clamp(1e-4, 1 - 1e-4)
        entropy = -(opacity * opacity.log() + (1 - opacity) * (1 - opacity).log()).mean()
        terms["entropy"] = settings.entropy * entropy
        if cameras is None:
            return terms
        terms["sparsity"] = settings.sparsity * result.opacity[known:].mean()
        white = result.over(torch.ones(3, device=self.device))[known:]
        shape = len(cameras), cameras.height, cameras.width
        terms |= self._distilled(white.reshape(*shape, 3).permute(0, 3, 1, 2), cameras, step)
        if settings.smoothness:
            share = result.distance / result.opacity.clamp(min=1e-4)
            points = (origins + share[:, None] * directions)[known:].detach()
            seen = (result.opacity[known:] > 0.5).reshape(shape)
            roughness = _roughness(self.field, points.reshape(*shape, 3), seen)
            terms["smoothness"] = settings.smoothness * roughness
        return terms

    def _reference_rays(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Origins and directions [P·s², 3] through random pixels, and their colours [P, 4]."""
        s, width = self.settings.subsamples, self.camera.width
        count = max(self.settings.rays // s**2, 1)
        options = {"generator": generator, "device": self.device}
        pixel = torch.randint(len(self.pixels), (count,), **options)
        cell = torch.arange(s * s, device=self.device)
        corner = torch.stack([cell % s, cell // s], -1)
        place = torch.stack([pixel % width, pixel // width], -1)
        xy = place[:, None] + (corner + torch.rand(count, s * s, 2, **options)) / s
        view = torch.zeros(count * s * s, dtype=torch.int64, device=self.device)
        return *rays_through(self.camera, view, xy.reshape(-1, 2)), self.pixels[pixel]

    def _reference_terms(
        self, result: Rendered, target: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Colours over random backgrounds, and coverage, against pixels [P, 4]."""
        rays_each = self.settings.subsamples**2
        known = len(target) * rays_each
        colour = result.colour[:known].reshape(-1, rays_each, 3).mean(1)
        opacity = result.opacity[:known].reshape(-1, rays_each).mean(1)[:, None]
        background = torch.rand(len(target), 3, generator=generator, device=self.device)
        error = colour - target[:, :3] + (target[:, 3:] - opacity) * background
        return {
            "rgb": self.settings.rgb * error.square().mean(),
            "alpha": self.settings.alpha * (opacity - target[:, 3:]).square().mean(),
        }

    def _new_views(self, step: int) -> Cameras | None:
        settings = self.settings
        wanted = self.priors or settings.sparsity or settings.smoothness
        if step < settings.warmup or not wanted:
            return None
        poses = random_views(
            settings.views,
            self._generator("views", step),
            elevation_range=(settings.lowest, settings.highest),
        )
        return Cameras(poses, DEFAULT_FOV_Y, settings.size, settings.size)

    def _distilled(self, images: Tensor, cameras: Cameras, step: int) -> dict[str, Tensor]:
        """A term for each prior, of new views [V, 3, H, W] over white."""
        settings = self.settings
        azimuth, elevation, _ = azimuth_elevation_radius(cameras.c2w)
        elevation = elevation - settings.elevation
        objective, encoded, terms = distill.OBJECTIVES[settings.objective], {}, {}
        for name, prior, scale, predict in self.priors:
            key = id(prior.vae), prior.image_size
            if key not in encoded:
                encoded[key] = prior.encode_images(images)
            latents = encoded[key]
            generator = self._generator(name, step)
            t = self.timesteps.draw(
                len(images), prior.schedule.steps, generator, step, settings.train.steps
            )
            weight = getattr(settings, name)
            if name == "novel_view":
                angle = angle_weight(azimuth, elevation).to(latents.device)
                weight = weight * (settings.near + (1 - settings.near) * angle)
            found = objective(
                latents,
                t,
                partial(predict, azimuth=azimuth, elevation=elevation),
                prior.schedule,
                Guidance(scale),
                generator,
                weight=weight,
            )
            terms[name] = distill.surrogate(latents, found.gradient)
        return terms

    def preview(self, step: int) -> Tensor:
        """The picture, then the field from PREVIEW_AZIMUTHS at the picture's elevation."""
        side, settings = self.settings.size, self.settings
        poses = orbit(torch.tensor(PREVIEW_AZIMUTHS), settings.elevation).to(self.device)
        views = render_images(
            self.field,
            self.occupancy,
            _TIME.expand(len(poses)),
            Cameras(poses, DEFAULT_FOV_Y, side, side),
            settings.field.step,
        )["rgb"]
        picture = (self.pixels[:, :3] + 1 - self.pixels[:, 3:]).t()
        picture = resize(picture.reshape(1, 3, *[self.camera.height] * 2), side)
        row = torch.cat([picture.permute(0, 2, 3, 1), views])
        return row.clamp(0, 1).transpose(0, 1).flatten(1, 2)

    def state(self) -> dict[str, Tensor]:
        return self.occupancy.state()

    def load_state(self, state) -> None:
        self.occupancy.load_state(state)

    def trained(self) -> tuple[RadianceField, OccupancyGrid]:
        """The field, and an occupancy grid rebuilt from it alone (as whoever loads it will)."""
        self.field.active = self.field.grid.levels.levels
        self.occupancy.rebuild(self.field, runtime.generator(0, "occupancy", device=self.device))
        return self.field, self.occupancy

    def _generator(self, concern: str, step: int) -> torch.Generator:
        return runtime.generator(self.seed, self.name, concern, step, device=self.device)


def _premultiplied(image: Tensor, largest: int) -> tuple[Tensor, int]:
    """Premultiplied pixels [S², 4] of straight-alpha RGBA [H, H, 4], and S, at most `largest`."""
    image = torch.cat([image[..., :3] * image[..., 3:], image[..., 3:]], -1)
    side = min(len(image), largest)
    image = resize(image.permute(2, 0, 1)[None].float(), side)[0]
    return image.flatten(1).t().contiguous(), side


def _roughness(field: RadianceField, points: Tensor, seen: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels' normals where both see a surface.

    points: [V, H, W, 3] in the world. seen: bool [V, H, W].
    """
    normals = torch.zeros_like(points)
    normals[seen] = surface_normals(field, points[seen], _TIME[0])
    both = seen[:, 1:] & seen[:, :-1], seen[:, :, 1:] & seen[:, :, :-1]
    steps = normals[:, 1:] - normals[:, :-1], normals[:, :, 1:] - normals[:, :, :-1]
    total = sum((d.square().sum(-1) * m).sum() for d, m in zip(steps, both, strict=True))
    return total / sum(m.sum() for m in both).clamp(min=1)
