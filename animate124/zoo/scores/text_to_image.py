"""Whether what the nano text-to-image model draws is taken for what the sentence says."""

from pathlib import Path

import torch

from animate124.priors.embedding import Embedding
from animate124.priors.text_to_image import TextToImage
from animate124.toybox.captions import static_prompt
from animate124.zoo import data
from animate124.zoo.judge import Judge
from animate124.zoo.scores import Scores
from animate124.zoo.scores.common import clips, mean, sheet

SCALE, STEPS = 3.0, 25


def evaluate(models: Path, split: str, count: int) -> Scores:
    """Species top-1 of samples, beside that of true pictures and chance; guidance 3, 25 steps."""
    model = TextToImage.load(models / "text-to-image", vae=models / "autoencoder")
    judge = Judge(Embedding.load(models / "embedding"))
    generator = torch.Generator().manual_seed(0)
    chosen = clips(split, count)
    prompts = [f"{static_prompt(clip)}, front view" for clip in chosen]
    samples = torch.cat(
        [
            model.sample(prompts[k : k + 16], scale=SCALE, steps=STEPS, generator=generator)
            for k in range(0, len(prompts), 16)
        ]
    )
    rng = data.stream(0, "score", "text-to-image")
    truth = torch.cat(
        [
            data.over(data.look(clip, rng.uniform(-30, 30, 1), rng.uniform(-5, 15, 1),
                                rng.random(1)).rgba[0])
            for clip in chosen
        ]
    )  # fmt: skip
    right, ideal = (
        [
            judge.species(image[None]) == clip.species
            for image, clip in zip(made, chosen, strict=True)
        ]
        for made in (samples, truth)
    )
    figures = {
        "species_top1": mean(right),
        "oracle_species_top1": mean(ideal),
        "baseline_chance": mean([1 / len(judge.species_bank)]),
        "samples": len(samples),
        "guidance_scale": SCALE,
        "steps": STEPS,
    }
    width = min(len(samples), 29)
    return Scores(figures, sheet([samples[:width], truth[:width]]))
