"""What carries a motion over time: a table of keys, or multi-resolution hex-planes.

Both give raw numbers [T, P, C] of P points at T times, and exactly 0 at t = 0 whatever their
parameters are: rest is not something that training has to keep.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

_SNAP = 1e-4  # keys: a time this near to a key is that key's
_PAIRS = ((0, 1), (0, 2), (1, 2))


class Keys(nn.Module):
    """Values at F evenly spaced times, between them a cubic (Catmull and Rom 1974).

    Key k lies at k/F of a loop and at k/(F − 1) otherwise. Key 0 is 0 and no parameter; every other
    one is a parameter of its own, so that keys which a step does not touch are not moved.
    turn: first of four channels that are a quaternion less (1, 0, 0, 0): of two keys with opposite
    signs, which mean the same, the nearer one counts. None: no such channels.
    """

    def __init__(
        self, frames: int, points: int, channels: int, loop: bool, turn: int | None = None
    ) -> None:
        super().__init__()
        self.frames, self.loop, self.turn = frames, loop, turn
        self.keys = nn.ParameterList(torch.zeros(points, channels) for _ in range(frames - 1))
        self.register_buffer("rest", torch.zeros(points, channels), persistent=False)

    def key(self, k: int) -> Tensor:
        """Values [P, C] of key k."""
        return self.keys[k - 1] if k else self.rest

    def forward(self, times: Tensor) -> Tensor:
        """[T, P, C] at times [T] in [0, 1]."""
        return torch.stack([self._at(t) for t in times.tolist()])

    def _at(self, time: float) -> Tensor:
        place = time * (self.frames if self.loop else self.frames - 1)
        nearest = round(place)
        if abs(place - nearest) < _SNAP:
            return self.key(self._index(nearest))
        first = int(place)
        u = place - first
        weights = (
            u * (-0.5 + u * (1 - 0.5 * u)),
            1 + u * u * (1.5 * u - 2.5),
            u * (0.5 + u * (2 - 1.5 * u)),
            u * u * (0.5 * u - 0.5),
        )
        values = [self.key(self._index(first + k)) for k in (-1, 0, 1, 2)]
        if self.turn is not None:
            values = [self._same_side(v, values[1]) for v in values]
        return sum(w * v for w, v in zip(weights, values, strict=True))

    def _index(self, k: int) -> int:
        return k % self.frames if self.loop else min(max(k, 0), self.frames - 1)

    def _same_side(self, value: Tensor, like: Tensor) -> Tensor:
        a, b = self.turn, self.turn + 4
        one = torch.tensor([1.0, 0.0, 0.0, 0.0], device=value.device)
        turn = value[:, a:b] + one
        opposed = (turn * (like[:, a:b] + one)).sum(-1, keepdim=True) < 0
        turn = torch.where(opposed, -turn, turn) - one
        return torch.cat([value[:, :a], turn, value[:, b:]], -1)

    @torch.no_grad()
    def reverse(self) -> None:
        """Turn every key round: away from rest the other way, and quaternions to their inverses."""
        for key in self.keys:
            same = key.clone()
            key.neg_()
            if self.turn is not None:
                key[:, self.turn] = same[:, self.turn]


class HexPlanes(nn.Module):
    """Features of space and time on six planes a level (Cao and Johnson 2023), and small heads.

    As in Animate3D (spec §5.1 and 5.2) but that points are measured against the cloud's own box,
    t = 0 is subtracted, and a loop closes. Raw values are those of the heads, whose last layers
    start at 0: so every time renders the rest pose at first.
    """

    FEATURES, HIDDEN = 16, 32

    def __init__(
        self,
        points: Tensor,
        channels: tuple[int, ...],
        loop: bool,
        levels: tuple[tuple[int, int], ...],
        generator: torch.Generator,
    ) -> None:
        """points: [P, 3] at rest. channels: width of each head. levels: cells in space and time."""
        super().__init__()
        low, high = points.min(0).values, points.max(0).values
        half = ((high - low).max() / 2).clamp(min=1e-6)
        self.register_buffer("points", (points - (low + high) / 2) / half)
        self.loop = loop
        self.space, self.time = nn.ParameterList(), nn.ParameterList()
        for cells, moments in levels:
            shape = 3, self.FEATURES, cells
            draw = torch.rand(*shape, cells, generator=generator)
            self.space.append(nn.Parameter(0.1 + 0.4 * draw))
            self.time.append(nn.Parameter(torch.ones(*shape, moments)))
        width = self.FEATURES * len(levels)
        self.heads = nn.ModuleList()
        for count in channels:
            first, last = (nn.Linear(a, b, bias=False) for a, b in
                           ((width, self.HIDDEN), (self.HIDDEN, count)))  # fmt: skip
            scale = width**-0.5
            drawn = torch.rand(self.HIDDEN, width, generator=generator)
            first.weight.data.copy_(scale * (2 * drawn - 1))
            last.weight.data.zero_()
            self.heads.append(nn.Sequential(first, nn.ReLU(), last))

    def forward(self, times: Tensor) -> Tensor:
        """[T, P, C] at times [T] in [0, 1]; C: the heads' outputs side by side."""
        features = self._features(torch.cat([times.new_zeros(1), times]))
        raw = torch.cat([head(features) for head in self.heads], -1)
        return raw[1:] - raw[:1]

    def _features(self, times: Tensor) -> Tensor:
        pairs = torch.stack([self.points[:, p] for p in _PAIRS])[:, None]  # [3, 1, P, 2]
        axes = self.points.T[:, None, :, None].expand(-1, len(times), -1, 1)
        moments = (2 * times - 1)[None, :, None, None].expand(3, -1, axes.shape[2], 1)
        where = torch.cat([moments, axes], -1)  # [3, T, P, 2]
        found = []
        for space, time in zip(self.space, self.time, strict=True):
            if self.loop:  # the first moment again: t = 1 is t = 0
                time = torch.cat([time, time[..., :1]], -1)
            options = {"align_corners": True, "padding_mode": "border"}
            still = grid_sample(space, pairs, **options).prod(0)  # [16, 1, P]
            moving = grid_sample(time, where, **options).prod(0)  # [16, T, P]
            found.append(still * moving)
        return torch.cat(found).permute(1, 2, 0)
