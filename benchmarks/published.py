"""The published design of the 4D grid (Animate124, spec §3), in torch on the CPU, at our sizes.

What is as published: K encoders of their own, called in a Python loop over boolean masks for the
earlier and the later slice of every sample; tiled rows that drop an axis once the stride exceeds
the table; normals from central differences of the density, six more evaluations of the field with
gradient; a Python loop over frames for marching and compositing; dense Adam over all encoders; an
occupancy refresh that asks every cell of every slice.

What is given to it, so that only the design differs: the same levels, features, rows, hidden width
and rays; the same samples (our march) and our compositing kernel, since the original has fast
kernels for both; the fastest torch lookup we have (torch_encode.py) in place of its CUDA kernel;
fused Adam.
"""

import time
from itertools import pairwise

import steps
import torch
from torch import Tensor, nn
from torch_encode import Formulation, Level, encode

from animate124.fields.occupancy import OccupancyGrid
from animate124.kernels import dispatch
from animate124.kernels.levels import GridLevels

EPSILON = 0.01  # half width of the finite differences, world units
PARTS = ("march", "field", "normals", "composite", "backward", "adam")


def tiled_levels(levels: GridLevels) -> tuple[Level, ...]:
    """Levels of the published tiled grid (spec §3.1) at our number of levels, sizes and range."""
    growth = (levels.finest / levels.coarsest) ** (1 / (levels.levels - 1))
    result, first = [], 0
    for i in range(levels.levels):
        scale = levels.coarsest * growth**i - 1
        side = round(levels.coarsest * growth**i) + 1
        rows = (min(2**levels.log2_size, side**3) + 7) // 8 * 8
        strides, stride = [], 1
        for _ in range(3):  # an axis counts only while the running stride fits the table
            strides.append(stride if stride <= rows else 0)
            stride *= side
        wrap = side**3 > rows
        result.append(Level(scale, 0.5, side - 1, first, first + rows, tuple(strides), wrap))
        first += rows
    return tuple(result)


class PublishedField(nn.Module):
    """K encoders and a perceptron; time t in [0, 1] lies between encoders floor and ceil of
    t·(K − 1)."""

    def __init__(self, encoders: int, how: Formulation, seed: int = 0):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.levels, self.how = tiled_levels(steps.LEVELS), how
        rows, width = self.levels[-1].last, 2 * len(self.levels)
        self.encoders = nn.ParameterList(
            nn.Parameter((torch.rand(rows, 2, generator=g) * 2 - 1) * 1e-4) for _ in range(encoders)
        )
        self.hidden, self.out = (
            nn.Linear(width, steps.SETTINGS.hidden),
            nn.Linear(steps.SETTINGS.hidden, 4),
        )

    def features(self, x: Tensor, t: Tensor) -> Tensor:
        """Features [N, 2L] at unit-cube points [N, 3] and times [N]."""
        if len(self.encoders) == 1:
            return encode(x, self.encoders[0], self.levels, self.how)
        position = t * (len(self.encoders) - 1)
        low, high = position.floor().long(), position.ceil().long()
        ends = []
        for end in (low, high):
            out = x.new_zeros(len(x), self.hidden.in_features)
            for k, table in enumerate(self.encoders):
                mask = end == k
                if mask.any():
                    out[mask] = encode(x[mask], table, self.levels, self.how)
            ends.append(out)
        u = (position - low)[:, None]
        return (1 - u) * ends[0] + u * ends[1]

    def forward(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Density [N], 1/world unit, and albedo [N, 3]."""
        raw = self.out(torch.relu(self.hidden(self.features(x, t))))
        return raw[:, 0].clamp(max=15).exp(), torch.sigmoid(raw[:, 1:])

    def normals(self, x: Tensor, t: Tensor) -> Tensor:
        """Normals [N, 3]: central differences of the activated density, with gradient."""
        shift = torch.eye(3) * (EPSILON / (2 * steps.BOUND))
        ends = [(self((x + s).clamp(0, 1), t)[0] - self((x - s).clamp(0, 1), t)[0]) for s in shift]
        slope = torch.stack(ends, -1) * (0.5 / EPSILON)
        return nn.functional.normalize(-slope, dim=-1, eps=1e-12)


class PublishedModel:
    """The published training step beside a steps.Model, whose occupancy grid it marches through."""

    def __init__(self, encoders: int, how: Formulation, occupancy: OccupancyGrid):
        self.field, self.occupancy = PublishedField(encoders, how), occupancy
        heads = [*self.field.hidden.parameters(), *self.field.out.parameters()]
        self.adam = steps.optimiser(list(self.field.encoders), heads)
        self.generator = torch.Generator().manual_seed(0)

    def step(self, batch: steps.Batch) -> dict[str, float]:
        """A training step without the occupancy refresh; milliseconds of each of PARTS."""
        marks = [time.perf_counter()]
        marched = [self._march(batch, frame) for frame in range(len(batch.times))]
        points = torch.cat([points for _, _, points in marched])
        counts = torch.tensor([len(points) for _, _, points in marched])
        t = batch.times.repeat_interleave(counts)
        marks.append(time.perf_counter())
        density, albedo = self.field(points, t)
        marks.append(time.perf_counter())
        light = nn.functional.normalize(torch.randn(3, generator=self.generator), dim=0)
        lambert = (self.field.normals(points, t) @ light).clamp(min=0)
        colour = albedo * (0.5 + 0.5 * lambert)[:, None]
        marks.append(time.perf_counter())
        shown = []
        for (offsets, distances, _), sigma, rgb in zip(
            marched, density.split(counts.tolist()), colour.split(counts.tolist()), strict=True
        ):
            shown.append(dispatch.composite(sigma, rgb, distances, offsets, steps.STEP)[:2])
        rgb, opacity = (torch.cat(parts) for parts in zip(*shown, strict=True))
        value = steps.loss(rgb, opacity, batch, self.generator)
        marks.append(time.perf_counter())
        self.adam.zero_grad(set_to_none=True)
        value.backward()
        marks.append(time.perf_counter())
        for table in self.field.encoders:  # every encoder is stepped, with samples or without
            if table.grad is None:
                table.grad = torch.zeros_like(table)
        self.adam.step()
        marks.append(time.perf_counter())
        spans = [1e3 * (b - a) for a, b in pairwise(marks)]
        return dict(zip(PARTS, spans, strict=True))

    def _march(self, batch: steps.Batch, frame: int) -> tuple[Tensor, Tensor, Tensor]:
        density, threshold, boxes, rows = self.occupancy.at(batch.times[frame : frame + 1])
        origins, directions = batch.origins[frame], batch.directions[frame]
        group = torch.full((len(origins),), rows[0])
        jitter = torch.rand(len(origins), generator=self.generator)
        return dispatch.march(
            origins, directions, group, density, threshold, steps.BOUND, steps.STEP, jitter,
            float("inf"), boxes,
        )  # fmt: skip

    @torch.no_grad()
    def refresh_slice(self) -> None:
        """The published refresh of one occupancy slice: every cell, at one jittered time."""
        side = self.occupancy.side
        cell = torch.arange(side**3)
        corner = torch.stack([cell % side, cell // side % side, cell // side**2], -1)
        points = (corner + torch.rand(corner.shape, generator=self.generator)) / side
        time_of_slice = torch.rand(1, generator=self.generator).expand(len(points))
        value = self.field(points, time_of_slice)[0]
        torch.maximum(self.occupancy.density[0].flatten() * 0.95, value)
