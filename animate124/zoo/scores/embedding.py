"""Whether the nano embedder tells species and motions of unseen characters."""

from pathlib import Path

import torch
from torch import Tensor

from animate124.priors.embedding import Embedding
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.zoo import data
from animate124.zoo.embedder import pair_sentence
from animate124.zoo.judge import Judge
from animate124.zoo.scores import Scores
from animate124.zoo.scores.common import clips, mean

FRAMES = 8


@torch.no_grad()
def retrieved(embedding: Embedding, clip: Tensor, species: str) -> str:
    """The motion, of those that a species can do, whose sentence is nearest to a clip."""
    motions = list(motions_of(species))
    bank = embedding.embed_text([pair_sentence(species, motion) for motion in motions])
    return motions[int((embedding.embed_clip(clip[None]) @ bank.T).argmax())]


def evaluate(models: Path, split: str, count: int) -> Scores:
    """Top-1 shares over 8-frame clips on white, seen from the front and from anywhere."""
    embedding = Embedding.load(models / "embedding")
    judge = Judge(embedding)
    rng = data.stream(0, "score", "embedding")
    right: dict[str, list[float]] = {}
    chance = []
    for clip in clips(split, count):
        for where, azimuth in (("front", rng.uniform(-60, 60)), ("any", rng.uniform(-180, 180))):
            angles = torch.tensor([azimuth, rng.uniform(*data.ELEVATIONS)]).double().numpy()
            sight = data.look(clip, angles[:1], angles[1:], clip.times(FRAMES))
            frames = data.over(sight.rgba[0])
            right.setdefault(f"species_{where}", []).append(judge.species(frames) == clip.species)
            still = frames[:1]
            right.setdefault(f"species_still_{where}", []).append(
                judge.species(still) == clip.species
            )
            guess = retrieved(embedding, frames, clip.species)
            right.setdefault(f"motion_{where}", []).append(guess == clip.motion)
            guess = retrieved(embedding, still, clip.species)
            right.setdefault(f"baseline_motion_still_{where}", []).append(guess == clip.motion)
        chance.append(1.0 / len(motions_of(clip.species)))
    right["baseline_species_chance"] = [1 / len(SPECIES)]
    right["baseline_motion_chance"] = chance
    return Scores({key: mean(values) for key, values in right.items()})
