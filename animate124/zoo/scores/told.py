"""Whether a text-to-video model shows the species and the motion that the sentence names."""

import torch
from torch import Tensor

from animate124.metrics.motion import amplitude, flicker_score
from animate124.priors.text_to_video import TextToVideo
from animate124.toybox.captions import motion_prompt
from animate124.zoo import data
from animate124.zoo.judge import Judge
from animate124.zoo.scores.common import channels_last, clips, mean
from animate124.zoo.scores.embedding import FRAMES

SCALE = 3.0


def score(
    model: TextToVideo, judge: Judge, split: str, count: int, steps: int
) -> tuple[dict[str, float], list[Tensor]]:
    """Top-1 of species and motion, motion amplitude over that of true clips, and flicker; and rows
    of frames to look at, the truth above the sample.

    Baselines: the true clip, its first frame held, its frames shuffled.
    """
    generator = torch.Generator().manual_seed(0)
    rng = data.stream(0, "score", "text-to-video")
    found: dict[str, list[float]] = {}
    rows = []
    for clip in clips(split, count):
        prompt = f"{motion_prompt(clip)}, front view"
        sample = model.sample(
            [prompt], scale=SCALE, steps=steps, generator=generator, frames=FRAMES
        )[0]
        sight = data.look(clip, rng.uniform(-30, 30, 1), rng.uniform(-5, 15, 1), clip.times(FRAMES))
        truth = data.over(sight.rgba[0])
        shuffled = truth[torch.randperm(FRAMES, generator=generator)]
        for name, frames in (
            ("", sample),
            ("oracle_", truth),
            ("baseline_frozen_", truth[:1].expand_as(truth)),
            ("baseline_shuffled_", shuffled),
        ):
            scores = {
                "species_top1": judge.species(frames) == clip.species,
                "motion_top1": judge.motion(frames, clip.species) == clip.motion,
                "amplitude": amplitude(channels_last(frames)),
                "flicker": flicker_score(channels_last(frames)),
            }
            for key, value in scores.items():
                found.setdefault(name + key, []).append(float(value))
        if len(rows) < 8:
            rows += [truth, sample]
    figures = {key: mean(values) for key, values in found.items()}
    figures["amplitude_ratio"] = round(
        sum(found["amplitude"]) / max(sum(found["oracle_amplitude"]), 1e-9), 3
    )
    return figures | {"characters": count}, rows
