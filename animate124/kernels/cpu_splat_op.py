"""Gaussian splatting on the CPU as a torch function over the numba kernels."""

import numpy as np
import torch
from torch import Tensor

from animate124.kernels import cpu_splat
from animate124.kernels.splat_reference import image_matrix

FEW = 4  # with fewer images than this, every image is cut into FEW bands to be drawn in parallel


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, positions, rotations, scales, opacities, colours, views, source, focal, height, width,
        antialias,
    ):  # fmt: skip
        given = positions, rotations, scales, opacities, colours
        arrays = [t.detach().contiguous().numpy() for t in given]
        matrices = image_matrix(views.detach()).contiguous().numpy()
        rows, focal = source.contiguous().numpy(), np.float32(focal)
        shape = len(rows), positions.shape[1]
        bands = 1 if len(rows) >= FEW else FEW
        screen = np.empty((*shape, cpu_splat.SCREEN), np.float32)
        boxes, order = np.empty((*shape, 4), np.int32), np.empty(shape, np.int32)
        counts = np.empty(len(rows), np.int64)
        cpu_splat.prepare(
            *arrays[:4], matrices, rows, focal, antialias, height, width,
            screen, boxes, order, counts,
        )  # fmt: skip
        out = np.zeros((len(rows), height, width, 5), np.float32)
        drawn = screen, boxes, order, counts, arrays[4], bands
        cpu_splat.composite(*drawn, out)
        ctx.saved = arrays, matrices, rows, focal, antialias, drawn, out
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx, gradient):
        arrays, matrices, rows, focal, antialias, drawn, out = ctx.saved
        bands = drawn[-1]
        shape = len(rows) * bands, arrays[0].shape[1], cpu_splat.GRADIENTS
        d_screen = np.zeros(shape, np.float32)
        cpu_splat.composite_backward(*drawn, out, gradient.contiguous().numpy(), d_screen)
        found = [np.zeros_like(a) for a in arrays]
        cpu_splat.prepare_backward(
            *arrays[:4], matrices, rows, focal, antialias, bands, d_screen, *found
        )
        return *(torch.from_numpy(f) for f in found), *[None] * 6


def splat(
    positions: Tensor,
    rotations: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colours: Tensor,
    views: Tensor,
    source: Tensor,
    focal: float,
    height: int,
    width: int,
    antialias: bool = True,
) -> Tensor:
    """See splat_reference.splat; float32; differentiable in all but the cameras."""
    return _Splat.apply(
        positions, rotations, scales, opacities, colours, views, source, focal, height, width,
        antialias,
    )  # fmt: skip
