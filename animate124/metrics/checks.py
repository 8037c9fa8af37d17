"""Refusal of inputs that would make a metric lie: mismatching shapes, NaN, empty masks."""

import torch
from torch import Tensor


def shapes(**tensors: Tensor) -> str:
    """The names and shapes of `tensors`, for an error sentence."""
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())


def require_finite(**tensors: Tensor) -> None:
    """Raise ValueError, naming every shape, when a floating tensor holds a NaN or an infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite values ({shapes(**tensors)})")


def require_same_shape(**tensors: Tensor) -> None:
    """Raise ValueError, naming every shape, unless all `tensors` agree and are finite."""
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        raise ValueError(f"shapes differ: {shapes(**tensors)}")
    require_finite(**tensors)


def require_layout(layout: str, **tensors: Tensor) -> None:
    """Raise ValueError unless every tensor has the axes that `layout` spells, e.g. "F N 3".

    A letter stands for one axis of any size above 0, a number for an axis of that size, and a
    leading "..." for any number of further axes.
    """
    axes = layout.split()
    open_front = axes[0] == "..."
    axes = axes[1:] if open_front else axes
    for name, tensor in tensors.items():
        tail = list(tensor.shape)[-len(axes) :]
        counts = tensor.ndim >= len(axes) if open_front else tensor.ndim == len(axes)
        fits = counts and all(
            size == int(axis) if axis.isdigit() else size > 0
            for axis, size in zip(axes, tail, strict=True)
        )
        if not fits or tensor.numel() == 0:
            raise ValueError(f"{name} must be [{layout}], got {shapes(**tensors)}")


def require_mask(mask: Tensor, like: Tensor, **named: Tensor) -> None:
    """Raise ValueError, naming every shape, unless boolean `mask` marks pixels of `like`."""
    if mask.dtype != torch.bool or mask.shape != like.shape or not mask.any():
        raise ValueError(f"mask must be boolean and mark pixels: {shapes(mask=mask, **named)}")
