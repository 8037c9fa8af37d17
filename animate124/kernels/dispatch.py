"""Which backend computes which operation: chosen by device, overridable, reported by `doctor`.

ANIMATE124_KERNELS=reference forces the torch reference everywhere (slow; for checking).
"""

import importlib.util
import os
from types import ModuleType

import torch
from torch import Tensor

from animate124.kernels import reference
from animate124.kernels.levels import GridLevels

OPERATIONS = ("encode", "mlp", "march", "composite")


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def backend_name(device: str) -> str:
    """Backend for tensors on `device` ("cpu" or "cuda"): numba, triton or reference."""
    if os.environ.get("ANIMATE124_KERNELS") == "reference":
        return "reference"
    if device == "cpu" and _has("numba"):
        return "numba"
    if device == "cuda" and _has("triton"):
        return "triton"
    return "reference"


def backends() -> dict[str, str]:
    """Operation to the backend it will use on this machine's best device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return dict.fromkeys(OPERATIONS, backend_name(device))


def _module(x: Tensor) -> ModuleType:
    name = backend_name(x.device.type)
    if name == "numba":
        from animate124.kernels import cpu

        return cpu
    if name == "triton":
        from animate124.kernels import cuda

        return cuda
    return reference


def encode(x: Tensor, tables: Tensor, starts: Tensor, levels: GridLevels, active: int) -> Tensor:
    """Multi-resolution features [N, L·F]; see reference.encode. Differentiable in `tables`."""
    return _module(x).encode(x, tables, starts, levels, active)


def mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Two-layer perceptron [N, O]; see reference.mlp."""
    return _module(x).mlp(x, w1, b1, w2, b2)


def march(
    origins: Tensor,
    directions: Tensor,
    groups: Tensor,
    density: Tensor,
    threshold: Tensor,
    bound: float,
    step: float,
    jitter: Tensor,
    stop: float,
    boxes: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets [R + 1], distances [N] and unit-cube points [N, 3]; see reference.march.

    boxes: float [G, 2, 3], corners of a box around each group's occupied cells (a short cut: it
    never changes the result).
    """
    arguments = (origins, directions, groups, density, threshold, bound, step, jitter, stop)
    module = _module(origins)
    if module is not reference:
        return module.march(*arguments, boxes)
    offsets, distances = reference.march(*arguments)
    ray = torch.repeat_interleave(torch.arange(len(origins), device=origins.device), offsets.diff())
    points = origins[ray] + distances[:, None] * directions[ray]
    return offsets, distances, (points + bound) / (2 * bound)


def composite(
    density: Tensor, colour: Tensor, distances: Tensor, offsets: Tensor, step: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour [R, 3], opacity [R], distance [R], weights [N]; see reference.composite."""
    return _module(density).composite(density, colour, distances, offsets, step)
