"""What `polish` optimises: a motion, so that the multi-view video prior finds it likely.

As stage 2 of Animate3D (spec §7), without its defects: stiffness counts at the moments that are
rendered and at all of them, four cameras never coincide, what is compared are the generated clips
and not the first stage's own pictures, and a motion that gives way to stillness is stopped.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion, amplitude
from animate124.geometry.cameras import Cameras, orbit
from animate124.priors import distill
from animate124.priors.guidance import Guidance
from animate124.priors.multiview_video import Condition, MultiViewVideo
from animate124.priors.timesteps import TimestepRange
from animate124.render.splat import splat_images
from animate124.settings.polish import PolishSettings
from animate124.stages.motion_task import MotionTask, Parts
from animate124.stages.multiview import ViewSet


class PolishTask(MotionTask):
    """Score distillation of all views and frames together.

    Args:
        cloud: stays as it is. motion: changed in place. views: how many cameras, how far off, over
            which background. clips: [V, F, 4, S, S] as for `MotionTask`; None: none to follow.
        prompt: the motion sentence, in the prior's language.
    """

    name = "polish"

    def __init__(
        self,
        cloud: Cloud,
        motion: Motion,
        views: ViewSet,
        clips: Tensor | None,
        prior: MultiViewVideo,
        prompt: str,
        settings: PolishSettings,
    ) -> None:
        self.settings, self.prior, self.views = settings, prior, views
        self.rest, self.follows = cloud, clips is not None and settings.follow > 0
        size, device = settings.follow_size, cloud.positions.device
        if clips is None:
            clips = torch.zeros(len(views), motion.keyframes, 4, size, size)
        cameras = views.cameras(size).to(device)
        super().__init__(motion, clips.to(device), cameras, settings.fit, settings.train)
        self.size = settings.size or prior.image_size
        self.text: tuple[str | Tensor, str | Tensor] = prompt, settings.negative
        with torch.no_grad():
            moved = motion.frames(cloud, self.times)[0]
            self.amplitude = amplitude(cloud.positions, moved)

    def cloud(self) -> Cloud:
        return self.rest

    def parameters(self) -> list[dict]:
        settings = self.settings
        return self.motion_groups(settings.lr, settings.lr_planes, settings.lr_turn)

    def lr_scale(self, step: int) -> float:
        return self.settings.lr_end ** (step / max(self.train.steps, 1))

    def loss(self, step: int) -> dict[str, Tensor]:
        every = torch.arange(len(self.times))
        parts = self.motion.parts(self.times)
        terms = self._guided(parts, step) | self.regular(parts, every)
        if self.follows:
            drawn = torch.randperm(len(every) - 1, generator=self.generator("frames", step)) + 1
            frames = drawn[: self.settings.frames_per_step]
            chosen: Parts = tuple(p[frames.to(p.device)] for p in parts)
            fitted = self.fit(frames, chosen)
            terms |= {name: self.settings.follow * term for name, term in fitted.items()}
        return terms

    def _guided(self, parts: Parts, step: int) -> dict[str, Tensor]:
        """Terms sds and guard, from pictures of all frames by all cameras at random angles."""
        settings, prior, cloud = self.settings, self.prior, self.rest
        state = self.motion.frames(cloud, self.times, parts)
        terms = {"guard": settings.guard * self._lost(state[0])}
        if not settings.sds:
            return terms
        azimuth, elevation = self.angles(step)
        count, frames = len(azimuth), len(self.times)
        poses = orbit(azimuth, elevation, self.views.radius).repeat_interleave(frames, 0)
        cameras = Cameras(poses, self.views.fov_y, self.size, self.size).to(self.device)
        source = torch.arange(frames, device=self.device).repeat(count)
        images = splat_images(cloud, state, source, cameras)
        grey = images[..., :3] + (1 - images[..., 3:4]) * self.views.background
        pictures = grey.permute(0, 3, 1, 2).unflatten(0, (count, frames))
        latents = prior.encode_images(pictures)
        condition = self._condition(pictures[:, 0].detach(), azimuth, elevation)
        generator = self.generator("sds", step, latents.device)
        t = TimestepRange(settings.t_low, settings.t_high).draw(1, prior.schedule.steps, generator)
        # In units of the clean latents, as published: the step to what the prior denoises to.
        found = distill.video_sds(
            latents,
            t.expand(count),
            partial(prior.predict_pair, condition=condition),
            prior.schedule,
            Guidance(settings.sds_scale, rescale=settings.sds_rescale),
            generator,
            weighting="x0",
            weight=settings.sds,
        )
        return terms | {"sds": distill.surrogate(latents, found.gradient)}

    def angles(self, step: int) -> tuple[Tensor, Tensor]:
        """Azimuths and elevations [n] in degrees of a step's cameras: evenly around from a random
        start, all equally high."""
        settings, generator = self.settings, self.generator("cameras", step)
        start, high = torch.rand(2, generator=generator).tolist()
        count = len(self.views)
        azimuth = (360.0 * start + torch.arange(count) * (360.0 / count)) % 360.0
        elevation = settings.lowest + high * (settings.highest - settings.lowest)
        return azimuth, torch.full((count,), elevation)

    def _condition(self, first: Tensor, azimuth: Tensor, elevation: Tensor) -> Condition:
        """What the clips have to obey: frame 0 of each camera, the rest pose. Sentences are encoded
        the first time only."""
        text, negative = self.text
        found = self.prior.condition(first.clamp(0, 1), azimuth, elevation, text, negative)
        self.text = found.text, found.negative
        return found

    def _lost(self, moved: Tensor) -> Tensor:
        """Square of the share of the amplitude that is missing; 0 while enough is there."""
        if float(self.amplitude) < 1e-6:  # nothing moved to begin with
            return moved.new_zeros(())
        share = amplitude(self.rest.positions, moved) / self.amplitude
        return torch.relu(self.settings.amplitude - share).square()
