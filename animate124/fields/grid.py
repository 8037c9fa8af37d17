"""The 4D grid of Animate124 (spec §3.2): K time slices of a 3D multi-resolution table.

All samples of a frame share t, so the two neighbouring slices are blended once per frame and the
lookup that follows is a plain 3D encode: exact, and K does not enter its cost.
"""

import mmap

import torch
from torch import Tensor, nn

from animate124.kernels.levels import GridLevels

_AT_SLICE = 1e-4  # of the distance between two slices


def slice_weights(times: Tensor, slices: int, loop: bool) -> list[tuple[int, int, float]]:
    """Neighbouring slices and the weight of the second, for each time in [0, 1].

    Slice k lies at t = k / (K − 1), or at k / K when the clip loops (then slice K is slice 0).
    """
    result = []
    for t in times.tolist():
        position = t * slices if loop else t * (slices - 1)
        # A time at a slice is that slice alone: float32 times miss it by a few 1e-6, and Adam would
        # blow the neighbour's vanishing gradient up to full steps.
        if abs(position - round(position)) < _AT_SLICE:
            position = float(round(position))
        low = int(position)
        weight = position - low
        high = (low + 1) % slices if loop else min(low + 1, slices - 1)
        result.append((low % slices, high, weight))
    return result


def _reserved_zeros(rows: int, features: int) -> Tensor:
    """Float zeros [rows, features] that take memory only once they are written.

    torch.zeros writes them at once, and so does calloc on a heap that grows in large steps.
    """
    return torch.frombuffer(mmap.mmap(-1, rows * features * 4), dtype=torch.float32).view(
        rows, features
    )


class _Blend(torch.autograd.Function):
    """tables[g] = base + (1 − u)·slice[k0] + u·slice[k1]; gradients only for slices that occur."""

    @staticmethod
    def forward(ctx, plan, base, *slices):
        reference = slices[0] if base is None else base
        out = torch.empty((len(plan), *reference.shape), device=reference.device)
        for row, (low, high, weight) in zip(out, plan, strict=True):
            if weight == 0.0:
                torch.add(slices[low], base, out=row) if base is not None else row.copy_(
                    slices[low]
                )
                continue
            torch.lerp(slices[low], slices[high], weight, out=row)
            if base is not None:
                row.add_(base)
        ctx.plan, ctx.count, ctx.has_base = plan, len(slices), base is not None
        return out

    @staticmethod
    def backward(ctx, gradient):
        slices: list[Tensor | None] = [None] * ctx.count
        for row, (low, high, weight) in zip(gradient, ctx.plan, strict=True):
            for k, w in ((low, 1 - weight), (high, weight)):
                if w == 0.0:
                    continue
                if slices[k] is None:
                    slices[k] = row * w
                else:
                    slices[k].add_(row, alpha=w)
        return None, gradient.sum(0) if ctx.has_base else None, *slices


class TimeGrid(nn.Module):
    """Table of a 4D multi-resolution grid; one parameter per time slice.

    levels: the 3D grid of a slice. slices: K. loop: whether time is periodic. base: keep a static
    table that all times share and let the slices hold only the difference ("residual"); without it
    every slice is a table of its own (the paper's "slices").
    A slice that no step touches gets no gradient, no optimiser state, and, because zeros are only
    reserved, next to no memory: K is free for a short clip.
    """

    def __init__(self, levels: GridLevels, slices: int, loop: bool, base: bool, generator=None):
        super().__init__()
        self.levels, self.loop = levels, loop
        shape = (levels.rows, levels.features)
        start = (torch.rand(shape, generator=generator) * 2 - 1) * 1e-4
        self.base = nn.Parameter(start) if base else None
        self.slices = nn.ParameterList(
            nn.Parameter(_reserved_zeros(*shape) if base else start.clone()) for _ in range(slices)
        )

    def plan(self, times: Tensor) -> list[tuple[int, int, float]]:
        """(slice, next slice, weight of the next) for each time of `times` [G]."""
        return slice_weights(times, len(self.slices), self.loop)

    def tables(self, times: Tensor) -> Tensor:
        """The 3D tables at `times` [G] in [0, 1]: float [G, rows, F]."""
        plan = self.plan(times)
        used = sorted({k for low, high, w in plan for k in ((low, high) if w else (low,))})
        position = {k: i for i, k in enumerate(used)}
        compact = [(position[low], position.get(high, 0), w) for low, high, w in plan]
        return _Blend.apply(compact, self.base, *(self.slices[k] for k in used))
