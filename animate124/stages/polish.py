"""Stage `polish`: a moving cloud in; the same out, moving as the multi-view video prior expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from animate124.gaussians import store
from animate124.kernels import warm
from animate124.media.images import read_image
from animate124.settings.polish import PolishSettings
from animate124.stages.models import Models
from animate124.stages.motion_stage import GAUSSIANS, OUTPUTS, SHEET, optimise
from animate124.stages.multiview import CAMERAS, read_clips, read_views, view_name
from animate124.stages.outputs import RECORD, Stopwatch, check_target, need_file, read_record
from animate124.stages.passing import pass_on
from animate124.stages.polish_task import PolishTask
from animate124.stages.wording import fit_wording

ROLE = "multi-view-video"
_KEPT = ("gaussians", "frames", "loop", "elevation", "amplitude", "arap")


def polish(
    scene: Path,
    views: Path,
    out: Path,
    settings: PolishSettings,
    models: Models,
    prompt: str,
    *,
    videos: Path | None = None,
    work: Path | None = None,
) -> dict[str, Any]:
    """Refine the motion in `scene` by score distillation and write it into `out`.

    Args:
        scene, views: folders written by `animate124 reconstruct` and `views`. videos: folder
            written by `generate`, whose clips are followed besides; None: they are not.
        prompt: the motion sentence. work: folder for the resumable state; beside `out` if None.

    Where `settings.when` says so, the motion is passed on as it is, and the record tells why.

    Killed at any moment and run again, it goes on from its last checkpoint and ends with the same
    files. Returns the record; `amplitude_before` is that of the motion that came in.

    Raises:
        UserError: missing or damaged inputs or models, a folder that cannot be written, or training
            that diverged.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS)
    before = read_record(scene)
    path = need_file(scene / GAUSSIANS, "give the folder of `animate124 reconstruct`")
    if settings.when == "never":
        return pass_on(
            "polish",
            {path: GAUSSIANS, scene / SHEET: SHEET},
            out,
            work,
            "settings say so",
            settings,
            models,
            watch,
            {"gaussians": path},
            _KEPT,
            prompt=prompt,
            amplitude_before=before.get("amplitude"),
        )
    with watch.part("loading"):
        warm.ensure_compiled()
        cloud, motion = store.load(path, models.device)
        known = read_views(views)
        inputs = {"gaussians": path, "cameras": views / CAMERAS}
        clips = None
        if videos is not None and settings.follow:
            clips, _ = read_clips(videos, known, settings.follow_size)
            inputs["clips"] = videos / RECORD
        told = fit_wording(prompt, read_image(views / view_name(0)), models)
        for warning in told.warnings:
            print(f"warning: {warning}")
        prior = models.multi_view_video
        task = PolishTask(cloud, motion, known, clips, prior, told.sentence, settings)
    identity = told.sentence, models.digest(ROLE)
    return optimise(
        task,
        settings,
        known,
        out,
        work,
        models.device,
        watch,
        inputs,
        identity,
        priors=models.used,
        profile=models.profile.name,
        prompt=prompt,
        told=told.sentence,
        warnings=list(told.warnings),
        amplitude_before=before.get("amplitude"),
    )
