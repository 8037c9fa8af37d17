"""Whether the nano multi-view video model moves a given toy as told, and all its views alike."""

from pathlib import Path

import torch
from torch import Tensor

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.metrics.consistency import silhouette_agreement
from animate124.metrics.motion import amplitude, flicker_score
from animate124.priors.guidance import Guidance
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.text_to_video import TextToVideo
from animate124.toybox.captions import motion_prompt
from animate124.zoo import data
from animate124.zoo.judge import Judge
from animate124.zoo.multiview_video import FRAMES, VIEWS
from animate124.zoo.scores import Scores, told
from animate124.zoo.scores.common import channels_last, clips, decibels, mean, sheet
from animate124.zoo.text_to_image import view_word

SCALE, UNGUIDED, STEPS = 3.0, 0.7, 20  # as the preset `draft` has them
STRENGTH = 0.9
ELEVATION = 15.0
_MOMENTS = 24  # of the true clip: what a picture of this toy may look like
_TOLD = 4
_PAPER = 0.02  # how far a pixel may be from white and be background


def evaluate(models: Path, split: str, count: int) -> Scores:
    """Four views a quarter turn apart, the first at azimuth 0, begun from true first frames.

    From the stills with noise, and through the whole schedule, as the stages sample one candidate
    ("from_noise_"). Beside the true clips
    ("oracle_"), the still views repeated ("baseline_still_") and clips of each side from words
    alone ("baseline_per_view_"):
    species_top1, motion_top1: by embedder and action recogniser, over all views; amplitude_ratio:
    of the sum over all characters; flicker: 1 − mean change between frames; agreement: share of the
    silhouettes that the other views of the same moment allow; identity_psnr: of frames 1 and later
    to the nearest of 24 moments of the truth, dB, which the still views win; frame_0_psnr: of what
    goes through the autoencoder unchanged. "told_": as the text-to-video model that it is too, four
    times as many characters, see `told.score`.
    """
    base = models / "text-to-image"
    model = MultiViewVideo.load(models / "multi-view-video", base=base, vae=models / "autoencoder")
    single = TextToVideo.load(models / "multi-view-video", base=base, vae=models / "autoencoder")
    judge = Judge.load(models)
    generator = torch.Generator().manual_seed(0)
    azimuth = 360.0 / VIEWS * torch.arange(VIEWS)
    elevation = torch.full((VIEWS,), ELEVATION)
    cameras = Cameras(orbit(azimuth, elevation), DEFAULT_FOV_Y, data.SIZE, data.SIZE)
    found: dict[str, list[float]] = {}
    rows: list[Tensor] = []
    for clip in clips(split, count):
        angles = azimuth.double().numpy(), elevation.double().numpy()
        every = data.over(data.look(clip, *angles, clip.times(_MOMENTS)).rgba)
        truth = every[:, :: _MOMENTS // FRAMES]
        sentence = motion_prompt(clip)
        condition = model.condition(truth[:, 0], azimuth, elevation, sentence)
        made, free = (
            model.sample(
                condition,
                frames=FRAMES,
                guidance=Guidance(SCALE),
                steps=STEPS,
                generator=generator,
                strength=strength,
                unguided=UNGUIDED,
            )
            for strength in (STRENGTH, 1.0)
        )
        words = [f"{sentence}, {view_word(float(angle))} view" for angle in azimuth]
        alone = single.sample(words, scale=SCALE, steps=STEPS, generator=generator, frames=FRAMES)
        for name, views in (
            ("", made),
            ("from_noise_", free),
            ("oracle_", truth),
            ("baseline_still_", truth[:, :1].expand_as(truth)),
            ("baseline_per_view_", alone),
        ):
            scores = {
                "species_top1": mean([judge.species(v) == clip.species for v in views]),
                "motion_top1": mean([judge.motion(v, clip.species) == clip.motion for v in views]),
                "amplitude": mean([amplitude(channels_last(v)) for v in views], 6),
                "flicker": mean([flicker_score(channels_last(v)) for v in views], 6),
                "agreement": mean(
                    [silhouette_agreement(_covered(views[:, k]), cameras) for k in range(FRAMES)], 6
                ),
                "identity_psnr": mean(_nearest(views, every), 6),
                "frame_0_psnr": mean(decibels(views[:, 0], truth[:, 0]), 6),
            }
            for key, value in scores.items():
                found.setdefault(name + key, []).append(value)
        if len(rows) < 32:
            rows += [truth[0], free[0], truth[1], free[1]]
    figures = {key: mean(values) for key, values in found.items()}
    true = max(sum(found["oracle_amplitude"]), 1e-9)
    for name in ("", "from_noise_", "baseline_per_view_"):
        figures[f"{name}amplitude_ratio"] = round(sum(found[f"{name}amplitude"]) / true, 3)
    words, told_rows = told.score(single, judge, split, _TOLD * count, STEPS)
    figures |= {f"told_{key}": value for key, value in words.items()}
    return Scores(
        figures
        | {
            "guidance_scale": SCALE,
            "unguided": UNGUIDED,
            "strength": STRENGTH,
            "steps": STEPS,
        },
        sheet(rows + told_rows),
    )


def _nearest(views: Tensor, every: Tensor) -> list[float]:
    """PSNR of frames 1 and later of [n, F, 3, H, W] to the nearest of [n, M, 3, H, W], view by
    view."""
    found = []
    for made, true in zip(views, every, strict=True):
        for frame in made[1:]:
            found.append(float(decibels(frame.expand_as(true), true).max()))
    return found


def _covered(views: Tensor) -> Tensor:
    """Where pictures [n, 3, H, W] are not white, [n, H, W] as 0 and 1."""
    return ((1.0 - views).amax(dim=1) > _PAPER).float()
