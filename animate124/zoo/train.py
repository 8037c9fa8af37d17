"""Training one nano model from start to shipped folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType

from animate124 import checkpoints, runtime, training
from animate124.errors import UserError
from animate124.media.files import TEMP_PREFIX, ensure_folder
from animate124.media.tensors import load_tensors
from animate124.settings.base import digest
from animate124.settings.zoo import ZooSettings
from animate124.training import TrainReport
from animate124.zoo import cards, roles
from animate124.zoo.task import ZooTask


def train(role: str, settings: ZooSettings, models: Path, work: Path, device: str) -> dict:
    """Train the model of `role`, write it into `models`/`role`, and return its card.

    `models` holds the models that this one builds on. Checkpoint, log and previews lie in `work`:
    killed and started again it goes on, and ends with the same weights.

    Raises:
        UserError: an unknown role, a model it builds on that is missing, a folder that cannot be
            written, or training that diverged.
    """
    module = roles.module_of(role)
    _check_needs(role, models)
    if settings.data and not getattr(module, "READS_DATA", False):
        raise UserError(f"The nano model {role} is trained on the toybox alone: leave `data` out.")
    task = module.make_task(settings, device, models)
    report = training.run(task, settings.train, work, _fingerprint(role, settings, models))
    card = cards.describe(role, task, settings, report, models)
    card = write(module, task, models / role, card)
    training.finish(work)
    return card


def export_reached(role: str, settings: ZooSettings, models: Path, work: Path, device: str) -> dict:
    """Write what an unfinished training has reached so far; it can still go on afterwards.

    Raises UserError as `train`, and when `work` holds no checkpoint of these settings; one of other
    settings stays where it is.
    """
    module = roles.module_of(role)
    _check_needs(role, models)
    task = module.make_task(settings, device, models)
    fingerprint = f"{_fingerprint(role, settings, models)}/{task.name}/{digest(settings.train)}"
    # Whoever loads a checkpoint of another fingerprint moves it aside: look at it first.
    path, found = work / checkpoints.NAME, None
    if path.is_file():
        record = load_tensors(path, checkpoints.KIND, checkpoints.VERSION)[1]
        if record.get("fingerprint") == fingerprint:
            found = training.reached(task, work, fingerprint)
    if found is None:
        raise UserError(
            f"There is no checkpoint of {role} with these settings in {work}: start with "
            f"`animate124 zoo train {role}`."
        )
    report = TrainReport(found.step, found.seconds, runtime.peak_memory_mib(), None, found.losses)
    return write(module, task, models / role, cards.describe(role, task, settings, report, models))


def write(module: ModuleType, task: ZooTask, folder: Path, card: dict) -> dict:
    """Write the task's averaged model and its card, which is returned, all of it or nothing."""
    ensure_folder(folder.parent)
    staging = folder.parent / f"{TEMP_PREFIX}{folder.name}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        module.export(task, staging)
        card = card | {"bytes": cards.weight_bytes(staging)}
        cards.write(staging, card)
        old = folder.parent / f"{TEMP_PREFIX}old-{folder.name}"
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            os.replace(folder, old)
        os.replace(staging, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return card


def _check_needs(role: str, models: Path) -> None:
    for need in roles.NEEDS.get(role, ()):
        if not (models / need).is_dir():
            raise UserError(
                f"Training {role} needs the {need} model in {models}: run "
                f"`animate124 zoo train {need} --models {models}` first."
            )


def _fingerprint(role: str, settings: ZooSettings, models: Path) -> str:
    """The settings and the models underneath, whose weights the training depends on."""
    below = "".join(cards.weights_digest(models / need) for need in roles.NEEDS.get(role, ()))
    return digest(settings) + below
