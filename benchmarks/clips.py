"""What choosing among sketched clips is worth: `python benchmarks/clips.py [--count N] [--json]`.

The nano multi-view video model animates toybox characters of the test split, four views of eight
frames from true first frames, in the ways of WAYS; the last is that of the preset `draft`. Of each:

motion_top1: share of views in which the action recogniser finds the told motion among all that
    the species knows. It also chooses among candidates, which favours ways that choose.
performed: the probability it gives that motion.
species_top1: by the embedder.
amplitude_ratio: change of the pixels over time, over that of the true clips.
nearest_psnr: of frames 1 and later, dB, to the nearest of 24 moments of the truth.
agreement: share of the silhouettes that the other views of the same moment allow.
seconds: of one character.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import animate124  # noqa: F401  settles threads before numba and torch load

# isort: split
import torch
from torch import Tensor

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.metrics.consistency import silhouette_agreement
from animate124.metrics.motion import amplitude
from animate124.settings.generate import SamplingSettings
from animate124.stages.models import Models
from animate124.stages.multiview_clips import Stills, best_clips
from animate124.toybox.captions import motion_prompt
from animate124.toybox.catalogue import motions_of
from animate124.toybox.clip import Clip
from animate124.zoo import data
from animate124.zoo.judge import Judge
from animate124.zoo.roles import NANO
from animate124.zoo.scores.common import clips, decibels

WAYS = {
    "one, guided to the end": {"candidates": 1},
    "one": {"candidates": 1, "unguided": 0.7},
    "two, both finished": {"candidates": 2},
    "four sketched": {"candidates": 4, "unguided": 0.7, "judged_at": 0.65},
    "eight sketched": {"candidates": 8, "unguided": 0.7, "judged_at": 0.65},
}
STEPS, FRAMES, VIEWS, ELEVATION, MOMENTS = 20, 8, 4, 15.0, 24
PAPER = 0.02  # how far a pixel may be from white and be background


def measure(clip: Clip, way: dict, models: Models, judge: Judge, seed: int) -> dict[str, float]:
    """The figures of one character's clips."""
    azimuth = 360.0 / VIEWS * torch.arange(VIEWS)
    elevation = torch.full((VIEWS,), ELEVATION)
    angles = azimuth.double().numpy(), elevation.double().numpy()
    seen = data.look(clip, *angles, clip.times(MOMENTS)).rgba
    truth = data.over(seen)
    cameras = Cameras(orbit(azimuth, elevation), DEFAULT_FOV_Y, data.SIZE, data.SIZE)
    stills = Stills(seen[:, 0], azimuth, elevation, cameras, 1.0)
    settings = SamplingSettings(steps=STEPS, **way)
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        sentence = motion_prompt(clip)
        made = best_clips(models, stills, sentence, settings, FRAMES, seed, Path(work), "").clips
        seconds = time.perf_counter() - began
    told = list(motions_of(clip.species)).index(clip.motion)
    performed = judge.actions.probabilities(made, list(motions_of(clip.species)))
    covered = ((1.0 - made).abs().amax(2) > PAPER).float()
    return {
        "motion_top1": float((performed.argmax(1) == told).float().mean()),
        "performed": float(performed[:, told].mean()),
        "species_top1": sum(judge.species(view) == clip.species for view in made) / VIEWS,
        "amplitude": _amplitude(made),
        "true_amplitude": _amplitude(truth[:, :: MOMENTS // FRAMES]),
        "nearest_psnr": sum(
            float(decibels(frame.expand_as(true), true).max())
            for view, true in zip(made, truth, strict=True)
            for frame in view[1:]
        )
        / (VIEWS * (FRAMES - 1)),
        "agreement": sum(silhouette_agreement(covered[:, k], cameras) for k in range(FRAMES))
        / FRAMES,
        "seconds": seconds,
    }


def _amplitude(views: Tensor) -> float:
    return sum(amplitude(view.permute(0, 2, 3, 1)) for view in views) / VIEWS


def average(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the characters; the ratio of amplitudes is that of their sums."""
    means = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    ratio = means.pop("amplitude") / max(means.pop("true_amplitude"), 1e-9)
    return {key: round(value, 3) for key, value in (means | {"amplitude_ratio": ratio}).items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10, help="characters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    models, judge = Models("nano"), Judge.load(NANO)
    chosen = list(clips("test", options.count))
    found = {}
    for name, way in WAYS.items():
        found[name] = average([measure(clip, way, models, judge, options.seed) for clip in chosen])
        if not options.json:
            print(f"{name:24}", "  ".join(f"{k} {v:g}" for k, v in found[name].items()), flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
