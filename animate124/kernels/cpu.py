"""CPU backend: the four operations and the perceptron as torch functions over the numba kernels.

Same signatures and results as kernels/reference.py. Float tensors are float32 on the CPU.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from animate124.kernels import cpu_composite, cpu_encode, cpu_march, cpu_mlp
from animate124.kernels.levels import GridLevels

SEGMENT = 1024  # samples an encoding task handles
MAX_SAMPLES = 4096  # samples a ray can have at most; more than any sensible step gives


def _columns(x: Tensor) -> np.ndarray:
    """[N, C] tensor as a contiguous [C, N] array; no copy when x is the transpose of one."""
    return x.detach().t().contiguous().numpy()


def _pairs(tables: np.ndarray) -> np.ndarray:
    """The two features of each row as one element: [G, rows, 2] -> [G, rows]; no copy."""
    return tables.view(np.float64)[..., 0]


def _segments(starts: np.ndarray) -> np.ndarray:
    """Cut groups into tasks: int64 [S, 3] of (group, from, to)."""
    rows = [
        (group, first, min(first + SEGMENT, last))
        for group, (begin, last) in enumerate(pairwise(starts))
        for first in range(begin, last, SEGMENT)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, tables, starts, levels, active):
        columns, begins = _columns(x), starts.numpy()
        out = np.empty((levels.width, len(x)), np.float32)
        cpu_encode.forward(
            columns, _pairs(tables.detach().contiguous().numpy()), _segments(begins.tolist()),
            levels.resolutions, levels.hashed, levels.offsets, active, out,
        )  # fmt: skip
        ctx.saved = columns, begins, levels, active, tables.shape
        return torch.from_numpy(out).t()

    @staticmethod
    def backward(ctx, gradient):
        columns, begins, levels, active, shape = ctx.saved
        out = np.empty(shape, np.float32)
        cpu_encode.backward(
            columns, _columns(gradient), begins,
            levels.resolutions, levels.hashed, levels.offsets, active, _pairs(out),
        )  # fmt: skip
        return None, torch.from_numpy(out), None, None, None


def encode(x: Tensor, tables: Tensor, starts: Tensor, levels: GridLevels, active: int) -> Tensor:
    """See reference.encode; differentiable in `tables` only. Needs two features a level."""
    if levels.features != 2:
        raise ValueError(f"encode: numba needs 2 features a level, got {levels.features}")
    return _Encode.apply(x, tables, starts, levels, active)


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w1, b1, w2, b2):
        columns = _columns(x)
        weights = [w.detach().contiguous().numpy() for w in (w1, b1, w2, b2)]
        out = np.empty((w2.shape[0], len(x)), np.float32)
        cpu_mlp.forward(columns, *weights, out)
        ctx.saved = columns, weights
        return torch.from_numpy(out).t()

    @staticmethod
    def backward(ctx, gradient):
        columns, (w1, b1, w2, _b2) = ctx.saved
        d_x = np.empty_like(columns)
        parts = [np.zeros((cpu_mlp.PARTS, *w.shape), np.float32) for w in ctx.saved[1]]
        cpu_mlp.backward(
            columns, _columns(gradient), w1, b1,
            np.ascontiguousarray(w1.T), np.ascontiguousarray(w2.T), d_x, *parts,
        )  # fmt: skip
        return torch.from_numpy(d_x).t(), *(torch.from_numpy(p.sum(0)) for p in parts)


def mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """See reference.mlp; every dimension must be a multiple of 4."""
    if any(n % 4 for n in (x.shape[1], w1.shape[0], w2.shape[0])):
        raise ValueError(f"mlp: widths must be multiples of 4: {x.shape}, {w1.shape}, {w2.shape}")
    return _Mlp.apply(x, w1, b1, w2, b2)


def march(
    origins: Tensor,
    directions: Tensor,
    groups: Tensor,
    density: Tensor,
    threshold: Tensor,
    bound: float,
    step: float,
    jitter: Tensor,
    stop: float,
    boxes: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """See reference.march; also returns the samples' unit-cube points [N, 3].

    boxes: float [G, 2, 3], corners of a box around the occupied cells of each group.
    """
    o, d = origins.contiguous().numpy(), directions.contiguous().numpy()
    longest = int(2 * bound * 3**0.5 / step) + 3
    if longest > MAX_SAMPLES:
        raise ValueError(f"march: {longest} steps of {step} cross the cube, above {MAX_SAMPLES}")
    scratch = np.empty((len(o), longest), np.float32)
    b, s = np.float32(bound), np.float32(step)
    grid, limits, rows = density.numpy(), threshold.numpy(), groups.numpy()
    across = -(-grid.shape[1] >> cpu_march.SHIFT)
    blocks = np.zeros((len(grid), across, across, across), np.bool_)
    cpu_march.fill_blocks(grid, limits, np.unique(rows), blocks)
    counts = cpu_march.march(
        o, d, rows, grid, limits, blocks, boxes.numpy(), b, s, jitter.numpy(), np.float32(stop),
        scratch,
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(counts)])
    distances = np.empty(offsets[-1], np.float32)
    points = np.empty((3, offsets[-1]), np.float32)
    cpu_march.pack(o, d, b, scratch, offsets, distances, points)
    return torch.from_numpy(offsets), torch.from_numpy(distances), torch.from_numpy(points).t()


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, colour, distances, offsets, step):
        arrays = (
            density.detach().contiguous().numpy(), _columns(colour), distances.numpy(),
            offsets.numpy(), np.float32(step),
        )  # fmt: skip
        rays = len(offsets) - 1
        rgb = np.empty((rays, 3), np.float32)
        opacity, distance = np.empty(rays, np.float32), np.empty(rays, np.float32)
        weights = np.empty(len(distances), np.float32)
        cpu_composite.forward(*arrays, rgb, opacity, distance, weights)
        ctx.saved = arrays, weights
        return tuple(map(torch.from_numpy, (rgb, opacity, distance, weights)))

    @staticmethod
    def backward(ctx, *gradients):
        arrays, weights = ctx.saved
        d_density = np.empty_like(weights)
        d_colour = np.empty((3, len(weights)), np.float32)
        cpu_composite.backward(
            *arrays, weights, *(g.contiguous().numpy() for g in gradients), d_density, d_colour
        )
        return torch.from_numpy(d_density), torch.from_numpy(d_colour).t(), None, None, None


def composite(
    density: Tensor, colour: Tensor, distances: Tensor, offsets: Tensor, step: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See reference.composite; differentiable in `density` and `colour`."""
    return _Composite.apply(density, colour, distances, offsets, step)
