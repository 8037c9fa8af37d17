"""Cameras as MVDream's networks are told of them (arXiv 2308.16512), from our angles."""

from __future__ import annotations

import torch
from torch import Tensor


def camera_vectors(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Camera-to-world matrices [..., 16], row by row, of cameras that look at the origin.

    Their world has z up and azimuth 0 on +x; angles grow as ours do. The columns are right, up,
    backwards and the position, which has length 1 whatever the distance; neither distance nor
    field of view is told.

    Args:
        azimuth, elevation: degrees, of one shape [...].
    """
    a, e = torch.deg2rad(azimuth.double()), torch.deg2rad(elevation.double())
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    position = torch.stack([e.cos() * a.cos(), e.cos() * a.sin(), e.sin()], dim=-1)
    right = torch.stack([-a.sin(), a.cos(), zero], dim=-1)
    up = torch.stack([-e.sin() * a.cos(), -e.sin() * a.sin(), e.cos()], dim=-1)
    rows = torch.stack([right, up, position, position], dim=-1)  # [..., 3, 4]
    last = torch.stack([zero, zero, zero, one], dim=-1)[..., None, :]
    return torch.cat([rows, last], dim=-2).flatten(-2).float()
