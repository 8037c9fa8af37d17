"""Frame 0 of multi-view clips in training: given, and then no part of the loss."""

from __future__ import annotations

import torch
from torch import Tensor


def with_first(noisy: Tensor, first: Tensor, keep: Tensor) -> Tensor:
    """Noisy clips [B, n, F, c, h, w] with the clean frame 0 `first` [B, n, c, h, w] where `keep`
    [B] is 1; where it is 0, frame 0 is noisy as the others."""
    start = torch.lerp(noisy[:, :, 0], first, keep.view(-1, 1, 1, 1, 1))
    return torch.cat([start[:, :, None], noisy[:, :, 1:]], dim=2)


def error_beyond_first(output: Tensor, target: Tensor, keep: Tensor) -> Tensor:
    """Mean squared error of clips [B, n, F, c, h, w] over what is not given: all frames of an
    object but frame 0, and that one too where `keep` [B] is 0."""
    wanted = torch.ones_like(target)
    wanted[:, :, :1] -= keep.view(-1, 1, 1, 1, 1, 1)
    error = (output - target).square() * wanted
    return error.sum() / wanted.sum()
