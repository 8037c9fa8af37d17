"""What reconstruct and polish share: a task in, the folder with the moving cloud out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animate124 import checkpoints, training
from animate124.gaussians import store
from animate124.gaussians.motion import amplitude
from animate124.geometry.cameras import Cameras, orbit
from animate124.media.images import contact_sheet, write_png
from animate124.render.splat import render_images
from animate124.settings.base import Settings, digest
from animate124.stages.motion_task import MotionTask
from animate124.stages.multiview import ViewSet
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    fingerprint,
    staged,
    work_folder,
    write_record,
)

GAUSSIANS, SHEET = "gaussians.safetensors", "sheet.png"
OUTPUTS = (GAUSSIANS, SHEET, RECORD)
_COLUMNS = 8


def optimise(
    task: MotionTask,
    settings: Settings,
    views: ViewSet,
    out: Path,
    work: Path | None,
    device: str,
    watch: Stopwatch,
    inputs: Mapping[str, Path],
    identity: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Run `task`, write the cloud, sheet and record into `out`, and return the record.

    identity: what else a checkpoint has to share beside inputs and settings. `more` goes into the
    record.
    """
    work = work or work_folder(out)
    mark = fingerprint(inputs, device, digest(settings), *identity)
    with watch.part("training"):
        report = training.run(task, task.train, work, mark)
    with watch.part("outputs"), checkpoints.locked(work), staged(out, OUTPUTS) as folder:
        cloud = task.cloud()
        store.save(folder / GAUSSIANS, cloud, task.motion)
        write_png(folder / SHEET, sheet(task, views))
        record = write_record(
            folder,
            task.name,
            settings,
            watch,
            device,
            inputs=inputs,
            gaussians=len(cloud),
            frames=task.motion.keyframes,
            loop=task.motion.loop,
            elevation=float(views.elevation[0]),
            steps=report.steps,
            losses={name: round(value, 6) for name, value in report.losses.items()},
            **measured(task),
            resumed_from=report.resumed_from,
            seconds_training=round(report.seconds, 3),
            **more,
        )
    training.finish(work)
    return record


@torch.no_grad()
def measured(task: MotionTask) -> dict[str, float]:
    """amplitude: root mean square way from rest over Gaussians and frames, world units; arap: the
    energy of the whole motion, without weight."""
    cloud, times = task.cloud(), task.times
    parts = task.motion.parts(times)
    moved = task.motion.frames(cloud, times, parts)[0]
    return {
        "amplitude": round(float(amplitude(cloud.positions, moved)), 5),
        "arap": round(float(task.stiffness(parts)), 6),
    }


def sheet(task: MotionTask, views: ViewSet) -> np.ndarray:
    """Target above result for two views, and below a side that no view shows, over time."""
    count = min(_COLUMNS, task.motion.keyframes)
    size, grid, labels = task.cameras.height, [], []
    for view in sorted({0, len(views) // 4}):
        for name, strip in zip(("target", "result"), task.strips(view, count), strict=True):
            if name == "target" and not task.follows:
                continue
            grid.append(list(strip.cpu().numpy().reshape(size, -1, size, 3).transpose(1, 0, 2, 3)))
            labels.append(f"{name} {views.azimuth[view]:.0f}°")
    between = float(views.azimuth[0]) + 180.0 / len(views)
    times = task.times[task.shown(count)]
    pose = orbit(between, views.elevation[0], views.radius).expand(len(times), 4, 4)
    cameras = Cameras(pose, views.fov_y, size, size).to(task.device)
    images = render_images(task.cloud(), task.motion, times, cameras, supersample=2)["rgb"]
    grid.append(list(images.clamp(0, 1).cpu().numpy()))
    labels.append(f"unseen {between:.0f}°")
    return contact_sheet(grid, labels, [f"t = {t:.2f}" for t in times.tolist()])
