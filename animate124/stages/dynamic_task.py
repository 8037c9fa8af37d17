"""What `dynamic` optimises: time slices over a static scene, moved by a video prior.

The published stage gives motion from the video prior, the picture at t = 0 in a quarter of the
steps, and the novel-view prior at t = 0 alone. Here every step has the picture at t = 0 and, with
one frame of the clip, the novel-view prior at that frame's own time: what the front shows then is
the reference that the other sides have to agree with. And unless the setting `denoising` is 0 the
video prior does not distil: it makes clips of the scene, which the scene follows (`clip_bank`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.geometry.cameras import (
    DEFAULT_FOV_Y,
    Cameras,
    azimuth_elevation_radius,
)
from animate124.geometry.trajectories import dynamic_camera, random_views
from animate124.priors import distill
from animate124.priors.guidance import Guidance
from animate124.priors.latent import LatentPrior
from animate124.priors.novel_view import NovelView, pose_token
from animate124.priors.text_to_video import TextToVideo
from animate124.priors.timesteps import TimestepRange
from animate124.priors.views import angle_weight, view_embedding, view_prompts
from animate124.render.volume import render_images
from animate124.settings.dynamic import DynamicSettings
from animate124.stages.clip_bank import Aim, ClipBank, reimagine
from animate124.stages.moving_task import MovingTask
from animate124.stages.picture import Picture


class DynamicTask(MovingTask):
    """Motion for a static scene.

    Args:
        picture: what t = 0 looks like from its camera.
        field, occupancy: from `fields.build.with_time`; changed in place.
        march: distance between samples along a ray, world units.
        video, novel_view: needed where the weight of that name is not 0. If they share an
            autoencoder, frames are encoded once for both.
        prompt: the motion sentence, in the video prior's language.

    Raises:
        ValueError: a prior that is needed and missing.
    """

    def __init__(
        self,
        picture: Picture,
        field: RadianceField,
        occupancy: OccupancyGrid,
        march: float,
        settings: DynamicSettings,
        *,
        video: TextToVideo | None = None,
        novel_view: NovelView | None = None,
        prompt: str = "",
    ) -> None:
        super().__init__(picture, field, occupancy, march, settings)
        self.video, self.novel_view = video, novel_view
        if settings.video:
            if video is None:
                raise ValueError("the weight video is not 0: give a text-to-video prior")
            self.text = video.encode_text(view_prompts(prompt))
            self.negative = video.encode_text([settings.negative])
        self.bank = ClipBank(settings.aims, settings.frames, settings.size, self.device)
        if settings.novel_view and novel_view is None:
            raise ValueError("the weight novel_view is not 0: give a novel-view prior")
        self.timesteps = TimestepRange(
            settings.t_low,
            settings.t_high,
            settings.t_low_end,
            settings.t_high_end,
            settings.annealing,
        )

    def parameters(self) -> list[dict]:
        settings = self.settings
        slices = [(f"grid.slices.{k}", p) for k, p in enumerate(self.field.grid.slices)]
        groups = [self._group(slices, settings.lr)]
        if settings.static_rate:
            rate = settings.lr * settings.static_rate
            head = [(f"head.{name}", p) for name, p in self.field.head.named_parameters()]
            groups += [
                self._group([("grid.base", self.field.grid.base)], rate),
                self._group(head, rate / 4),
            ]
        return groups

    def loss(self, step: int) -> dict[str, Tensor]:
        settings = self.settings
        terms = self.at_start(self.picture, step)
        times, cameras, aim = self._clip(step)
        result, frames = self.render_views(times, cameras, self._generator("march", step))
        opacity = result.opacity.clamp(1e-4, 1 - 1e-4)
        entropy = -(opacity * opacity.log() + (1 - opacity) * (1 - opacity).log()).mean()
        terms["entropy"] = settings.entropy * entropy
        terms["spread"] = terms["spread"] + settings.spread * result.spread()
        terms |= self._guided(frames, times, cameras, aim, step)
        terms |= self._regular(step)
        return terms

    def _times(self, step: int) -> Tensor:
        """Frame times [F] of this step's clip, on time slices where these allow it.

        A slice that is met exactly needs no blending, which shows moving parts twice.
        """
        settings = self.settings
        count, slices = settings.frames, len(self.field.grid.slices)
        draw = torch.rand(1, generator=self._generator("time", step), device=self.device).item()
        if settings.loop:
            # The first clip begins at t = 0, so that it goes on from the picture.
            start = int(draw * slices) / slices if step else 0.0
            return (start + settings.window * torch.arange(count) / count) % 1.0
        start = draw * (1.0 - settings.window)
        return start + settings.window * torch.arange(count) / (count - 1)

    def _cameras(self, step: int, widest: float) -> Cameras:
        """One camera a frame, as a rule the same for all; azimuth up to `widest` degrees."""
        settings, generator = self.settings, self._generator("camera", step)
        moving = torch.rand(1, generator=generator, device=self.device).item()
        if moving < settings.moving_camera:
            poses = dynamic_camera(settings.frames, generator, moving_rate=1.0)
        else:
            poses = random_views(
                1,
                generator,
                elevation_range=(settings.lowest, settings.highest),
                azimuth_range=(-widest, widest),
            ).expand(settings.frames, -1, -1)
        return Cameras(poses, DEFAULT_FOV_Y, settings.size, settings.size)

    def before_step(self, step: int) -> None:
        super().before_step(step)
        settings = self.settings
        later = step - int(settings.first * settings.train.steps)
        due = step == 0 or (later >= 0 and later % settings.aim_every == 0)
        if due and settings.video and settings.denoising:
            self.bank.add(self._aim(step))

    @torch.no_grad()
    def _aim(self, step: int) -> Aim:
        """A new clip to follow, made of what the scene shows now from one camera.

        The first decides the motion: it is made of next to nothing but noise, seen from the front,
        where the subject is known best, and followed alone for a while. Then cameras come from ever
        further round, meet a scene that moves already, and leave it more and more of what it does.
        What the scene shows at t = 0 stays, so that all else goes on from it.
        """
        settings, video = self.settings, self.video
        share = max(step / max(settings.train.steps, 1) - settings.first, 0.0)
        widest = settings.spread_azimuth * min(share / settings.spread_by, 1.0)
        times, cameras = self._times(step), self._cameras(step, widest)
        _, frames = self.render_views(times, cameras, None)
        generator = self._generator("aim", step)
        start = int(settings.t_first * (video.schedule.steps - 1))
        if step:
            start = int(self._timestep(generator, step))
        azimuth, _, _ = azimuth_elevation_radius(cameras.c2w[:1])
        made = reimagine(
            video,
            frames.clamp(0, 1),
            view_embedding(self.text, azimuth.to(self.text.device)),
            self.negative,
            Guidance(settings.video_scale, rescale=settings.video_rescale),
            start,
            settings.denoising,
            generator,
            times == 0.0,
        )
        return Aim(times, cameras.c2w, made)

    def _clip(self, step: int) -> tuple[Tensor, Cameras, Tensor | None]:
        """Times and cameras of this step's clip and, if there is a bank, the frames to follow."""
        settings = self.settings
        if not len(self.bank):
            return self._times(step), self._cameras(step, settings.spread_azimuth), None
        generator = self._generator("chosen aim", step)
        chosen = torch.randint(len(self.bank), (1,), generator=generator, device=self.device)
        aim = self.bank[int(chosen)]
        return (
            aim.times,
            Cameras(aim.poses, DEFAULT_FOV_Y, settings.size, settings.size),
            aim.frames,
        )

    def _guided(
        self, frames: Tensor, times: Tensor, cameras: Cameras, aim: Tensor | None, step: int
    ) -> dict[str, Tensor]:
        """A term for each prior, of frames [F, 3, H, W] over white."""
        settings, terms, latents = self.settings, {}, None
        azimuth, elevation, _ = azimuth_elevation_radius(cameras.c2w)
        if aim is not None:
            gradient = settings.video * self._residual(frames.detach(), aim, times)
            terms["video"] = distill.surrogate(frames, gradient / frames.numel())
        elif settings.video:
            latents = self.video.encode_images(frames)
            terms["video"] = self._moved(latents, azimuth, step)
        if settings.novel_view:
            generator = self._generator("novel_view frame", step)
            k = int(torch.randint(len(frames), (1,), generator=generator, device=self.device))
            chosen = slice(k, k + 1)
            if latents is not None and _same_latents(self.video, self.novel_view):
                one = latents[chosen]
            else:
                one = self.novel_view.encode_images(frames[chosen])
            terms["novel_view"] = self._agreed(one, times[k], azimuth[k], elevation[k], step)
        return terms

    def _residual(self, frames: Tensor, aim: Tensor, times: Tensor) -> Tensor:
        """How far frames [F, 3, H, W] are from where they shall go, as a gradient.

        Of the clip to follow only the differences between its frames count: what they share is the
        prior's idea of the subject, and every clip is made of a scene that followed the last one,
        so it would wash the subject out bit by bit. Instead what the frames share is drawn to what
        the scene shows at t = 0, where the clip was left as it is.
        """
        settings, made = self.settings, times != 0.0
        away = (frames - aim)[made]
        residual = torch.zeros_like(frames)
        residual[made] = settings.motion * (away - away.mean(0, keepdim=True))
        if not bool(made.all()):
            shared = frames[made].mean(0, keepdim=True) - frames[~made][:1]
            residual[made] += settings.appearance * shared
        return residual

    def _weighted(self, gradient: Tensor) -> Tensor:
        """A gradient on frames [F, …], its two parts weighted apart.

        What all frames share is about looks, which are known from elsewhere; what remains is about
        motion.
        """
        settings = self.settings
        common = gradient.mean(0, keepdim=True)
        return settings.motion * (gradient - common) + settings.appearance * common

    def _moved(self, latents: Tensor, azimuth: Tensor, step: int) -> Tensor:
        """Score distillation of a clip's latents [F, 4, h, w], seen from azimuths [F]."""
        settings, video = self.settings, self.video
        generator = self._generator("video", step)
        t = self._timestep(generator, step)
        middle = azimuth[len(azimuth) // 2].reshape(1).to(self.text.device)
        found = distill.video_sds(
            latents[None],
            t,
            partial(
                video.predict_pair,
                text=view_embedding(self.text, middle),
                negative=self.negative,
            ),
            video.schedule,
            Guidance(settings.video_scale, rescale=settings.video_rescale),
            generator,
            weight=settings.video,
        )
        return distill.surrogate(latents, self._weighted(found.gradient[0]))

    def _timestep(self, generator: torch.Generator, step: int) -> Tensor:
        """A timestep of the video prior, [1]."""
        steps = self.video.schedule.steps
        return self.timesteps.draw(1, steps, generator, step, self.settings.train.steps)

    def _agreed(
        self, latents: Tensor, time: Tensor, azimuth: Tensor, elevation: Tensor, step: int
    ) -> Tensor:
        """What the novel-view prior says of one frame's latents [1, 4, h, w].

        Its reference is what the scene shows at the same time from the picture's camera: at t = 0
        the picture itself.
        """
        settings, prior = self.settings, self.novel_view
        reference = prior.reference(self._front(time))
        lift = elevation.reshape(1) - self.picture.elevation
        pose = pose_token(lift, azimuth.reshape(1), 0.0)
        generator = self._generator("novel_view", step)
        span = TimestepRange(settings.novel_view_t_low, settings.novel_view_t_high)
        t = span.draw(1, prior.schedule.steps, generator)
        share = angle_weight(azimuth.reshape(1), lift).to(latents.device)
        found = distill.sds(
            latents,
            t,
            lambda noisy, at: prior.predict_pair(noisy, at, reference, pose),
            prior.schedule,
            Guidance(settings.novel_view_scale),
            generator,
            weight=settings.novel_view * share,
        )
        return distill.surrogate(latents, found.gradient)

    def _front(self, time: Tensor) -> Tensor:
        """The scene at `time` from the picture's camera, [1, 3, S, S] over white."""
        if float(time) == 0.0:
            return self.picture.over_white()
        size = self.settings.size
        camera = self.picture.camera.resized(size, size)
        image = render_images(self.field, self.occupancy, time.reshape(1), camera, self.march)
        return image["rgb"].permute(0, 3, 1, 2).clamp(0, 1)

    def _regular(self, step: int) -> dict[str, Tensor]:
        """Direct differences of parameters, of one pair of neighbouring slices a step.

        Encoding random points to compare features, as published, costs two lookups a point and
        sees only where it looks.
        """
        slices, settings = self.field.grid.slices, self.settings
        generator = self._generator("pair", step)
        pairs = len(slices) if self.field.grid.loop else len(slices) - 1
        k = int(torch.randint(pairs, (1,), generator=generator, device=self.device))
        one, other = slices[k], slices[(k + 1) % len(slices)]
        terms = {}
        if settings.smooth:
            terms["smooth"] = settings.smooth * (one - other).square().mean()
        if settings.still:
            terms["still"] = settings.still * one.square().mean()
        return terms

    def state(self) -> dict[str, Tensor]:
        return super().state() | self.bank.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        own = self.bank.state()
        self.bank.load_state(state)
        super().load_state({name: v for name, v in state.items() if name not in own})


def _same_latents(one: LatentPrior, other: LatentPrior) -> bool:
    """Whether what one prior encodes is what the other would."""
    return one.vae is other.vae and one.image_size == other.image_size
