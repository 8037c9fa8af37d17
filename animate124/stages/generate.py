"""Stage `generate`: views of an asset and a sentence in; a clip from each of the cameras out.

Frames leave as lossless RGBA pictures: a GIF, as in the published route, merges frames and colours
(spec §13.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from animate124.media.files import ensure_folder
from animate124.media.images import contact_sheet, write_png
from animate124.media.video import write_video
from animate124.settings.base import digest
from animate124.settings.generate import GenerateSettings
from animate124.stages.finished import alone
from animate124.stages.models import Models
from animate124.stages.multiview import CAMERAS, FRAMES, frame_name, read_views, view_name
from animate124.stages.multiview_clips import Stills, best_clips, cut_out, forget, straight
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    fingerprint,
    staged,
    work_folder,
    write_record,
)
from animate124.stages.wording import fit_wording

ROLE = "multi-view-video"
CLIPS, SHEET = "clips.mp4", "sheet.png"
OUTPUTS = (FRAMES, CLIPS, SHEET, RECORD)


def generate(
    folder: Path,
    out: Path,
    settings: GenerateSettings,
    models: Models,
    prompt: str,
    *,
    work: Path | None = None,
) -> dict[str, Any]:
    """Make the asset that the views in `folder` show do what `prompt` says, and write into `out`.

    frames/view_V_frame_KK.png: RGBA with straight alpha, frame 0 the view itself; clips.mp4: all
    views side by side; sheet.png. Of several candidates the best is kept. Killed and run again it
    goes on after the last finished candidate and ends with the same files.

    Returns the record: views, frames, fps, loop, and what every candidate is worth.

    Raises:
        UserError: no finished views in `folder`, models that are absent, or a folder that cannot be
            written.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS, folders=(FRAMES,))
    views = read_views(folder)
    inputs = {view_name(k): folder / view_name(k) for k in range(len(views))}
    inputs["cameras"] = folder / CAMERAS
    work = work or work_folder(out)
    with alone(work):
        with watch.part("loading"):
            model = models.multi_view_video
            matting = models.matting if models.has("matting") else None
            stills = Stills(
                views.pictures(model.image_size),
                views.azimuth,
                views.elevation,
                views.cameras(model.image_size),
                views.background,
            )
            front = int((views.azimuth % 360.0).argmin())
            told = fit_wording(prompt, straight(stills.pictures[front]), models)
            for warning in told.warnings:
                print(f"warning: {warning}")
        with watch.part("sampling"):
            mark = fingerprint(
                inputs, models.device, digest(settings), told.sentence, models.digest(ROLE)
            )
            chosen = best_clips(
                models, stills, told.sentence, settings, settings.frames, settings.seed, work, mark
            )
        with watch.part("outputs"), staged(out, OUTPUTS) as place:
            frames = cut_out(chosen.clips, stills, matting, settings.steady)
            _write(place, frames, settings)
            record = write_record(
                place,
                "generate",
                settings,
                watch,
                models.device,
                inputs=inputs,
                priors=models.used,
                profile=models.profile.name,
                prompt=prompt,
                told=told.sentence,
                warnings=list(told.warnings),
                views=len(views),
                frames=settings.frames,
                fps=settings.fps,
                loop=settings.loop,
                size=model.image_size,
                **chosen.record(),
            )
        forget(work, settings)
    return record


def _write(place: Path, frames: np.ndarray, settings: GenerateSettings) -> None:
    ensure_folder(place / FRAMES)
    for view, clip in enumerate(frames):
        for index, frame in enumerate(clip):
            write_png(place / frame_name(view, index), frame)
    white = frames[..., :3] * frames[..., 3:] + 1.0 - frames[..., 3:]
    side_by_side = np.concatenate(list(white), axis=2)  # [F, H, n·W, 3]
    write_video(place / CLIPS, side_by_side, settings.fps)
    chosen = np.unique(np.linspace(0, frames.shape[1] - 1, 8).round().astype(int))
    columns = [f"frame {k}" for k in chosen]
    rows = [f"view {v}" for v in range(len(frames))]
    write_png(place / SHEET, contact_sheet([list(clip[chosen]) for clip in white], rows, columns))
