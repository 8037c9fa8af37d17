"""Stage `invert`: a matted picture in, a word for its subject out (textual inversion)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from animate124 import checkpoints, training
from animate124.media.images import read_image, write_png
from animate124.priors.inversion import TEMPLATES
from animate124.priors.tokens import write_word
from animate124.settings.base import digest
from animate124.settings.invert import InversionSettings
from animate124.stages.invert_task import InvertTask
from animate124.stages.models import Models
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    fingerprint,
    need_file,
    staged,
    work_folder,
    write_record,
)
from animate124.stages.wording import fit_word

OUTPUTS = ("token.safetensors", "samples.png", RECORD)


def invert(
    subject: Path,
    out: Path,
    settings: InversionSettings,
    models: Models,
    word: str,
    *,
    work: Path | None = None,
) -> dict[str, Any]:
    """Learn the word `settings.token` for the picture in the folder `subject`; returns the record.

    Writes token.safetensors (`priors.tokens.read_word`), samples.png and, last, stage.json into
    `out`. Killed at any moment and run again, it goes on from its last checkpoint and ends with the
    same files.

    Args:
        subject: written by `animate124 preprocess`.
        word: for the kind of thing it is, in one word; where learning starts. One that the nano
            models do not know becomes one that they do, with a warning in the record.
        work: folder for the resumable state; beside `out` if None.

    Raises:
        UserError: a missing or damaged picture or model, a word that cannot be used, a folder that
            cannot be written, or training that diverged.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS)
    settings = settings.for_language(models.language)
    work = work or work_folder(out)
    inputs = {"rgba": need_file(subject / "rgba.png", "run `animate124 preprocess` into it first")}
    image = read_image(inputs["rgba"])
    with watch.part("loading"):
        start, warnings = fit_word(word, image, models)
        templates = TEMPLATES[models.language]
        task = InvertTask(models.text_to_image, image, start, settings, templates)
        identity = (digest(settings), start, models.digest("text-to-image"), *templates)
        mark = fingerprint(inputs, models.device, *identity)
    with watch.part("training"):
        report = training.run(task, settings.train, work, mark)
    with watch.part("outputs"), checkpoints.locked(work), staged(out, OUTPUTS) as folder:
        vector = task.vector.detach()
        metadata = {"settings": digest(settings), "start": start}
        write_word(folder / OUTPUTS[0], settings.token, vector, metadata)
        with torch.no_grad():
            write_png(folder / OUTPUTS[1], task.preview(report.steps).numpy())
        record = write_record(
            folder,
            "invert",
            settings,
            watch,
            models.device,
            inputs=inputs,
            priors=models.used,
            profile=models.profile.name,
            token=settings.token,
            word=word,
            start=start,
            steps=report.steps,
            losses={name: round(value, 6) for name, value in report.losses.items()},
            resumed_from=report.resumed_from,
            seconds_training=round(report.seconds, 3),
            warnings=warnings,
        )
    training.finish(work)
    return record
