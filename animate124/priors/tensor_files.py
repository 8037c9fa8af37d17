"""Weight files as dictionaries of tensors, in either format in which they are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from animate124.errors import UserError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors or torch file, by name; nested names are joined with dots.

    Torch files are read with weights-only loading, and what is under `state_dict` in them. Raises
    UserError for a damaged file.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:160].rstrip(".")
        raise UserError(f"{path} is damaged ({reason}): fetch the model again") from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    return dict(_flat(found, "", path))


def _flat(found: object, name: str, path: Path) -> Iterable[tuple[str, Tensor]]:
    if isinstance(found, Tensor):
        yield name, found
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key), path)
    else:
        raise UserError(f"{path} holds something other than tensors: fetch the model again")
