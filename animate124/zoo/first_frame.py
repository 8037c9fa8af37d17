"""Frame 0 of multi-view clips in training: given, and then no part of the loss."""

from __future__ import annotations

import torch
from torch import Tensor


def with_first(noisy: Tensor, first: Tensor, keep: Tensor) -> Tensor:
    """Noisy clips [B, n, F, c, h, w] with the clean frame 0 `first` [B, n, c, h, w] where `keep`
    [B] is 1; where it is 0, frame 0 is noisy as the others."""
    start = torch.lerp(noisy[:, :, 0], first, keep.view(-1, 1, 1, 1, 1))
    return torch.cat([start[:, :, None], noisy[:, :, 1:]], dim=2)


def error_beyond_first(
    output: Tensor, target: Tensor, keep: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Mean squared error of clips [B, n, F, c, h, w] over what is not given: all frames of an
    object but frame 0, and that one too where `keep` [B] is 0; `weight` (broadcast) counts some
    places more than others."""
    wanted = torch.ones_like(target) if weight is None else weight.expand_as(target).clone()
    wanted[:, :, :1] *= 1.0 - keep.view(-1, 1, 1, 1, 1, 1)
    error = (output - target).square() * wanted
    return error.sum() / wanted.sum()


def where_moving(latents: Tensor, share: float) -> Tensor:
    """Weights [B, n, 1, 1, h, w] of mean 1 for clips [B, n, F, c, h, w]: `share` of them lies where
    a view changes over time, in proportion to its deviation, the rest evenly."""
    change = latents.std(dim=2, keepdim=True, correction=0).mean(dim=3, keepdim=True)
    mean = change.mean(dim=(-1, -2), keepdim=True)
    return torch.where(mean > 0, torch.lerp(torch.ones_like(change), change / mean, share), 1.0)
