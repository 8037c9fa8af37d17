"""CUDA backend: the operations as torch functions over the Triton kernels.

Same signatures and results as kernels/reference.py, up to float rounding. Everything is computed in
float32, also under autocast: a density is an exponential, and a blended table's differences between
frames are smaller than half precision resolves. Inputs of another float type are converted first.

The perceptron is torch's own (cuBLAS); torch.set_float32_matmul_precision decides whether its
products use TF32. tinycudann's fused perceptron has no biases and works in half precision, so it
is another network and not a faster form of this one: see kernels/tcnn.py.
"""

import math
from functools import lru_cache

import numpy as np
import torch
import triton
from torch import Tensor

from animate124.kernels import cuda_composite, cuda_encode, cuda_march, reference
from animate124.kernels.levels import GridLevels


@lru_cache(maxsize=16)
def _level_table(levels: GridLevels, device: torch.device) -> Tensor:
    """Resolution, first row, rows and hashed of each level, int32 [L, 4] on the device."""
    columns = (levels.resolutions, levels.offsets[:-1], levels.sizes, levels.hashed)
    return torch.from_numpy(np.stack(columns, -1).astype(np.int32)).to(device)


def _groups(starts: Tensor, samples: int) -> Tensor:
    """Group of each sample, int32 [N]; it does not wait for the device as group_of does."""
    index = torch.arange(samples, device=starts.device)
    return torch.bucketize(index, starts[1:], right=True, out_int32=True)


def _fixed_scale(gradient: Tensor) -> Tensor:
    """Power of two, float32 [1], by which the sum of all gradients still fits 62 bits.

    A gradient that is infinite or not a number makes the scale, and so the result, not a number.
    """
    largest = gradient.abs().max().clamp(min=1e-30)
    exponent = 61 - math.ceil(math.log2(len(gradient))) - largest.log2().ceil()
    return torch.where(largest.isfinite(), exponent.clamp(max=120).exp2(), math.nan).reshape(1)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, tables, starts, levels, active):
        samples = len(x)
        tables = tables.contiguous()
        groups = _groups(starts, samples)
        out = x.new_empty(levels.width, samples).t()
        if samples:
            grid = (triton.cdiv(samples, cuda_encode.BLOCK), levels.levels)
            with torch.cuda.device_of(x):
                cuda_encode.forward[grid](
                    x, *x.stride(), groups, tables, tables.shape[1],
                    _level_table(levels, x.device), out, *out.stride(), samples, active,
                    FEATURES=levels.features, BLOCK=cuda_encode.BLOCK,
                )  # fmt: skip
        ctx.save_for_backward(x, groups)
        ctx.saved = levels, min(active, levels.levels), tables.shape
        return out

    @staticmethod
    def backward(ctx, gradient):
        x, groups = ctx.saved_tensors
        levels, active, shape = ctx.saved
        if not len(x) or active <= 0:
            return None, gradient.new_zeros(shape), None, None, None
        fixed = torch.are_deterministic_algorithms_enabled()
        scale = _fixed_scale(gradient) if fixed else gradient.new_ones(1)
        out = gradient.new_zeros(shape, dtype=torch.int64 if fixed else torch.float32)
        grid = (triton.cdiv(len(x), cuda_encode.BLOCK), active)
        with torch.cuda.device_of(x):
            cuda_encode.backward[grid](
                x, *x.stride(), groups, gradient, *gradient.stride(), shape[1],
                _level_table(levels, x.device), out, scale, len(x),
                FEATURES=levels.features, FIXED=fixed, BLOCK=cuda_encode.BLOCK,
            )  # fmt: skip
        return None, out.float().div_(scale) if fixed else out, None, None, None


def encode(x: Tensor, tables: Tensor, starts: Tensor, levels: GridLevels, active: int) -> Tensor:
    """See reference.encode; differentiable in `tables` only.

    The gradient is summed by float additions in no fixed order, so its last bits vary from run to
    run. Under torch.use_deterministic_algorithms it is summed in 64-bit fixed point instead, which
    gives the same bytes every time.
    """
    return _Encode.apply(x.float(), tables.float(), starts, levels, active)


def mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """See reference.mlp."""
    with torch.autocast(x.device.type, enabled=False):
        return reference.mlp(*(a.float() for a in (x, w1, b1, w2, b2)))


@torch.no_grad()
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

    boxes: float [G, 2, 3], corners of a box around the occupied cells of each group. Waits for the
    device once, for the number of samples.
    """
    rays = len(origins)
    offsets = torch.zeros(rays + 1, dtype=torch.int64, device=origins.device)
    if not rays:
        empty = origins.new_empty(3, 0, dtype=torch.float32)
        return offsets, empty[0], empty.t()
    floats = [a.float().contiguous() for a in (origins, directions, density, threshold, boxes)]
    o, d, grid, limit, box = floats
    shift = jitter.float().contiguous()
    side = density.shape[-1]
    counts = torch.empty(rays, dtype=torch.int64, device=o.device)

    def run(distances: Tensor, points: Tensor, write: int) -> None:
        with torch.cuda.device_of(o):
            cuda_march.march[(triton.cdiv(rays, cuda_march.BLOCK),)](
                o, d, groups, grid, limit, box, shift, counts, offsets, distances, points, rays,
                len(distances), side, float(bound), side / (2 * bound), 0.5 / bound, float(step),
                float(stop), write,
                BLOCK=cuda_march.BLOCK, num_warps=1, enable_fp_fusion=False,
            )  # fmt: skip

    run(o.new_empty(1), o.new_empty(3, 1), 0)
    torch.cumsum(counts, 0, out=offsets[1:])
    samples = int(offsets[-1])
    distances, points = o.new_empty(samples), o.new_empty(3, samples)
    if samples:
        run(distances, points, 1)
    return offsets, distances, points.t()


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, colour, distances, offsets, step):
        rays = len(offsets) - 1
        rgb = density.new_empty(rays, 3)
        opacity, distance = density.new_empty(rays), density.new_empty(rays)
        weights, through = torch.empty_like(density), torch.empty_like(density)
        if rays:
            with torch.cuda.device_of(density):
                cuda_composite.forward[(rays,)](
                    density, colour, *colour.stride(), distances, offsets, step,
                    rgb, opacity, distance, weights, through,
                    BLOCK=cuda_composite.BLOCK, num_warps=1,
                )  # fmt: skip
        ctx.save_for_backward(colour, distances, offsets, weights, through)
        ctx.step = step
        return rgb, opacity, distance, weights

    @staticmethod
    def backward(ctx, *gradients):
        colour, distances, offsets, weights, through = ctx.saved_tensors
        d_density, d_colour = torch.empty_like(weights), weights.new_empty(3, len(weights))
        if len(offsets) > 1:
            with torch.cuda.device_of(weights):
                cuda_composite.backward[(len(offsets) - 1,)](
                    colour, *colour.stride(), distances, offsets, ctx.step, weights, through,
                    *(g.contiguous() for g in gradients), d_density, d_colour, len(weights),
                    BLOCK=cuda_composite.BLOCK, num_warps=1,
                )  # fmt: skip
        return d_density, d_colour.t(), None, None, None


def composite(
    density: Tensor, colour: Tensor, distances: Tensor, offsets: Tensor, step: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See reference.composite; differentiable in `density` and `colour`."""
    return _Composite.apply(
        density.float().contiguous(), colour.float(), distances.float().contiguous(), offsets,
        float(step),
    )  # fmt: skip
