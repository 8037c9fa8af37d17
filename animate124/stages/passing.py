"""A stage that has nothing to add hands on what the stage before it made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from animate124 import checkpoints, training
from animate124.settings.base import Settings
from animate124.stages.models import Models
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    need_file,
    read_record,
    staged,
    work_folder,
    write_record,
)

_LEFT_OUT = "left_out"


def pass_on(
    stage: str,
    files: Mapping[Path, str],
    out: Path,
    work: Path | None,
    why: str,
    settings: Settings,
    models: Models,
    watch: Stopwatch,
    inputs: Mapping[str, Path],
    kept: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """Copy `files`, the results of the stage before and the names they get, into `out`.

    The record, which is returned, has 0 steps, says `why`, and of the record before it has what
    `kept` names; `more` goes into it too. Raises UserError where a file is missing.
    """
    print(f"{stage}: the scene is passed on as it is: {why}.")
    before = read_record(next(iter(files)).parent)
    work = work or work_folder(out)
    names = (*files.values(), RECORD)
    with watch.part("outputs"), checkpoints.locked(work), staged(out, names) as folder:
        for path, name in files.items():
            shutil.copyfile(need_file(path, "run its stage again"), folder / name)
        record = write_record(
            folder,
            stage,
            settings,
            watch,
            models.device,
            inputs=inputs,
            priors=models.used,
            profile=models.profile.name,
            steps=0,
            **{_LEFT_OUT: why},
            **{name: before[name] for name in kept if name in before},
            **more,
        )
    training.finish(work)
    return record


def passed_on(folder: Path) -> bool:
    """Whether the results in a stage's folder are those of the stage before."""
    return (folder / RECORD).is_file() and _LEFT_OUT in read_record(folder)
