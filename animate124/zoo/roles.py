"""Which module trains which nano model, in the order in which they build on each other."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType

from animate124.errors import UserError

NANO = Path(__file__).parent.parent / "priors" / "nano"
"""Where the shipped models lie, one folder a role."""

MODULES = {
    "autoencoder": "autoencoder",
    "embedding": "embedder",
    "action-recognition": "action",
    "text-to-image": "text_to_image",
    "novel-view": "novel_view",
    "tile-control": "tile_control",
    "multi-view-video": "multiview_video",
    "depth": "depth",
    "matting": "matting",
}

NEEDS = {
    "text-to-image": ("autoencoder",),
    "novel-view": ("autoencoder", "embedding"),
    "depth": ("embedding",),
    "tile-control": ("autoencoder", "text-to-image"),
    "multi-view-video": ("autoencoder", "text-to-image"),
}
"""Nano models that must be there before another one can be trained."""


def known(role: str) -> str:
    """The role itself. Raises UserError for an unknown one, naming the nearest."""
    if role not in MODULES:
        near = difflib.get_close_matches(role, MODULES, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"There is no nano model '{role}': {hint}known are {', '.join(MODULES)}.")
    return role


def module_of(role: str) -> ModuleType:
    """The module of a role: DEFAULTS, `make_task`, `export`. Raises UserError as `known`."""
    return importlib.import_module(f"animate124.zoo.{MODULES[known(role)]}")


def scores_of(role: str) -> ModuleType:
    """The module that scores a role, with `evaluate`. Raises UserError as `known`."""
    return importlib.import_module(f"animate124.zoo.scores.{known(role).replace('-', '_')}")
