"""Quaternions (w, x, y, z) as motions use them."""

from __future__ import annotations

import torch
from torch import Tensor


def multiply(one: Tensor, other: Tensor) -> Tensor:
    """The quaternion [..., 4] of turning by `other` first and by `one` then."""
    a, b, c, d = one.unbind(-1)
    w, x, y, z = other.unbind(-1)
    parts = (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )
    return torch.stack(parts, -1)


def less_identity(quaternion: Tensor) -> Tensor:
    """Rotation matrices minus the identity [..., 3, 3] of unit quaternions; exactly 0 at rest."""
    w, x, y, z = quaternion.unbind(-1)
    entries = (
        *(-(y * y + z * z), x * y - w * z, x * z + w * y),
        *(x * y + w * z, -(x * x + z * z), y * z - w * x),
        *(x * z - w * y, y * z + w * x, -(x * x + y * y)),
    )
    return 2 * torch.stack(entries, -1).unflatten(-1, (3, 3))


def scaled(quaternion: Tensor, factor: float) -> Tensor:
    """Unit quaternions [..., 4] of turning about the same axes by `factor` times the angles, which
    are taken from -180 to 180 degrees."""
    quaternion = aligned(quaternion, quaternion.new_tensor([1.0, 0.0, 0.0, 0.0]))
    sine = quaternion[..., 1:].norm(dim=-1, keepdim=True)
    half = factor * torch.atan2(sine, quaternion[..., :1])
    axis = quaternion[..., 1:] / sine.clamp(min=1e-12)
    return torch.cat([half.cos(), half.sin() * axis], -1)


def aligned(quaternions: Tensor, like: Tensor) -> Tensor:
    """The same rotations with the sign that is nearer to `like`; both [..., 4]."""
    opposed = (quaternions * like).sum(-1, keepdim=True) < 0
    return torch.where(opposed, -quaternions, quaternions)
