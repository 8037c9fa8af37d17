"""Whether the nano action recogniser tells the motions of unseen characters."""

from pathlib import Path

import numpy as np
import torch

from animate124.priors.action import ActionRecognition
from animate124.toybox.catalogue import motions_of
from animate124.zoo import data
from animate124.zoo.scores import Scores
from animate124.zoo.scores.common import clips, mean
from animate124.zoo.scores.embedding import FRAMES


def evaluate(models: Path, split: str, count: int) -> Scores:
    """Top-1 shares among the species' own motions, on white, from the front and from anywhere.

    Baselines: chance, the first frame held, and the frames in another order.
    """
    actions = ActionRecognition.load(models / "action-recognition")
    rng = data.stream(0, "score", "action-recognition")
    right: dict[str, list[float]] = {}
    chance = []
    for clip in clips(split, count):
        motions = motions_of(clip.species)
        chance.append(1.0 / len(motions))
        for where, azimuth in (("front", rng.uniform(-60, 60)), ("any", rng.uniform(-180, 180))):
            angles = np.array([azimuth, rng.uniform(*data.ELEVATIONS)])
            sight = data.look(clip, angles[:1], angles[1:], clip.times(FRAMES))
            frames = data.over(sight.rgba[0])
            order = torch.from_numpy(rng.permutation(FRAMES))
            for name, shown in (
                ("motion", frames),
                ("baseline_motion_held", frames[:1].expand_as(frames)),
                ("baseline_motion_shuffled", frames[order]),
            ):
                guess = motions[int(actions.probabilities(shown[None], motions).argmax())]
                right.setdefault(f"{name}_{where}", []).append(guess == clip.motion)
    right["baseline_motion_chance"] = chance
    return Scores({key: mean(values) for key, values in right.items()})
