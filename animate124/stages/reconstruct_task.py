"""What `reconstruct` optimises: the motion of a cloud, against pictures from several sides."""

from __future__ import annotations

import torch
from torch import Tensor

from animate124 import runtime
from animate124.gaussians.appearance import Appearance
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion, bind
from animate124.geometry.cameras import Cameras
from animate124.render.splat import rest_state, splat_images
from animate124.settings.reconstruct import ReconstructSettings
from animate124.stages.motion_task import MotionTask


class ReconstructTask(MotionTask):
    """First the looks from the static views, then the motion from all frames.

    Args:
        cloud: at rest. clips: [V, F, 4, S, S] float RGBA, colours premultiplied on black; frame 0
            is the rest pose. cameras: V cameras of size S. loop: the last frame leads to the first.
    """

    name = "reconstruct"

    def __init__(
        self,
        cloud: Cloud,
        clips: Tensor,
        cameras: Cameras,
        loop: bool,
        settings: ReconstructSettings,
    ) -> None:
        self.settings = settings
        self.appearance = Appearance(cloud)
        frames = clips.shape[1]
        init = runtime.generator(settings.train.seed, self.name, "init")
        motion = Motion(bind(cloud, settings.motion), settings.motion, frames, loop, init)
        super().__init__(motion, clips, cameras, settings.fit, settings.train)
        self.order = joining_order(frames, loop)

    def cloud(self) -> Cloud:
        with torch.no_grad():
            return self.appearance.cloud()

    def parameters(self) -> list[dict]:
        settings = self.settings
        looks = [(f"appearance.{n}", p) for n, p in self.appearance.named_parameters()]
        first = self.group(looks, settings.appearance_lr)
        return [first, *self.motion_groups(settings.lr, settings.lr_planes)]

    def _phase(self, step: int) -> tuple[int, int]:
        """How far the present phase (looks, then motion) is, and how many steps it has."""
        first = min(self.settings.appearance, self.train.steps)
        return (step, first) if step < first else (step - first, self.train.steps - first)

    def lr_scale(self, step: int) -> float:
        done, steps = self._phase(step)
        return self.settings.lr_end ** (done / max(steps, 1))

    def joined(self, step: int) -> int:
        """How many of the frames of `order` take part in `step`."""
        if step < self.settings.appearance:
            return 0
        done, steps = self._phase(step)
        span = self.settings.reveal * steps
        share = done / span if span else 1.0
        return min(1 + int(share * (len(self.order) - 1)), len(self.order))

    def before_step(self, step: int) -> None:
        new = range(self.joined(step - 1) if step else 0, self.joined(step))
        for frame, neighbour in (self.order[k] for k in new):
            self.motion.start_from(frame, neighbour)

    def loss(self, step: int) -> dict[str, Tensor]:
        if step < self.settings.appearance:
            return self._looks()
        frames = self._chosen(step)
        parts = self.motion.parts(self.times[frames])
        return self.fit(frames, parts) | self.regular(parts, frames)

    def _chosen(self, step: int) -> Tensor:
        """Frames of this step: while frames still join the newest, and others at random."""
        joined = torch.tensor([frame for frame, _ in self.order[: self.joined(step)]])
        drawn = torch.randperm(len(joined), generator=self.generator("frames", step))
        if len(joined) < len(self.order):
            newest = len(joined) - 1
            drawn = torch.cat([drawn.new_tensor([newest]), drawn[drawn != newest]])
        return joined[drawn[: self.settings.frames_per_step]]

    def _looks(self) -> dict[str, Tensor]:
        cloud = self.appearance.cloud()
        source = torch.zeros(len(self.cameras), dtype=torch.int64, device=self.device)
        images = splat_images(cloud, rest_state(cloud), source, self.cameras)
        terms = self.compared(images, self.clips[:, 0])
        return terms | {"keep": self.settings.keep * self.appearance.change()}


def joining_order(count: int, loop: bool) -> list[tuple[int, int]]:
    """Frames 1 to count − 1 in the order in which they join, each with the neighbour it starts
    from: outwards from frame 0, in a loop on both sides of it."""
    if not loop:
        return [(k, k - 1) for k in range(1, count)]
    order: list[tuple[int, int]] = []
    for k in range(1, count // 2 + 1):
        order.append((k, k - 1))
        if count - k > k:
            order.append((count - k, (count - k + 1) % count))
    return order
