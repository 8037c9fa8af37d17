"""Folders of results: everything a stage writes appears at once, with a record of how it was made.

A stage's folder holds its files and, last, RECORD. Where the record is, all files are of one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import animate124
from animate124 import runtime
from animate124.errors import UserError
from animate124.media.files import TEMP_PREFIX, clean_stale, ensure_folder, write_json
from animate124.settings.base import Settings, digest

RECORD = "stage.json"
FIELD = "field.safetensors"  # of the stages that leave one


def work_folder(out: Path) -> Path:
    """Where a stage with results in `out` keeps checkpoint, log and previews: beside it, not in it.

    Snakemake removes a failed job's outputs, and what lies here is not one of them.
    """
    out = out.resolve()  # so that "." has a name
    return out.parent / f".{out.name}.work"


def check_target(out: Path, known: Sequence[str], folders: Sequence[str] = ()) -> None:
    """Make sure that `out` can be written and is not somebody else's folder; makes its parents.

    `known`: names of what the stage writes; `folders`: which of them are folders. Raises UserError.
    """
    there = os.path.isdir(out)  # unlike Path.is_dir, it does not raise for a name that is too long
    if not there and os.path.exists(out):
        raise UserError(f"{out} is a file: give a folder for the results.")
    folder = out if there else ensure_folder(out.parent)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"The folder {folder} cannot be written: change its permissions.")
    entries = [p for p in out.iterdir() if not p.name.startswith(".")] if there else []
    if strange := sorted(
        p.name for p in entries if p.name not in known or p.is_dir() != (p.name in folders)
    ):
        raise UserError(
            f"The folder {out} holds other files ('{strange[0]}'): give an empty or new folder for "
            "the results."
        )


@contextmanager
def staged(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder within `out` to write everything to; its files move out of it when the block ends.

    So an error leaves what an earlier run wrote whole. The last of `names` goes first and comes
    last: where it is, all files are of one run, whenever it may have been killed.
    """
    fresh = not out.exists()
    ensure_folder(out)
    clean_stale(out)
    folder = ensure_folder(out / f"{TEMP_PREFIX}results")
    try:
        yield folder
        (out / names[-1]).unlink(missing_ok=True)
        for name in names:
            if (folder / name).is_dir():  # a folder cannot take the place of one with files in it
                shutil.rmtree(out / name, ignore_errors=True)
            os.replace(folder / name, out / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if fresh:
            with suppress(OSError):  # it is not empty, which is what we hope for
                out.rmdir()


class Stopwatch:
    """The seconds of a stage and of its parts; `with watch.part("render"): …`."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block's time under `name`, once more each time."""
        began = time.perf_counter()
        yield
        self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - began

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return time.perf_counter() - self._began


def write_record(
    folder: Path,
    stage: str,
    settings: Settings,
    watch: Stopwatch,
    device: str,
    *,
    inputs: Mapping[str, Path],
    priors: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """Write RECORD into `folder` and return it: what was made, of what, how, and at what cost.

    inputs: files that the stage read, by name; their checksums are recorded.
    priors: of each model used, its role, name, licence and whether commerce is allowed.
    more: what the stage itself found, e.g. `training={...}`, `warnings=[...]`.
    """
    record = {
        "stage": stage,
        **more,
        "settings": settings.model_dump(mode="json"),
        "settings_digest": digest(settings),
        "inputs": {name: file_digest(path) for name, path in inputs.items()},
        "priors": [dict(prior) for prior in priors],
        "device": device,
        "version": animate124.__version__,
        "seconds": round(watch.seconds, 3),
        "seconds_of": {name: round(value, 3) for name, value in watch.parts.items()},
        "peak_memory_mib": round(runtime.peak_memory_mib(), 1),
        "peak_device_memory_mib": runtime.peak_device_memory_mib(),
    }
    write_json(folder / RECORD, record)
    return record


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a stage's results.

    Raises UserError: there is none, so the stage did not end well there, or it is damaged.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"There are no finished results in {folder} ({RECORD} is missing): run the stage that "
            "makes them first."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"The record {path} cannot be read ({error}): run the stage again."
        ) from None
    if not isinstance(record, dict) or "stage" not in record:
        raise UserError(f"The record {path} is damaged: run the stage again.")
    return record


def need_file(path: Path, remedy: str) -> Path:
    """`path`, which is a file; else a UserError that says so and how to get it."""
    if not os.path.isfile(path):
        raise UserError(f"There is no file {path}: {remedy}.")
    return path


def file_digest(path: Path) -> str:
    """Sixteen hexadecimal digits of a file's contents."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def fingerprint(inputs: Mapping[str, Path], device: str, *more: str) -> str:
    """What a checkpoint has to have in common with a run: inputs, device, version, and `more`.

    The stage's own settings belong into `more` (`settings.base.digest`).
    """
    known = [[name, file_digest(path)] for name, path in sorted(inputs.items())]
    text = json.dumps([known, device, animate124.__version__, *more])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
