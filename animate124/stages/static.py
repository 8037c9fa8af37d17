"""Stage `static`: a matted picture in, a static field that looks like it from every side out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from animate124.kernels import warm
from animate124.priors.tokens import read_word
from animate124.settings.static import StaticSettings
from animate124.stages import field_stage
from animate124.stages.models import Models
from animate124.stages.outputs import Stopwatch, need_file
from animate124.stages.static_task import StaticTask


def static(
    subject: Path,
    out: Path,
    settings: StaticSettings,
    models: Models,
    prompt: str,
    *,
    token: Path | None = None,
    work: Path | None = None,
) -> dict[str, Any]:
    """Optimise a static scene from the picture in the folder `subject` and write it into `out`.

    Args:
        subject: written by `animate124 preprocess`.
        prompt: what it is, in the text model's language; with the learnt word in it if `token` is
            given. It only counts where the setting `text` is not 0.
        token: folder written by `animate124 invert`.
        work: folder for the resumable state; beside `out` if None.

    Killed at any moment and run again, it goes on from its last checkpoint and ends with the same
    files. Returns the record.

    Raises:
        UserError: missing or damaged inputs or models, a folder that cannot be written, or
            training that diverged.
    """
    watch = Stopwatch()
    field_stage.check(out, "static")
    pictures = field_stage.subject_files(subject)
    inputs = dict(pictures)
    if token is not None and settings.text:
        inputs["token"] = need_file(
            token / "token.safetensors", "run `animate124 invert` into it first"
        )
    with watch.part("loading"):
        warm.ensure_compiled()
        picture = field_stage.load_picture(
            pictures, settings.elevation, settings.reference_size, models.device
        )
        told, warnings = prompt, []
        if settings.text:
            told, warnings = field_stage.understood(prompt, inputs, models)
        priors: dict[str, Any] = {}
        if settings.text:
            priors["text_to_image"] = models.text_to_image
            if "token" in inputs:
                models.text_to_image.text.add_token(*read_word(inputs["token"]))
        if settings.novel_view:
            priors["novel_view"] = models.novel_view
        task = StaticTask(picture, settings, prompt=told, **priors)
        if settings.text:
            models.text_to_image.release_text_encoder()
    roles = [use["role"] for use in models.used]
    return field_stage.optimise(
        "static",
        task,
        settings,
        settings.field,
        out,
        work,
        models,
        watch,
        inputs,
        (told if settings.text else "", models.digest(*roles)),
        flow=False,
        prompt=prompt,
        told=told,
        warnings=warnings,
    )
