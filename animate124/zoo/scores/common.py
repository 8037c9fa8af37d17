"""What the scores share: test clips, decibels, sheets."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from animate124.media.images import contact_sheet
from animate124.toybox import characters
from animate124.toybox.catalogue import SPECIES
from animate124.toybox.clip import Clip
from animate124.toybox.splits import seeds


def clips(split: str, count: int) -> list[Clip]:
    """`count` clips of a split, the species in turn, every character another one."""
    names = list(SPECIES)
    return [
        characters.sample_clip(seed, names[k % len(names)])
        for k, seed in enumerate(seeds(split, count))
    ]


def decibels(images: Tensor, truth: Tensor) -> Tensor:
    """PSNR [N] in dB of images [N, 3, H, W] in [0, 1]."""
    error = (images - truth).square().flatten(1).mean(1).clamp(min=1e-10)
    return -10.0 * torch.log10(error)


def channels_last(frames: Tensor) -> Tensor:
    """Frames [F, 3, H, W] as the metrics want them, [F, H, W, 3]."""
    return frames.permute(0, 2, 3, 1).contiguous()


def mean(values: list[float] | Tensor | np.ndarray, digits: int = 3) -> float:
    """The mean of numbers, rounded."""
    return round(float(np.mean(np.asarray(values, dtype=np.float64))), digits)


def sheet(rows: list[Tensor], labels: Sequence[str] = ()) -> np.ndarray:
    """A contact sheet [H, W, 3] of rows of images [N, 3, H, W] in [0, 1]."""
    return contact_sheet(
        [[image.clamp(0, 1).permute(1, 2, 0).numpy() for image in row] for row in rows],
        row_labels=labels,
    )
