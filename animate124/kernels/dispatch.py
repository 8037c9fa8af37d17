"""Which backend computes which operation: chosen by device, overridable, reported by `doctor`.

ANIMATE124_KERNELS=reference forces the torch reference everywhere (slow; for checking).

Two encodings exist. "grid" is ours: all backends compute the same function of the same table, so a
field moves freely between machines. "tcnn" is tinycudann's: CUDA only, and a function of its own
(see kernels/tcnn.py). The type of the levels that `encoding_levels` returns selects between them.
"""

import importlib.metadata
import importlib.util
import os
import warnings
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

from animate124.errors import UserError
from animate124.kernels import reference, splat_reference, tcnn
from animate124.kernels.levels import GridLevels
from animate124.kernels.tcnn import TcnnLevels

OPERATIONS = ("encode", "mlp", "march", "composite", "splat")
ENCODINGS = {"grid": GridLevels, "tcnn": TcnnLevels}

# Optional packages: what each is used for, what is lost without it, how to get it. The versions
# are those of the `gpu` extra; triton's is the one the pinned torch asks for.
_ACCELERATORS = {
    "triton": (
        "the project's own CUDA kernels: encode, march, composite",
        "these run in plain torch on CUDA, several times slower",
        'pip install "animate124[gpu]"',
    ),
    "tinycudann": (
        'the encoding "tcnn", where a scene chooses it',
        'the encoding "tcnn"; "grid" does the same work with the project\'s own kernels',
        f"{tcnn.INSTALL} (needs nvcc and a C++ compiler)",
    ),
    "nerfacc": (
        "nothing: the project's own kernels march and composite",
        "nothing",
        "not needed",
    ),
    "gsplat": (
        "splatting Gaussians on CUDA",
        "Gaussians are splatted in plain torch on CUDA, which only suits small clouds",
        "pip install gsplat==1.5.3 (compiles on first use: needs nvcc)",
    ),
}


def status() -> dict[str, dict[str, object]]:
    """Optional accelerators by name: present, version, used_for, lost_without, install.

    present: the package is installed; none is imported, so it may still fail to load. version: None
    where absent. The other three are phrases for a reader.
    """
    result: dict[str, dict[str, object]] = {}
    for name, (used_for, lost_without, install) in _ACCELERATORS.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        result[name] = {
            "present": _has(name),
            "version": version,
            "used_for": used_for,
            "lost_without": lost_without,
            "install": install,
        }
    return result


def encoding_levels(encoding: str, **fields: int) -> GridLevels | TcnnLevels:
    """Levels of the named encoding, "grid" or "tcnn"; fields: see levels.GridLevels.

    Raises UserError for another name, and for "tcnn" where it cannot run.
    """
    if encoding not in ENCODINGS:
        raise UserError(f"There is no encoding {encoding!r}: choose one of {', '.join(ENCODINGS)}.")
    if encoding == "tcnn" and not (torch.cuda.is_available() and _has("tinycudann")):
        raise UserError(
            "The encoding tcnn needs a CUDA device and tinycudann, and this machine lacks one of "
            f"them: choose the encoding grid, or install it ({tcnn.INSTALL})."
        )
    return ENCODINGS[encoding](**fields)


@lru_cache(maxsize=16)
def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@lru_cache(maxsize=4)
def _warn_slow(device: str, missing: str | None) -> None:
    """Say once what is lost where no fast backend fits the device; `missing`: what to install."""
    remedy = f"install {missing}" if missing else "use a CPU or CUDA device"
    warnings.warn(
        f"The kernels run in plain torch on {device}, several times slower: {remedy}.", stacklevel=4
    )


def backend_name(device: str) -> str:
    """Backend for tensors on `device` ("cpu" or "cuda"): numba, triton or reference.

    Raises UserError where ANIMATE124_KERNELS is set to anything but reference.
    """
    forced = os.environ.get("ANIMATE124_KERNELS")
    if forced == "reference":
        return "reference"
    if forced:
        raise UserError(
            f"ANIMATE124_KERNELS={forced} names no kernels: set it to reference, or unset it to "
            "let the device decide."
        )
    if device == "cpu" and _has("numba"):
        return "numba"
    if device == "cuda" and _has("triton"):
        return "triton"
    return "reference"


def splat_backend(device: str) -> str:
    """`backend_name` of the operation splat: numba, gsplat or reference."""
    name = backend_name(device)
    if device != "cuda" or os.environ.get("ANIMATE124_KERNELS"):
        return name
    return "gsplat" if _has("gsplat") else "reference"


def backends() -> dict[str, str]:
    """Operation to the backend it will use on this machine's best device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return dict.fromkeys(OPERATIONS, backend_name(device)) | {"splat": splat_backend(device)}


def _module(x: Tensor) -> ModuleType:
    name = backend_name(x.device.type)
    if name == "numba":
        from animate124.kernels import cpu

        return cpu
    if name == "triton":
        from animate124.kernels import cuda

        return cuda
    if not os.environ.get("ANIMATE124_KERNELS"):
        _warn_slow(x.device.type, {"cpu": "numba", "cuda": "triton"}.get(x.device.type))
    return reference


def encode(
    x: Tensor, tables: Tensor, starts: Tensor, levels: GridLevels | TcnnLevels, active: int
) -> Tensor:
    """Multi-resolution features [N, L·F]; see reference.encode. Differentiable in `tables`."""
    if isinstance(levels, TcnnLevels):
        return tcnn.encode(x, tables, starts, levels, active)
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
    """Images [V, H, W, 5] of M states of a Gaussian cloud; see splat_reference.splat."""
    device = positions.device.type
    name = splat_backend(device)
    module: ModuleType = splat_reference
    if name == "numba":
        from animate124.kernels import cpu_splat_op as module
    elif name == "gsplat":
        from animate124.kernels import cuda_splat as module
    elif not os.environ.get("ANIMATE124_KERNELS"):
        _warn_slow(device, {"cpu": "numba", "cuda": "gsplat"}.get(device))
    state = positions, rotations, scales, opacities, colours
    return module.splat(*state, views, source, focal, height, width, antialias)
