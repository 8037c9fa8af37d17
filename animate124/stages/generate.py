"""Stage `generate`: views of an asset and a sentence in; a clip from each of the cameras out.

Frames leave as lossless RGBA pictures: a GIF, as in the published route, merges frames and colours
(spec §13.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from animate124 import runtime
from animate124.errors import UserError
from animate124.media.files import ensure_folder
from animate124.media.images import contact_sheet, write_png
from animate124.media.tensors import load_tensors, save_tensors
from animate124.media.video import write_video
from animate124.priors.guidance import Guidance
from animate124.priors.multiview_video import MultiViewVideo
from animate124.progress import Display
from animate124.settings.base import digest
from animate124.settings.generate import GenerateSettings
from animate124.stages.finished import alone
from animate124.stages.generate_choice import judge
from animate124.stages.generate_matte import mattes
from animate124.stages.models import Models
from animate124.stages.multiview import CAMERAS, FRAMES, ViewSet, frame_name, read_views, view_name
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    fingerprint,
    staged,
    work_folder,
    write_record,
)
from animate124.stages.preprocess_matte import own_colours
from animate124.stages.wording import fit_wording

ROLE = "multi-view-video"
CLIPS, SHEET = "clips.mp4", "sheet.png"
OUTPUTS = (FRAMES, CLIPS, SHEET, RECORD)
_KIND, _VERSION = "generated-clips", 1


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
            embedding = models.embedding if models.has("embedding") else None
            matting = models.matting if models.has("matting") else None
            still = views.pictures(model.image_size)
            front = int((views.azimuth % 360.0).argmin())
            told = fit_wording(prompt, _straight(still[front]), models)
            for warning in told.warnings:
                print(f"warning: {warning}")
        shown = still[:, :3] + (1.0 - still[:, 3:]) * views.background
        with watch.part("sampling"):
            mark = fingerprint(
                inputs, models.device, digest(settings), told.sentence, models.digest(ROLE)
            )
            made = _candidates(model, shown, views, told.sentence, settings, work, mark)
        with watch.part("choice"):
            cameras = views.cameras(model.image_size)
            merits = [
                judge(clips, views.background, cameras, told.sentence, embedding) for clips in made
            ]
            best = max(range(len(merits)), key=lambda k: merits[k].score)
        with watch.part("outputs"), staged(out, OUTPUTS) as place:
            frames = _cut(made[best], still, matting, settings.steady)
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
                chosen=best,
                candidates=[merit.record() for merit in merits],
            )
        for path in _saved(work, settings):
            path.unlink(missing_ok=True)
    return record


def _candidates(
    model: MultiViewVideo,
    shown: Tensor,
    views: ViewSet,
    sentence: str,
    settings: GenerateSettings,
    work: Path,
    mark: str,
) -> list[Tensor]:
    """Clips [n, F, 3, H, W] of every candidate; those finished before are read from `work`."""
    condition = model.condition(shown, views.azimuth, views.elevation, sentence, settings.negative)
    ensure_folder(work)
    made: list[Tensor] = []
    each = settings.passes * len(model.timesteps(settings.steps, settings.strength))
    with Display("generate", settings.candidates * each) as bar:
        for index, path in enumerate(_saved(work, settings)):
            latents = _read(path, mark)
            if latents is None:
                done = index * each

                def step() -> None:
                    nonlocal done
                    done += 1
                    bar.update(done)

                latents = model.sample_latents(
                    condition,
                    frames=settings.frames,
                    guidance=Guidance(settings.guidance, rescale=settings.rescale),
                    steps=settings.steps,
                    generator=runtime.generator(settings.seed, "generate", index),
                    passes=settings.passes,
                    strength=settings.strength,
                    together=settings.together,
                    on_step=step,
                )
                save_tensors(
                    path,
                    {"latents": latents},
                    kind=_KIND,
                    version=_VERSION,
                    metadata={"fingerprint": mark},
                )
            made.append(model.decode_latents(latents.to(model.device)).cpu())
    return made


def _saved(work: Path, settings: GenerateSettings) -> list[Path]:
    return [work / f"candidate_{k}.safetensors" for k in range(settings.candidates)]


def _read(path: Path, mark: str) -> Tensor | None:
    """The latents of a candidate that an earlier run with the same inputs finished."""
    if not path.is_file():
        return None
    try:
        tensors, metadata = load_tensors(path, _KIND, _VERSION, finite=True)
    except UserError:
        return None  # cut short: it is made again
    return tensors["latents"] if metadata.get("fingerprint") == mark else None


def _straight(premultiplied: Tensor) -> np.ndarray:
    """RGBA [H, W, 4] with straight alpha of [4, H, W] with premultiplied colours."""
    image = premultiplied.permute(1, 2, 0).numpy().copy()
    image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    return image.clip(0.0, 1.0)


def _cut(clips: Tensor, still: Tensor, matting: Any, steady: float) -> np.ndarray:
    """Frames [n, F, H, W, 4] with straight alpha, the first of each the view itself."""
    cut = []
    for clip, view in zip(clips.permute(0, 1, 3, 4, 2).numpy(), still, strict=True):
        alpha = mattes(clip, view[3].numpy(), matting, steady)
        rgb = np.stack([own_colours(c, a) for c, a in zip(clip, alpha, strict=True)])
        frames = np.concatenate([rgb, alpha[..., None]], axis=-1)
        frames[0] = _straight(view)
        cut.append(frames)
    return np.stack(cut).astype(np.float32).clip(0.0, 1.0)


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
