"""What `static` optimises: a field that looks like one picture from the front, and from elsewhere
like what the priors make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from animate124 import runtime
from animate124.fields.build import build_field
from animate124.fields.radiance import Perceptron, RadianceField
from animate124.geometry.cameras import (
    DEFAULT_FOV_Y,
    Cameras,
    azimuth_elevation_radius,
    orbit,
    rays,
)
from animate124.geometry.trajectories import random_views
from animate124.priors import distill
from animate124.priors.guidance import Guidance
from animate124.priors.latent import LatentPrior, resize
from animate124.priors.novel_view import NovelView, pose_token
from animate124.priors.text_to_image import TextToImage
from animate124.priors.timesteps import TimestepRange
from animate124.priors.views import VIEW_TEMPLATES, angle_weight, view_embedding, view_prompts
from animate124.render.volume import Rendered, render_images, surface_normals
from animate124.settings.static import StaticSettings
from animate124.stages.picture import Picture, Sighting
from animate124.stages.scene_task import SceneTask

PREVIEW_AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
_TIME = torch.zeros(1)  # of a field that knows no time


class StaticTask(SceneTask):
    """A static field from one picture: losses at its camera, score distillation everywhere else.

    The picture's camera stands at azimuth 0 and `settings.elevation`, at the default radius and
    field of view; new views are drawn evenly by area between `settings.lowest` and `.highest`.
    Every step sees pixels of the picture, with its depth and normals where it has them, and, after
    `settings.warmup` steps, new views, all in one render and one backward pass. New views reach the
    priors over white, which is what the priors know, and through the autoencoder's gradient.

    Args:
        picture: taken at `settings.elevation`.
        novel_view, text_to_image: needed where the weight of that name (`text` for the second) is
            not 0, else not used. Priors that share an autoencoder share what it encodes.
        prompt: what `text_to_image` is told, in its language; `templates` add the view's words.

    Raises:
        ValueError: a prior that is needed and missing.
    """

    name = "static"

    def __init__(
        self,
        picture: Picture,
        settings: StaticSettings,
        *,
        novel_view: NovelView | None = None,
        text_to_image: TextToImage | None = None,
        prompt: str = "",
        templates: Sequence[str] = VIEW_TEMPLATES,
    ) -> None:
        init = runtime.generator(settings.train.seed, self.name, "init")
        field, occupancy = build_field(settings.field, 1, False, init)
        if isinstance(field.head, Perceptron):  # tinycudann's has no bias to set
            with torch.no_grad():
                field.head.b2[0] = settings.start_density
        super().__init__(settings, picture.device, field, occupancy, settings.field.step)
        self.picture = picture
        self.priors = self._prepare(novel_view, text_to_image, prompt, templates)
        self.timesteps = TimestepRange(
            settings.t_low,
            settings.t_high,
            settings.t_low_end,
            settings.t_high_end,
            settings.annealing,
        )

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
            reference = novel_view.reference(self.picture.over_white())

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

    def before_step(self, step: int) -> None:
        self.field.active = self._active(step)
        super().before_step(step)

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
        sighting = self.picture.sight(settings.rays, settings.subsamples, generator)
        origins, directions = sighting.origins, sighting.directions
        known = len(origins)
        cameras = self._new_views(step)
        if cameras is not None:
            more = (r.reshape(-1, 3) for r in rays(cameras))
            origins, directions = (
                torch.cat([a, b]) for a, b in zip((origins, directions), more, strict=True)
            )
        march = self._generator("march", step)
        result = self.render(_TIME, origins[None], directions[None], march)
        terms = self._reference_terms(result, sighting, generator)
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

    def _reference_terms(
        self, result: Rendered, sighting: Sighting, generator: torch.Generator
    ) -> dict[str, Tensor]:
        settings, picture = self.settings, self.picture
        errors = picture.errors(result, sighting, generator)
        terms = {"rgb": settings.rgb * errors["rgb"], "alpha": settings.alpha * errors["alpha"]}
        if settings.depth and picture.depth is not None:
            terms["depth"] = settings.depth * picture.depth_error(result, sighting)
        if settings.normal and picture.normals is not None:
            error = picture.normal_error(self.field, result, sighting, _TIME[0])
            terms["normal"] = settings.normal * error
        return terms

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
        picture = resize(self.picture.over_white(), side).permute(0, 2, 3, 1)
        row = torch.cat([picture, views])
        return row.clamp(0, 1).transpose(0, 1).flatten(1, 2)


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
