"""What static, dynamic and refine share: from the subject's folder to a folder with a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from animate124 import checkpoints, training
from animate124.fields.flow import FlowOccupancy, estimate_flow
from animate124.fields.radiance import RadianceField
from animate124.fields.store import save_field
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import contact_sheet, read_image, write_png
from animate124.render.volume import render_images
from animate124.settings.base import Settings, digest
from animate124.settings.field import FieldSettings
from animate124.stages.models import Models
from animate124.stages.outputs import (
    FIELD,
    RECORD,
    Stopwatch,
    check_target,
    fingerprint,
    need_file,
    staged,
    work_folder,
    write_record,
)
from animate124.stages.picture import Picture
from animate124.stages.scene_task import SceneTask
from animate124.stages.wording import fit_wording

_AZIMUTHS = (0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0)
_ROWS = (0.0, 90.0, 180.0)
_COLUMNS = 8
_SHEET_SIZE = 96


def subject_files(folder: Path) -> dict[str, Path]:
    """Files of a preprocessed subject by name: rgba, and depth and normal where they exist.

    Raises UserError if the picture is not there.
    """
    found = {"rgba": need_file(folder / "rgba.png", "run `animate124 preprocess` into it first")}
    more = {name: folder / f"{name}.png" for name in ("depth", "normal")}
    return found | {name: path for name, path in more.items() if path.is_file()}


def load_picture(files: Mapping[str, Path], elevation: float, largest: int, device: str) -> Picture:
    """The preprocessed subject as a view of the scene.

    Raises UserError for a picture that is not square RGBA, or maps of another size.
    """
    planes = {name: torch.from_numpy(read_image(path)) for name, path in files.items()}
    depth, normals = planes.get("depth"), planes.get("normal")
    if depth is not None:
        depth = depth[..., 0] if depth.dim() == 3 else depth
    if normals is not None:
        normals = normals[..., :3] * 2 - 1
    return Picture(planes["rgba"], elevation, largest, device, depth, normals)


def understood(prompt: str, files: Mapping[str, Path], models: Models) -> tuple[str, list[str]]:
    """The sentence in the words that the profile's text models know, and warnings, printed too."""
    told = fit_wording(prompt, read_image(files["rgba"]), models)
    for warning in told.warnings:
        print(f"warning: {warning}")
    return told.sentence, list(told.warnings)


def optimise(
    stage: str,
    task: SceneTask,
    settings: Settings,
    field_settings: FieldSettings,
    out: Path,
    work: Path | None,
    models: Models,
    watch: Stopwatch,
    inputs: Mapping[str, Path],
    identity: Sequence[str],
    *,
    flow: bool,
    **more: Any,
) -> dict[str, Any]:
    """Run `task`, write field, sheet and record into `out`, and return the record.

    `identity`: what else a checkpoint has to share beside inputs and settings: sentence, models.
    `flow`: follow the motion between the slices. `more` goes into the record.
    """
    work = work or work_folder(out)
    mark = fingerprint(inputs, models.device, digest(settings), *identity)
    with watch.part("training"):
        report = training.run(task, task.settings.train, work, mark)
    with watch.part("outputs"), checkpoints.locked(work), staged(out, outputs(stage)) as folder:
        field, occupancy = task.trained()
        displacement, shown = None, (field, occupancy)
        if flow and len(field.grid.slices) > 1:
            moving = estimate_flow(field, occupancy)
            displacement, shown = moving.displacement, (moving, FlowOccupancy(moving, occupancy))
        save_field(folder / FIELD, field, field_settings, displacement)
        _sheet(folder / outputs(stage)[1], *shown, field, task)
        record = write_record(
            folder,
            stage,
            settings,
            watch,
            models.device,
            inputs=inputs,
            priors=models.used,
            profile=models.profile.name,
            elevation=task.picture.elevation,
            steps=report.steps,
            losses={name: round(value, 6) for name, value in report.losses.items()},
            resumed_from=report.resumed_from,
            seconds_training=round(report.seconds, 3),
            **more,
        )
    training.finish(work)
    return record


def outputs(stage: str) -> tuple[str, ...]:
    """Names of the files a stage writes, the record last."""
    return FIELD, "views.png" if stage == "static" else "sheet.png", RECORD


def check(out: Path, stage: str) -> None:
    """Make sure that results can be written to `out`, before anything is computed."""
    check_target(out, outputs(stage))


@torch.no_grad()
def _sheet(path: Path, field: Any, occupancy: Any, plain: RadianceField, task: SceneTask) -> None:
    """A static scene from eight sides; a moving one from three, over time."""
    slices, loop = len(plain.grid.slices), plain.grid.loop

    def row(azimuths: torch.Tensor, times: torch.Tensor) -> list:
        poses = orbit(azimuths, task.picture.elevation).to(task.device)
        cameras = Cameras(poses, DEFAULT_FOV_Y, _SHEET_SIZE, _SHEET_SIZE)
        images = render_images(field, occupancy, times, cameras, task.march, supersample=2)
        return list(images["rgb"].clamp(0, 1).cpu().numpy())

    if slices == 1:
        azimuths = torch.tensor(_AZIMUTHS)
        cells = [row(azimuths, torch.zeros(len(azimuths)))]
        write_png(path, contact_sheet(cells, column_labels=[f"{a:.0f}°" for a in _AZIMUTHS]))
        return
    times = torch.arange(_COLUMNS) / (_COLUMNS if loop else _COLUMNS - 1)
    cells = [row(torch.full((_COLUMNS,), a), times) for a in _ROWS]
    labels = [f"{a:.0f}°" for a in _ROWS]
    write_png(path, contact_sheet(cells, labels, [f"t = {float(t):.2f}" for t in times]))
