"""What `reconstruct` optimises: the motion of a cloud, against pictures from several sides."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from animate124 import runtime
from animate124.gaussians.appearance import Appearance
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion, bind
from animate124.gaussians.turns import multiply
from animate124.geometry.cameras import Cameras, focal_length
from animate124.render.splat import State, rest_state, splat_images
from animate124.settings.reconstruct import ReconstructSettings
from animate124.stages.motion_task import MotionTask

_ANGLES = (30.0, -30.0, 60.0, -60.0, 90.0, -90.0, 135.0, -135.0, 180.0)  # degrees


def _axis_turns() -> Tensor:
    """Quaternions [28, 4]: none, and all angles about each of the world's axes."""
    half = torch.deg2rad(torch.tensor(_ANGLES)) / 2
    turns = [torch.tensor([[1.0, 0.0, 0.0, 0.0]])]
    for axis in torch.eye(3):
        turns.append(torch.cat([half.cos()[:, None], half.sin()[:, None] * axis], 1))
    return torch.cat(turns)


_TURNS = _axis_turns()


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
        return [first, *self.motion_groups(settings.lr, settings.lr_planes, settings.lr_turn)]

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
        for k in new:
            frame, among = self.order[k], [0, *self.order[:k]]
            self.rematch([frame], among, 1.0)
            self.search_turn(frame)
        done, steps = self._phase(step)
        if step >= self.settings.appearance and done in self._chances(steps):
            self.rematch(self.order, [0, *self.order], self.settings.better)

    def _chances(self, steps: int) -> set[int]:
        """Steps of the motion's phase at which frames may begin anew: when all have joined, and
        half way from there to the end."""
        span = self.settings.reveal
        return {int(share * steps) for share in (span, (1 + span) / 2) if 0 < share < 1}

    @torch.no_grad()
    def rematch(self, frames: list[int], among: list[int], better: float) -> None:
        """Give each of `frames` the pose, or the reverse of the pose, of one of `among`, if that
        shows the frame with less than `better` times the error of its own.

        A step follows its gradient only as far as pictures overlap. What a swing does on one side
        it often does on the other, and most poses are near one that was found already.
        """
        if not self.motion.tables():
            return
        turned = copy.deepcopy(self.motion)
        for table in turned.tables():
            table.reverse()
        poses = sorted({*frames, *among})
        states = [m.frames(self.cloud(), self.times[poses]) for m in (self.motion, turned)]
        errors = self._errors(tuple(map(torch.cat, zip(*states, strict=True))), frames)
        found = {p: k for k, p in enumerate(poses)}
        allowed = torch.full((2 * len(poses),), torch.inf)
        for p in among:
            allowed[[found[p], found[p] + len(poses)]] = 0.0
        sources = [self.motion, turned]
        taken = []
        for row, frame in zip(errors.cpu(), frames, strict=True):
            best = int((row + allowed).argmin())
            if row[best] < better * row[found[frame]]:
                tables = sources[best // len(poses)].tables()
                pose = poses[best % len(poses)]
                taken.append((frame, [t.key(pose).clone() for t in tables]))
        for frame, values in taken:
            for table, value in zip(self.motion.tables(), values, strict=True):
                table.keys[frame - 1].copy_(value)

    @torch.no_grad()
    def search_turn(self, frame: int) -> None:
        """Shift the whole at `frame` to where the silhouettes lie, or shift it and turn it about a
        world axis, where that leaves less than `better` times the error: a spin or a jump takes
        steps that are too long for a gradient. A turn has to beat the shift alone, because what is
        round looks much the same from every side."""
        if self.motion.turn is None:
            return
        time = self.times[[frame]]
        shift, turn = self.motion.whole(time)
        turns = multiply(_TURNS.to(turn)[:, None], turn)  # [C, 1, 4]; the first is as it is
        shifts = shift.expand(len(turns), 1, 3)
        parts = tuple(p.expand(len(turns), -1, -1) for p in self.motion.parts(time))

        def state(shifts: Tensor) -> State:
            return self.motion.frames(self.cloud(), time, parts, (shifts, turns))

        before = state(shifts)
        own = self._errors(tuple(x[:1] for x in before), [frame])[0, 0]
        shifts = shifts + self._off_centre(before, frame)[:, None]
        errors = self._errors(state(shifts), [frame])[0]
        better, best = self.settings.better, int(errors.argmin())
        if errors[best] >= better * torch.minimum(own, errors[0]):
            best = 0  # no turn is worth it
        if best or errors[0] < better * own:
            self.motion.set_whole(frame, shifts[best, 0], turns[best, 0])

    def _off_centre(self, state: State, frame: int) -> Tensor:
        """Shifts [M, 3] that take the middles of the states' silhouettes to those of `frame`, by
        least squares over the views."""
        cameras, size = self.cameras, self.cameras.height
        pixels = torch.arange(size, device=self.device) + 0.5

        def middle(alpha: Tensor) -> Tensor:
            total = alpha.sum((-2, -1)).clamp(min=1e-3)
            across = (alpha.sum(-2) * pixels).sum(-1) / total
            return torch.stack([across, -(alpha.sum(-1) * pixels).sum(-1) / total], -1)

        away = middle(self.clips[:, frame, 3])[:, None] - middle(self._images(state)[:, :, 3])
        distance = cameras.c2w[:, :3, 3].norm(dim=-1) / focal_length(cameras.fov_y, size)
        rows = cameras.c2w[:, :3, :2].transpose(1, 2).flatten(0, 1)  # [2V, 3]: right and up
        wanted = (away * distance[:, None, None]).permute(0, 2, 1).flatten(0, 1)  # [2V, M]
        return torch.linalg.lstsq(rows, wanted).solution.T

    def loss(self, step: int) -> dict[str, Tensor]:
        if step < self.settings.appearance:
            return self._looks()
        frames = self._chosen(step)
        parts = self.motion.parts(self.times[frames])
        return self.fit(frames, parts) | self.regular(parts, frames)

    def _chosen(self, step: int) -> Tensor:
        """Frames of this step: while frames still join the newest, and others at random."""
        joined = torch.tensor(self.order[: self.joined(step)])
        drawn = torch.randperm(len(joined), generator=self.generator("frames", step))
        if len(joined) < len(self.order):
            newest = len(joined) - 1
            drawn = torch.cat([drawn.new_tensor([newest]), drawn[drawn != newest]])
        return joined[drawn[: self.settings.frames_per_step]]

    def _images(self, state: State) -> Tensor:
        """What all cameras see of states [M, N, ...]: [V, M, 4, S, S]."""
        views, count = len(self.cameras), len(state[0])
        source = torch.arange(count, device=self.device).repeat(views)
        chosen = torch.arange(views, device=self.device).repeat_interleave(count)
        images = splat_images(self.cloud(), state, source, self.cameras[chosen])
        return images[..., :4].permute(0, 3, 1, 2).unflatten(0, (views, count))

    def _errors(self, state: State, frames: list[int]) -> Tensor:
        """How far each state [M, N, ...] is from each of `frames` [n], in all views: [n, M]."""
        images = self._images(state)
        weights = images.new_tensor([self.weights.rgb, self.weights.mask])
        rows = []
        for frame in frames:
            away = images - self.clips[:, frame, None]
            squares = self.squares(away.flatten(0, 1)).sum(0).unflatten(0, images.shape[:2])
            rows.append(squares.mean(0) @ weights)
        return torch.stack(rows)

    def _looks(self) -> dict[str, Tensor]:
        cloud = self.appearance.cloud()
        source = torch.zeros(len(self.cameras), dtype=torch.int64, device=self.device)
        images = splat_images(cloud, rest_state(cloud), source, self.cameras)
        terms = self.compared(images, self.clips[:, 0])
        return terms | {"keep": self.settings.keep * self.appearance.change()}


def joining_order(count: int, loop: bool) -> list[int]:
    """Frames 1 to count − 1 in the order in which they join: outwards from frame 0, in a loop on
    both sides of it."""
    if not loop:
        return list(range(1, count))
    pairs = [(k, count - k) for k in range(1, count // 2 + 1)]
    return [frame for pair in pairs for frame in dict.fromkeys(pair)]
