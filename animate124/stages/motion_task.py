"""What reconstruct and polish share: pictures of a moving cloud, compared and kept stiff."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from animate124 import runtime
from animate124.gaussians.arap import arap
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion
from animate124.gaussians.tracks import Keys
from animate124.gaussians.turns import less_identity
from animate124.geometry.cameras import Cameras
from animate124.render.splat import splat_images
from animate124.settings.reconstruct import FitWeights
from animate124.settings.training import TrainSettings
from animate124.training import Task

BETAS, EPSILON = (0.9, 0.99), 1e-15
_SHOWN = 8  # moments of a preview

Parts = tuple[Tensor, Tensor, Tensor]


class MotionTask(Task):
    """Optimisation of a motion. A subclass sets `name` and gives `cloud` and `loss`.

    clips: [V, F, 4, S, S] float RGBA, colours premultiplied on black. cameras: V of size S.
    follows: whether the clips are anything to follow.
    """

    follows = True

    def __init__(
        self,
        motion: Motion,
        clips: Tensor,
        cameras: Cameras,
        weights: FitWeights,
        train: TrainSettings,
    ) -> None:
        shape = len(cameras), motion.keyframes, 4, cameras.height, cameras.width
        if clips.shape != shape:
            raise ValueError(f"clips are {list(clips.shape)}, not {list(shape)}")
        self.motion, self.clips, self.cameras = motion, clips, cameras
        self.weights, self.train, self.seed = weights, train, train.seed
        self.times = motion.times()

    @property
    def device(self) -> torch.device:
        return self.clips.device

    def cloud(self) -> Cloud:
        """The cloud at rest as it looks now, without gradients."""
        raise NotImplementedError

    def motion_groups(self, lr: float, lr_planes: float, lr_turn: float) -> list[dict]:
        """Parameter groups: nodes' keys and the whole's shift at lr, hex-planes at lr_planes with
        their heads at a tenth of it, and the whole's turn at lr · lr_turn."""
        rates: dict[float, list[tuple[str, Tensor]]] = {}
        for prefix in ("local", "shift", "turn"):
            module = getattr(self.motion, prefix)
            for name, parameter in [] if module is None else module.named_parameters():
                rate = lr if isinstance(module, Keys) else lr_planes
                rate *= lr_turn if prefix == "turn" else 1.0
                rate *= 0.1 if name.startswith("heads.") else 1.0
                rates.setdefault(rate, []).append((f"{prefix}.{name}", parameter))
        return [self.group(named, rate) for rate, named in rates.items()]

    @staticmethod
    def group(named: list[tuple[str, Tensor]], lr: float) -> dict:
        """One parameter group for Adam."""
        return {"params": named, "lr": lr, "betas": BETAS, "eps": EPSILON}

    def generator(
        self, concern: str, step: int, device: torch.device | str = "cpu"
    ) -> torch.Generator:
        """The random stream of one concern at one step."""
        return runtime.generator(self.seed, self.name, concern, step, device=device)

    def fit(self, frames: Tensor, parts: Parts | None = None) -> dict[str, Tensor]:
        """Terms rgb and mask: the pictures of `frames` [n] (int64) from all cameras at once."""
        cloud, views = self.cloud(), len(self.cameras)
        state = self.motion.frames(cloud, self.times[frames], parts)
        source = torch.arange(len(frames), device=self.device).repeat(views)
        chosen = torch.arange(views).repeat_interleave(len(frames))
        images = splat_images(cloud, state, source, self.cameras[chosen.to(self.device)])
        return self.compared(images, self.clips[:, frames].flatten(0, 1))

    def compared(self, images: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Terms rgb and mask of images [B, S, S, 5] and truth [B, 4, S, S]."""
        away = images[..., :4].permute(0, 3, 1, 2) - truth
        rgb, mask = self.squares(away).sum(0).mean(0)
        return {"rgb": self.weights.rgb * rgb, "mask": self.weights.mask * mask}

    def squares(self, away: Tensor) -> Tensor:
        """Mean squares of differences [B, 4, S, S] by size: [levels, B, 2], colour and coverage.
        Small sizes see far motions."""
        found = []
        for level in range(self.weights.levels):
            if level:
                if min(away.shape[-2:]) < 2:
                    break
                away = avg_pool2d(away, 2)
            square = away.square().mean((2, 3))
            found.append(torch.stack([square[:, :3].mean(1), square[:, 3]], 1))
        return torch.stack(found)

    def stiffness(self, parts: Parts) -> Tensor:
        """ARAP energy of the moments that `parts` (`Motion.parts`) are of; a scalar."""
        shift, turn, _ = parts
        turns = less_identity(turn) + torch.eye(3, device=turn.device)
        points = self.motion.points
        return arap(points, points + shift, self.motion.edges, turns)

    def regular(self, parts: Parts, frames: Tensor) -> dict[str, Tensor]:
        """Terms arap, growth and smooth at the frames [n] that `parts` are of."""
        weights = self.weights
        terms = {
            "arap": weights.arap * self.stiffness(parts),
            "growth": weights.growth * parts[2].square().mean(),
        }
        if weights.smooth:
            terms["smooth"] = weights.smooth * self.unevenness(frames)
        return terms

    def unevenness(self, frames: Tensor) -> Tensor:
        """Mean square second difference over time of the local shifts at `frames`; a scalar."""
        count, loop = len(self.times), self.motion.loop
        inner = frames if loop else frames[(frames > 0) & (frames < count - 1)]
        if len(inner) == 0 or count < 3:
            return self.motion.points.new_zeros(())
        asked = torch.cat([inner - 1, inner, inner + 1]) % count
        before, here, after = self.motion.parts(self.times[asked])[0].chunk(3)
        return (before - 2 * here + after).square().sum(-1).mean()

    def preview(self, step: int) -> Tensor:
        """Truth above result: one view over time, another view every time."""
        turn = step // max(self.train.preview_every, 1)
        return torch.cat(list(self.strips(turn % len(self.cameras))))

    @torch.no_grad()
    def strips(self, view: int, count: int = _SHOWN) -> Tensor:
        """Truth and result [2, S, n·S, 3] over white, n ≤ count moments side by side."""
        chosen = self.shown(count)
        cloud = self.cloud()
        state = self.motion.frames(cloud, self.times[chosen])
        cameras = self.cameras[torch.full((len(chosen),), view, device=self.device)]
        images = splat_images(cloud, state, torch.arange(len(chosen)).to(self.device), cameras)
        rows = []
        for planes in (self.clips[view, chosen].permute(0, 2, 3, 1), images):
            white = planes[..., :3] + 1 - planes[..., 3:4]
            rows.append(white.clamp(0, 1).transpose(0, 1).flatten(1, 2))
        return torch.stack(rows)

    def shown(self, count: int) -> Tensor:
        """Frames [n], n ≤ count, spread over the clip."""
        total = len(self.times)
        return torch.linspace(0, total - 1, min(count, total)).round().long()
