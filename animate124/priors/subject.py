"""A matted subject as training images: on ever new backgrounds, a little moved, turned and scaled.

What varies from draw to draw cannot be what the pictures have in common, so a word that is learnt
from them means the subject and not its surroundings.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from animate124.errors import UserError
from animate124.media import images
from animate124.settings.invert import InversionSettings

_PATCHES = (1, 2, 4, 8)  # cells per edge of a background: plain, gradient, large and small patches
_MATTED = 0.5


def prepare_subject(image: np.ndarray, size: int) -> Tensor:
    """A straight-alpha RGBA image [H, W, 4] in [0, 1] as premultiplied float32 [4, size, size].

    It is padded to a square with nothing, not cropped or moved, and resized by area.

    Raises:
        UserError: no alpha channel, or an alpha that leaves nothing or everything.
    """
    remedy = "cut it out first, with transparency around it"
    if image.ndim != 3 or image.shape[2] != 4:
        raise UserError(f"The image has no alpha channel, so its subject is unknown: {remedy}.")
    inside = image[..., 3] > _MATTED
    if not inside.any():
        raise UserError(f"The image's alpha leaves nothing of it: {remedy}.")
    if inside.all():
        raise UserError(f"The image is opaque everywhere, so its subject is unknown: {remedy}.")
    height, width = inside.shape
    edge = max(height, width)
    square = np.zeros((edge, edge, 4), np.float32)
    top, left = (edge - height) // 2, (edge - width) // 2
    square[top : top + height, left : left + width] = image
    square = images.resize(square, size, size, "area")
    square[..., :3] *= square[..., 3:]
    return torch.from_numpy(square).permute(2, 0, 1).contiguous()


def over(rgba: Tensor, background: Tensor | float) -> Tensor:
    """Premultiplied RGBA [..., 4, H, W] over a background: [..., 3, H, W] in [0, 1]."""
    return rgba[..., :3, :, :] + (1.0 - rgba[..., 3:, :, :]) * background


def draw_images(
    subject: Tensor, count: int, settings: InversionSettings, generator: torch.Generator
) -> Tensor:
    """`count` training images [count, 3, S, S] in [0, 1] of a premultiplied subject [4, S, S]."""
    moved = grid_sample(
        subject.expand(count, -1, -1, -1),
        affine_grid(
            _placements(count, settings, generator), [count, *subject.shape], align_corners=False
        ),
        align_corners=False,
    )
    background = draw_backgrounds(count, subject.shape[-1], generator)
    background[torch.rand(count, generator=generator) < settings.white] = 1.0
    return over(moved, background).clamp(0.0, 1.0)


def draw_backgrounds(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Plain colours, gradients, large and small soft patches: [count, 3, size, size] in [0, 1]."""
    kinds = torch.randint(len(_PATCHES), (count,), generator=generator).tolist()
    made = []
    for kind in kinds:
        cells = _PATCHES[kind]
        colors = torch.rand(1, 3, cells, cells, generator=generator)
        made.append(interpolate(colors, size=(size, size), mode="bilinear", align_corners=False))
    return torch.cat(made)


def _placements(count: int, settings: InversionSettings, generator: torch.Generator) -> Tensor:
    """Affine maps [count, 2, 3] from places in the new image to places in the old one."""
    scale, turn, right, down, flip = torch.rand(5, count, generator=generator)
    scale = 1.0 + settings.scale_jitter * (2.0 * scale - 1.0)
    angle = math.radians(settings.rotation) * (2.0 * turn - 1.0)
    mirror = torch.where(flip < settings.flip, -1.0, 1.0)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    shift = 2.0 * settings.shift * (2.0 * torch.stack((right, down)) - 1.0)  # the frame is 2 wide
    rows = (torch.stack((mirror * cos, -sin, shift[0])), torch.stack((mirror * sin, cos, shift[1])))
    return torch.stack(rows).permute(2, 0, 1)
