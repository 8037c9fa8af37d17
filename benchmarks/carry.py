"""What `dynamic` makes of *right* clips: `python benchmarks/carry.py results/panda [KEY=VALUE]`.

A finished static scene with truth is moved by the true clips of its four sides in the place of
those that the multi-view video model makes: what is lost even so, tracking and time slices lose.
The truth is taken to stand where the scene does, as the shipped panda's. KEY=VALUE are settings of
`animate124.settings.DynamicSettings`.

psnr: of whole images over white, dB, the mean over three sides (front, right, behind) and seven
    moments after t = 0. still_psnr: the same of the static scene, which does not move.
motion_top1: share of these sides in which the action recogniser finds the told motion.
amplitude_ratio: change of the pixels over time, over that of the truth.
seconds, seconds_of: of the whole stage and of its parts.
"""

import argparse
import json
import tempfile
from pathlib import Path
from unittest import mock

import animate124  # noqa: F401  settles threads before numba and torch load

# isort: split
import numpy as np
import torch
import yaml
from torch import Tensor

from animate124.geometry.cameras import orbit
from animate124.metrics.image import psnr
from animate124.metrics.motion import amplitude
from animate124.settings.base import parse
from animate124.settings.dynamic import DynamicSettings
from animate124.stages import carried_motion
from animate124.stages.dynamic import dynamic
from animate124.stages.finished_field import FinishedField, open_field
from animate124.stages.models import Models
from animate124.stages.multiview_clips import Chosen, Stills
from animate124.toybox.captions import motion_prompt
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.zoo import data
from animate124.zoo.judge import Judge
from animate124.zoo.roles import NANO

SIDES, SIZE, MOMENTS = (0.0, 90.0, 180.0), 64, 8


def true_clips(clip: Clip, stills: Stills, frames: int) -> Chosen:
    """What the toybox shows from the stills' cameras."""
    angles = stills.azimuth.double().numpy(), stills.elevation.double().numpy()
    size = stills.pictures.shape[-1]
    return Chosen(data.over(data.look(clip, *angles, clip.times(frames), size).rgba), 0, [])


def shown(scene: FinishedField, moving: bool) -> Tensor:
    """The scene from all sides at all moments, RGB [V, F, 3, S, S] over white."""
    times = torch.arange(MOMENTS) / MOMENTS * moving
    sides = [
        scene.images(orbit(torch.tensor([side]), 0.0).expand(MOMENTS, -1, -1), times, SIZE)["rgb"]
        for side in SIDES
    ]
    return torch.stack(sides).permute(0, 1, 4, 2, 3).clamp(0, 1)


def likeness(images: Tensor, truth: Tensor) -> float:
    """Mean PSNR of the moments after the first."""
    a, b = (x[:, 1:].flatten(0, 1).permute(0, 2, 3, 1) for x in (images, truth))
    return round(float(psnr(a, b).mean()), 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene", type=Path, help="results of a scene of config/scenes.tsv")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    settings = parse(DynamicSettings, options.settings)
    known = yaml.safe_load(Path(f"config/truth/{options.scene.name}.yaml").read_text())
    clip = sample_clip(known["seed"], known["species"], known["motion"])
    models, judge = Models("nano"), Judge.load(NANO)

    def given(_: Models, stills: Stills, *rest: object) -> Chosen:
        return true_clips(clip, stills, settings.frames)

    static = options.scene / "static"
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "dynamic"
        with mock.patch.object(carried_motion, "best_clips", given):
            record = dynamic(
                static, options.scene / "preprocess", out, settings, models, motion_prompt(clip)
            )
        scenes = {"carried": (open_field(out), True), "still": (open_field(static), False)}
        images = {name: shown(*scene) for name, scene in scenes.items()}
    times = np.arange(MOMENTS) / MOMENTS
    angles = np.array(SIDES), np.zeros(len(SIDES))
    truth = data.over(data.look(clip, *angles, times, SIZE).rgba)
    moved, true = (
        sum(amplitude(side.permute(0, 2, 3, 1)) for side in sides)
        for sides in (images["carried"], truth)
    )
    told = [judge.motion(side, clip.species) == clip.motion for side in images["carried"]]
    result = {
        "psnr": likeness(images["carried"], truth),
        "still_psnr": likeness(images["still"], truth),
        "motion_top1": round(sum(told) / len(told), 2),
        "amplitude_ratio": round(moved / true, 2),
        "seconds": record["seconds"],
        "seconds_of": record["seconds_of"],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
