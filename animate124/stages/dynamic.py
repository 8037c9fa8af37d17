"""Stage `dynamic`: a static field and a motion sentence in, a moving field out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from animate124 import checkpoints
from animate124.errors import UserError
from animate124.fields.build import with_time
from animate124.fields.flow import FlowField
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.fields.store import load_field, stored_settings
from animate124.kernels import warm
from animate124.settings.base import digest
from animate124.settings.dynamic import DynamicSettings
from animate124.stages import carried_motion, field_stage
from animate124.stages.carry_task import CarryTask
from animate124.stages.dynamic_task import DynamicTask
from animate124.stages.finished_field import open_field
from animate124.stages.models import Models
from animate124.stages.moving_task import MovingTask
from animate124.stages.outputs import (
    FIELD,
    Stopwatch,
    fingerprint,
    need_file,
    read_record,
    work_folder,
)
from animate124.stages.picture import Picture


def dynamic(
    scene: Path,
    subject: Path,
    out: Path,
    settings: DynamicSettings,
    models: Models,
    prompt: str,
    *,
    work: Path | None = None,
) -> dict[str, Any]:
    """Make the static scene in the folder `scene` do what `prompt` says, and write it into `out`.

    Args:
        scene: written by `animate124 static`.
        subject: written by `animate124 preprocess`; what t = 0 looks like.
        prompt: the motion sentence, in the video model's language.
        work: folder for the resumable state; beside `out` if None.

    Killed at any moment and run again, it goes on from its last checkpoint and ends with the same
    files. Returns the record.

    Raises:
        UserError: missing or damaged inputs or models, a folder that cannot be written, or
            training that diverged.
    """
    watch = Stopwatch()
    field_stage.check(out, "dynamic")
    path = need_file(scene / FIELD, "run `animate124 static` into it first")
    inputs = {"static": path, "rgba": field_stage.subject_files(subject)["rgba"]}
    with watch.part("loading"):
        warm.ensure_compiled()
        elevation = float(read_record(scene).get("elevation", 0.0))
        static, _ = load_field(path, models.device)
        if isinstance(static, FlowField) or len(static.grid.slices) != 1:
            raise UserError(f"The scene in {scene} moves already: give the folder of a static one.")
        stored = stored_settings(path)
        field, occupancy = with_time(static, stored, settings.slices, settings.loop)
        picture = field_stage.load_picture(
            {"rgba": inputs["rgba"]}, elevation, settings.reference_size, models.device
        )
        carry = carried_motion.wanted(settings, models)
        told, warnings = prompt, []
        if carry or settings.video:
            told, warnings = field_stage.understood(prompt, inputs, models)
    facts: dict[str, Any] = {"source": "video"}
    if carry:
        own = work or work_folder(out)
        mark = fingerprint(
            inputs, models.device, digest(settings), told, models.digest(carried_motion.ROLE)
        )
        with checkpoints.locked(own):
            found = carried_motion.find_motion(
                open_field(scene, models.device), static, settings, models, told, own, mark, watch
            )
        task: MovingTask = CarryTask(
            picture, field, occupancy, stored.step, settings, found.carried
        )
        facts = found.facts
    else:
        with watch.part("loading"):
            task = _by_video(picture, field, occupancy, stored.step, settings, models, told)
    roles = [use["role"] for use in models.used]
    record = field_stage.optimise(
        "dynamic",
        task,
        settings,
        stored.model_copy(update={"base": True}),
        out,
        work,
        models,
        watch,
        inputs,
        (told, models.digest(*roles)),
        flow=settings.interpolation == "flow",
        prompt=prompt,
        told=told,
        warnings=warnings,
        **facts,
    )
    if carry:
        carried_motion.done(settings, work or work_folder(out))
    return record


def _by_video(
    picture: Picture,
    field: RadianceField,
    occupancy: OccupancyGrid,
    march: float,
    settings: DynamicSettings,
    models: Models,
    told: str,
) -> DynamicTask:
    """The task that the text-to-video and the novel-view prior guide."""
    priors: dict[str, Any] = {}
    if settings.video:
        priors["video"] = models.text_to_video
    if settings.novel_view:
        priors["novel_view"] = models.novel_view
    task = DynamicTask(picture, field, occupancy, march, settings, prompt=told, **priors)
    if settings.video:
        models.text_to_video.release_text_encoder()
    return task
