"""Random placement and camera-like degradation of training images, from numpy streams."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def placements(
    rng: np.random.Generator,
    count: int,
    scales: tuple[float, float],
    shift: float,
    still: float,
) -> Tensor:
    """`count` affine maps [count, 2, 3] from output to input places, for `place`.

    Args:
        scales: least and largest magnification of the subject.
        shift: largest move along x and y, as a share of the image's edge.
        still: share of the images that stay as they are. Half of the others are mirrored.
    """
    scale = np.exp(rng.uniform(math.log(scales[0]), math.log(scales[1]), count))
    move = rng.uniform(-2.0 * shift, 2.0 * shift, (count, 2))
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    kept = rng.random(count) < still
    scale, mirror = np.where(kept, 1.0, scale), np.where(kept, 1.0, mirror)
    move[kept] = 0.0
    maps = np.zeros((count, 2, 3), np.float32)
    maps[:, 0, 0], maps[:, 1, 1] = mirror / scale, 1.0 / scale
    maps[:, :, 2] = move / scale[:, None]
    return torch.from_numpy(maps)


def place(images: Tensor, maps: Tensor, mode: str = "bilinear") -> Tensor:
    """Images [N, C, H, W] seen through `maps`; 0 outside, so colours must be premultiplied."""
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode, "zeros", align_corners=False)


def photograph(rng: np.random.Generator, images: Tensor, clean: float = 0.3) -> Tensor:
    """Images [N, 3, H, W] in [0, 1] as a poorer camera gives them; the share `clean` stays.

    Contrast, brightness and tint, a slight blur (what JPEG and resizing do to edges), noise.
    """
    count = len(images)
    contrast = _column(rng.uniform(0.7, 1.3, (count, 1)))
    offset = _column(rng.uniform(-0.15, 0.15, (count, 1)) + rng.uniform(-0.04, 0.04, (count, 3)))
    soft = _column(rng.uniform(0.0, 0.25, (count, 1)) * (rng.random((count, 1)) < 0.5))
    noise = torch.from_numpy(rng.standard_normal(tuple(images.shape), np.float32))
    level = _column(rng.uniform(0.0, 0.04, (count, 1)))
    made = (images - 0.5) * contrast + 0.5 + offset
    made = (_soften(made, soft) + noise * level).clamp(0.0, 1.0)
    kept = torch.from_numpy(rng.random(count) < clean)[:, None, None, None]
    return torch.where(kept, images, made)


def disturbed(rng: np.random.Generator, frames: Tensor) -> Tensor:
    """A clip [F, 3, H, W] shifted, scaled, blurred and noisy, as imperfect renderings are."""
    size = frames.shape[-1]
    if rng.random() < 0.5:
        scale, shift = rng.uniform(0.8, 1.15), rng.uniform(-0.12, 0.12, 2)
        theta = torch.tensor([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]]).float()
        grid = functional.affine_grid(
            theta.expand(len(frames), 2, 3), list(frames.shape), align_corners=False
        )
        frames = functional.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    if rng.random() < 0.4:
        small = int(rng.integers(20, 48))
        frames = functional.interpolate(frames, size=small, mode="area")
        frames = functional.interpolate(frames, size=size, mode="bilinear")
    if rng.random() < 0.5:
        noise = torch.from_numpy(rng.standard_normal(tuple(frames.shape), np.float32))
        frames = frames + noise * float(rng.random()) * 0.05
    return frames.clamp(0.0, 1.0)


def _column(values: np.ndarray) -> Tensor:
    """[N, C] as float32 [N, C, 1, 1]."""
    return torch.from_numpy(values.astype(np.float32))[:, :, None, None]


def _soften(images: Tensor, weight: Tensor) -> Tensor:
    """The filter (w, 1 − 2w, w) along both axes, w [N, 1, 1, 1]."""
    for axis in (2, 3):
        pads = (1, 1, 0, 0) if axis == 3 else (0, 0, 1, 1)
        padded = functional.pad(images, pads, mode="replicate")
        size = images.shape[axis]
        sides = padded.narrow(axis, 0, size) + padded.narrow(axis, 2, size)
        images = images * (1.0 - 2.0 * weight) + sides * weight
    return images
