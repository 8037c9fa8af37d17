"""Clips of one subject from several sides, made by the multi-view video prior: sampled, chosen, cut
out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate124 import runtime
from animate124.errors import UserError
from animate124.geometry.cameras import Cameras
from animate124.media.files import ensure_folder
from animate124.media.tensors import load_tensors, save_tensors
from animate124.priors.guidance import Guidance
from animate124.priors.matting import Matting
from animate124.priors.multiview_video import Sketch
from animate124.progress import Display
from animate124.settings.generate import SamplingSettings
from animate124.stages.generate_choice import Merit, judge
from animate124.stages.generate_matte import mattes
from animate124.stages.models import Models
from animate124.stages.preprocess_matte import own_colours

_KIND, _VERSION = "generated-clips", 2


@dataclass(frozen=True, eq=False)
class Stills:
    """What the clips begin with: pictures [n, 4, S, S], colours premultiplied on black, the angles
    [n] in degrees and cameras that see them so, and the grey level the prior was trained over."""

    pictures: Tensor
    azimuth: Tensor
    elevation: Tensor
    cameras: Cameras
    background: float

    def shown(self) -> Tensor:
        """The pictures over the background [n, 3, S, S]."""
        return self.pictures[:, :3] + (1.0 - self.pictures[:, 3:]) * self.background


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best candidate's clips [n, frames, 3, S, S] over the background, its number, and what
    each candidate is worth."""

    clips: Tensor
    index: int
    merits: list[Merit]

    def record(self) -> dict[str, Any]:
        """For the stage's record."""
        return {"chosen": self.index, "candidates": [merit.record() for merit in self.merits]}


def best_clips(
    models: Models,
    stills: Stills,
    sentence: str,
    settings: SamplingSettings,
    frames: int,
    seed: int,
    work: Path,
    mark: str,
) -> Chosen:
    """Clips of all candidates down to the noise level at which they are judged, then the best one's
    to the end.

    What happens in a clip is decided while there is still much noise: many can be looked at for the
    price of a few. Candidates that an earlier run made are read from `work`; `mark` tells whether
    they belong to the same inputs.
    """
    model = models.multi_view_video
    condition = model.condition(
        stills.shown(), stills.azimuth, stills.elevation, sentence, settings.negative
    )
    ensure_folder(work)
    sketches = []
    guidance = Guidance(settings.guidance, rescale=settings.rescale)
    at = model.timesteps(settings.steps, settings.strength)
    first = model.steps_down_to(at, settings.judged_at)
    each = (settings.passes - 1) * len(at) + first
    with Display("generate", settings.candidates * each + len(at) - first) as bar:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            bar.update(done)

        how = {
            "guidance": guidance,
            "unguided": settings.unguided,
            "together": settings.together,
            "on_step": step,
        }
        for index, path in enumerate(_saved(work, settings)):
            done = index * each
            sketch = _read(path, mark)
            if sketch is None:
                sketch = model.sketch(
                    condition,
                    frames=frames,
                    steps=settings.steps,
                    generator=runtime.generator(seed, "generate", index),
                    passes=settings.passes,
                    strength=settings.strength,
                    down_to=settings.judged_at,
                    **how,
                )
                _write(path, sketch, mark)
            sketches.append(sketch)
        shown = [model.decode_latents(sketch.clean.to(model.device)).cpu() for sketch in sketches]
        best, merits = judged(shown, stills, sentence, models)
        done = settings.candidates * each
        latents = model.finish(condition, sketches[best], **how)
    return Chosen(model.decode_latents(latents.to(model.device)).cpu(), best, merits)


def judged(
    made: list[Tensor], stills: Stills, sentence: str, models: Models
) -> tuple[int, list[Merit]]:
    """The index of the best candidate, and what each is worth."""
    merits = [judge(clips, stills.background, stills.cameras, sentence, models) for clips in made]
    return max(range(len(merits)), key=lambda k: merits[k].score), merits


def forget(work: Path, settings: SamplingSettings) -> None:
    """Remove what `best_clips` keeps for an interrupted run."""
    for path in _saved(work, settings):
        path.unlink(missing_ok=True)


def _saved(work: Path, settings: SamplingSettings) -> list[Path]:
    return [work / f"candidate_{k}.safetensors" for k in range(settings.candidates)]


def _write(path: Path, sketch: Sketch, mark: str) -> None:
    save_tensors(
        path,
        {"clean": sketch.clean, "noisy": sketch.noisy},
        kind=_KIND,
        version=_VERSION,
        metadata={"fingerprint": mark, "left": json.dumps(sketch.left)},
    )


def _read(path: Path, mark: str) -> Sketch | None:
    """A candidate that an earlier run with the same inputs made."""
    if not path.is_file():
        return None
    try:
        tensors, metadata = load_tensors(path, _KIND, _VERSION, finite=True)
    except UserError:
        return None  # cut short: it is made again
    if metadata.get("fingerprint") != mark:
        return None
    return Sketch(tensors["clean"], tensors["noisy"], tuple(json.loads(metadata["left"])))


def cut_out(clips: Tensor, stills: Stills, matting: Matting | None, steady: float) -> np.ndarray:
    """Frames [n, F, S, S, 4] with straight alpha of clips, the first of each the still itself."""
    cut = []
    for clip, view in zip(clips.permute(0, 1, 3, 4, 2).numpy(), stills.pictures, strict=True):
        alpha = mattes(clip, view[3].numpy(), matting, steady)
        rgb = np.stack([own_colours(c, a) for c, a in zip(clip, alpha, strict=True)])
        frames = np.concatenate([rgb, alpha[..., None]], axis=-1)
        frames[0] = straight(view)
        cut.append(frames)
    return np.stack(cut).astype(np.float32).clip(0.0, 1.0)


def straight(premultiplied: Tensor) -> np.ndarray:
    """RGBA [H, W, 4] with straight alpha of [4, H, W] with premultiplied colours."""
    image = premultiplied.permute(1, 2, 0).numpy().copy()
    image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    return image.clip(0.0, 1.0)


def premultiplied(frames: np.ndarray) -> Tensor:
    """Clips [n, F, 4, S, S], colours premultiplied on black, of frames with straight alpha."""
    clips = torch.from_numpy(frames).permute(0, 1, 4, 2, 3)
    return torch.cat([clips[:, :, :3] * clips[:, :, 3:], clips[:, :, 3:]], 2).contiguous()
