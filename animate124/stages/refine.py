"""Stage `refine`: a moving field in, the same with more detail out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from animate124.fields.flow import FlowField, FlowOccupancy
from animate124.fields.store import load_field, stored_settings
from animate124.kernels import warm
from animate124.priors.sizes import image_size
from animate124.priors.tokens import read_word
from animate124.settings.refine import RefineSettings
from animate124.stages import field_stage
from animate124.stages.models import Models
from animate124.stages.needless import why_not_refine
from animate124.stages.outputs import FIELD, Stopwatch, need_file, read_record
from animate124.stages.passing import pass_on
from animate124.stages.refine_task import RefineTask


def refine(
    scene: Path,
    subject: Path,
    out: Path,
    settings: RefineSettings,
    models: Models,
    prompt: str,
    *,
    token: Path | None = None,
    work: Path | None = None,
) -> dict[str, Any]:
    """Sharpen the moving scene in the folder `scene` with a tile ControlNet, into `out`.

    Args:
        scene: written by `animate124 dynamic`.
        subject: written by `animate124 preprocess`; what t = 0 looks like.
        prompt: the motion sentence, in the text model's language; with the learnt word in it if
            `token` is given.
        token: folder written by `animate124 invert`.
        work: folder for the resumable state; beside `out` if None.

    Where `settings.when` says so, the scene is passed on as it is, and the record tells why.

    Killed at any moment and run again, it goes on from its last checkpoint and ends with the same
    files. Returns the record.

    Raises:
        UserError: missing or damaged inputs or models, a folder that cannot be written, or
            training that diverged.
    """
    watch = Stopwatch()
    field_stage.check(out, "refine")
    path = need_file(scene / FIELD, "run `animate124 dynamic` into it first")
    inputs = {"dynamic": path, "rgba": field_stage.subject_files(subject)["rgba"]}
    if token is not None:
        inputs["token"] = need_file(
            token / "token.safetensors", "run `animate124 invert` into it first"
        )
    if why := why_not_refine(settings, image_size(models.profile, "tile-control")):
        _, sheet, _ = field_stage.outputs(read_record(scene)["stage"])
        return pass_on(
            "refine",
            {path: FIELD, scene / sheet: "sheet.png"},
            out,
            work,
            why,
            settings,
            models,
            watch,
            inputs,
            kept=("elevation",),
            prompt=prompt,
        )
    with watch.part("loading"):
        warm.ensure_compiled()
        elevation = float(read_record(scene).get("elevation", 0.0))
        field, occupancy = load_field(path, models.device)
        followed = isinstance(field, FlowField)
        if followed:
            field = field.field
        if isinstance(occupancy, FlowOccupancy):
            occupancy = occupancy.occupancy
        picture = field_stage.load_picture(
            {"rgba": inputs["rgba"]}, elevation, settings.reference_size, models.device
        )
        stored = stored_settings(path)
        told, warnings = prompt, []
        if settings.tile:
            told, warnings = field_stage.understood(prompt, inputs, models)
        priors: dict[str, Any] = {}
        if settings.tile:
            priors["tile"] = models.tile_control
            if token is not None:
                models.tile_control.text.add_token(*read_word(inputs["token"]))
        task = RefineTask(picture, field, occupancy, stored.step, settings, prompt=told, **priors)
        if settings.tile:
            models.tile_control.release_text_encoder()
    roles = [use["role"] for use in models.used]
    return field_stage.optimise(
        "refine",
        task,
        settings,
        stored,
        out,
        work,
        models,
        watch,
        inputs,
        (told, models.digest(*roles)),
        flow=followed,
        prompt=prompt,
        told=told,
        warnings=warnings,
    )
