"""Gaussian splatting on CUDA by gsplat (Ye et al. 2024, Apache-2.0). Specification:
kernels/splat_reference.py.

Differences from the reference: gsplat lets a Gaussian cover a pixel by 0.999 at most (here 0.99),
clamps the projection's Jacobian outside the image, and has no floor of the antialiasing factor.
"""

import torch
from torch import Tensor

from animate124.kernels.splat_reference import LOW_PASS, NEAR, image_matrix


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
    from gsplat import rasterization

    lens = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
    out = torch.empty(len(source), height, width, 5, device=positions.device)
    bottom = views.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(views), 1, 4)
    matrices = torch.cat([image_matrix(views), bottom], 1)
    for m in source.unique().tolist():
        chosen = (source == m).nonzero()[:, 0]
        images, alpha, _ = rasterization(
            positions[m],
            rotations[m],
            scales[m],
            opacities,
            colours,
            matrices[chosen],
            positions.new_tensor(lens).expand(len(chosen), 3, 3),
            width,
            height,
            near_plane=NEAR,
            eps2d=LOW_PASS,
            packed=False,
            render_mode="RGB+D",
            rasterize_mode="antialiased" if antialias else "classic",
        )
        planes = torch.cat([images[..., :3], alpha, images[..., 3:]], -1)
        out = out.index_copy(0, chosen, planes)
    return out
