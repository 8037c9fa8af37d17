"""One resumable state per folder: parameters, optimiser, task state, step; one safetensors file.

A checkpoint is trusted only if it is whole (CRC-32), of this format and of this run (fingerprint);
any other is moved aside with one sentence, never deleted. Nothing is pickled.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from animate124.errors import UserError
from animate124.media import files, tensors

NAME = "checkpoint.safetensors"
LOCK = ".lock"
KIND = "training-checkpoint"
VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """State after `step` finished steps; `tensors` as made by `collect`, all on the CPU."""

    step: int
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    scalars: dict[str, Any] = field(default_factory=dict)


def named_parameters(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name to parameter over all groups of an optimiser that was built from (name, tensor) pairs.

    Raises ValueError when a group has no names or two parameters share one.
    """
    found: dict[str, Tensor] = {}
    for group in optimizer.param_groups:
        if "param_names" not in group:
            raise ValueError("parameter groups must hold (name, tensor) pairs, to be checkpointed")
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            if name in found:
                raise ValueError(f"two parameters are called {name!r}")
            found[name] = parameter
    return found


def collect(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Flatten parameters, optimiser state and task state to named CPU tensors and plain scalars.

    A parameter that never had a gradient has no optimiser state and gets no entry, so that it has
    none after a resume either. Raises TypeError for optimiser state that is neither a tensor nor a
    number, text or None.
    """
    found: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for name, parameter in named_parameters(optimizer).items():
        found[f"parameter/{name}"] = parameter
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                found[f"optimizer/{name}/{key}"] = value
            elif value is None or isinstance(value, (bool, int, float, str)):
                scalars[f"{name}/{key}"] = value
            else:
                raise TypeError(f"optimiser state {key!r} of {name!r} is a {type(value).__name__}")
    found |= {f"task/{name}": value for name, value in state.items()}
    return {name: value.detach().cpu().contiguous() for name, value in found.items()}, scalars


def save(folder: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write the folder's checkpoint atomically. Raises UserError or OSError as `save_tensors`."""
    record = {
        "fingerprint": fingerprint,
        "step": str(checkpoint.step),
        "seconds": repr(checkpoint.seconds),
        "losses": json.dumps(checkpoint.losses),
        "scalars": json.dumps(checkpoint.scalars),
    }
    record["crc32"] = _checksum(checkpoint.tensors, record)
    tensors.save_tensors(
        folder / NAME, checkpoint.tensors, kind=KIND, version=VERSION, metadata=record
    )


def load(folder: Path, fingerprint: str, say: Callable[[str], None]) -> Checkpoint | None:
    """The folder's checkpoint if it is whole and belongs to `fingerprint`, else None.

    An unusable one is renamed aside, and `say` gets the sentence that tells so.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        loaded, record = tensors.load_tensors(path, KIND, VERSION)
        crc32 = record.pop("crc32", None)
        if crc32 != _checksum(loaded, record):
            raise UserError("its checksum does not fit")
        if record["fingerprint"] != fingerprint:
            set_aside(folder, "it belongs to other settings or inputs", say)
            return None
        return Checkpoint(
            step=int(record["step"]),
            seconds=float(record["seconds"]),
            losses=json.loads(record["losses"]),
            tensors=loaded,
            scalars=json.loads(record["scalars"]),
        )
    except (UserError, KeyError, ValueError) as error:
        set_aside(folder, f"it cannot be read ({str(error).rstrip('.')})", say)
        return None


def mismatch(
    checkpoint: Checkpoint, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> str | None:
    """Why a checkpoint does not fit these parameters and this task state; None when it fits."""
    expected = {f"parameter/{name}": p for name, p in named_parameters(optimizer).items()}
    expected |= {f"task/{name}": value for name, value in state.items()}
    stored = {k: v for k, v in checkpoint.tensors.items() if not k.startswith("optimizer/")}
    for name in sorted(expected.keys() ^ stored.keys()):
        return f"{name!r} is in only one of the two"
    for name, tensor in expected.items():
        if name.startswith("parameter/") and (
            tensor.shape != stored[name].shape or tensor.dtype != stored[name].dtype
        ):
            return f"{name!r} was {list(stored[name].shape)} and is {list(tensor.shape)}"
    return None


def restore(checkpoint: Checkpoint, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Put parameters and optimiser state back in place; returns the task's own state."""
    named = named_parameters(optimizer)
    per_parameter: dict[str, dict[str, Any]] = {}
    for name, tensor in checkpoint.tensors.items():
        if name.startswith("optimizer/"):
            owner, _, key = name.removeprefix("optimizer/").rpartition("/")
            per_parameter.setdefault(owner, {})[key] = tensor
    for name, value in checkpoint.scalars.items():
        owner, _, key = name.rpartition("/")
        per_parameter.setdefault(owner, {})[key] = value
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(checkpoint.tensors[f"parameter/{name}"])
    # torch numbers parameters through the groups in order, which is the order of `named`; its own
    # loader knows which state tensors must follow the parameter to its device.
    numbered = {i: per_parameter[n] for i, n in enumerate(named) if n in per_parameter}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": numbered, "param_groups": groups})
    return {
        name.removeprefix("task/"): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("task/")
    }


def set_aside(folder: Path, why: str, say: Callable[[str], None]) -> None:
    """Rename the folder's checkpoint to the first free `checkpoint.unused-N.safetensors`."""
    number = 1
    while (aside := folder / f"checkpoint.unused-{number}.safetensors").exists():
        number += 1
    (folder / NAME).rename(aside)
    say(f"The checkpoint in {folder} is not used: {why}; it is kept as {aside.name}.")


def remove(folder: Path) -> None:
    """Delete the folder's checkpoint, those set aside, and what killed writers left behind."""
    for path in (folder / NAME, *folder.glob("checkpoint.unused-*.safetensors")):
        path.unlink(missing_ok=True)
    files.clean_stale(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process, so that two runs never write one checkpoint.

    The kernel drops the lock when the process dies, however it dies. Raises UserError at once when
    another process holds it.
    """
    files.ensure_folder(folder)
    path = folder / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(
                f"Another process ({owner or 'of unknown number'}) is working in {folder}: wait "
                "for it or stop it, or give another folder."
            ) from None
        if _is_same_file(descriptor, path):
            break
        os.close(descriptor)  # its owner removed it between our open and our lock: try again
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _checksum(contents: Mapping[str, Tensor], record: Mapping[str, str]) -> str:
    """CRC-32 over the record and every tensor: safetensors itself does not notice a flipped bit."""
    value = zlib.crc32(json.dumps(record, sort_keys=True).encode())
    for name in sorted(contents):
        value = zlib.crc32(name.encode(), value)
        flat = contents[name].reshape(-1)
        if flat.numel():
            value = zlib.crc32(flat.view(torch.uint8).numpy(), value)
    return f"{value:08x}"
