"""Training MV-VDM on a dataset of multi-view video: a folder out that profiles can name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from animate124 import checkpoints, training
from animate124.media.tensors import save_tensors
from animate124.priors.mvvdm.weights import MOTION, motion_tensors
from animate124.settings.base import digest
from animate124.settings.mvvideo import MvVideoTrainSettings
from animate124.stages.models import Models
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    fingerprint,
    staged,
    work_folder,
    write_record,
)
from animate124.training import TrainReport
from animate124.zoo.accelerated import Accelerated
from animate124.zoo.mvvdm_training import MvVdmTask, trainable
from animate124.zoo.mvvideo import MANIFEST
from animate124.zoo.mvvideo_data import MultiViewClips

ROLE = "multi-view-video"
OUTPUTS = (MOTION, RECORD)


def train(
    dataset: Path,
    out: Path,
    settings: MvVideoTrainSettings,
    models: Models,
    *,
    work: Path | None = None,
    cpu: bool = False,
) -> dict[str, Any] | None:
    """Go on training the multi-view video model of a profile, and write what it learnt into `out`.

    animate3d_motion_modules.safetensors: the tensors of the published checkpoint, by their names,
    in float32; and, last, stage.json. Killed at any moment and run again, it goes on from its last
    checkpoint and ends with the same weights. Every process of `accelerate launch` calls this; the
    main one alone writes, and gets the record; the others get None.

    Args:
        dataset: folder written by `animate124 mvvideo build`.
        models: on the CPU, so that what learns is read in full precision.
        work: folder for the resumable state, the same for all processes; beside `out` if None.
        cpu: train on the CPU though there is a GPU.

    Raises:
        UserError: no dataset, or none of its clips has enough views and frames; models that are
            absent or of another layout; a folder that cannot be written; training that diverged.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS)
    clips = MultiViewClips(dataset, settings.views, settings.frames, settings.size)
    processes = Accelerated(settings.precision, cpu)
    with watch.part("loading"):
        model = models.multi_view_video
        model = trainable(model, settings.size, processes.device, processes.precision)
        task = MvVdmTask(model, clips, settings, processes)
    inputs = {"manifest": dataset / MANIFEST}
    kind = torch.device(processes.device).type
    objects = settings.accumulate * processes.count
    mark = fingerprint(
        inputs, kind, digest(settings), processes.precision, str(objects), models.digest(ROLE)
    )
    work = work or work_folder(out)
    with watch.part("training"):
        report = training.run(task, settings.train, work, mark, processes)
    record = None
    if processes.main:
        with watch.part("outputs"), checkpoints.locked(work), staged(out, OUTPUTS) as folder:
            save_tensors(folder / MOTION, motion_tensors(task.network), kind=ROLE, version=1)
            record = write_record(
                folder,
                "mvvideo-train",
                settings,
                watch,
                processes.device,
                inputs=inputs,
                priors=models.used,
                profile=models.profile.name,
                dataset=dataset.name,
                clips=len(clips.entries),
                precision=processes.precision,
                processes=processes.count,
                objects_per_step=objects,
                trained_parameters=sum(p.numel() for p in task.learnt.values()),
                **_told(report),
            )
        training.finish(work)
    processes.end()
    return record


def _told(report: TrainReport) -> dict[str, Any]:
    return {
        "steps": report.steps,
        "losses": {name: round(value, 6) for name, value in report.losses.items()},
        "resumed_from": report.resumed_from,
        "seconds_training": round(report.seconds, 3),
    }


def profile_text(out: Path, profile: str, models: Models) -> str:
    """YAML of a profile that is `profile` with the model in `out` in its place."""
    entry = models.profile.entry(ROLE)
    own = {
        "model": str(out),
        "source": "folder",
        "licence": entry.licence,
        # It has also seen the dataset, of whose licence nothing is known here.
        "commercial": None,
        "allow_patterns": [MOTION],
        "components": dict(entry.components),
    }
    about = f"{profile} with a multi-view video model of our own training"
    whole = {"about": about, "based_on": profile, "roles": {ROLE: own}}
    return yaml.safe_dump(whole, sort_keys=False)
