"""How much of what blur took the nano tile control gives back."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from animate124.priors import distill
from animate124.priors.guidance import Guidance
from animate124.priors.tile_control import TileControl
from animate124.toybox.captions import static_prompt
from animate124.zoo import data
from animate124.zoo.scores import Scores
from animate124.zoo.scores.common import clips, decibels, mean, sheet

SCALE, STEPS = 1.5, 20
SHRINKS = (2, 4)
AT = 0.8  # share of the schedule


def evaluate(models: Path, split: str, count: int) -> Scores:
    """PSNR of restored pictures beside that of the blurred ones they were made from.

    Restored twice: as `refine` does it, one unguided step from the blurred picture with noise
    ("psnr_", "gain_"), and by sampling from pure noise ("sampled_").
    """
    model = TileControl.load(
        models / "tile-control", base=models / "text-to-image", vae=models / "autoencoder"
    )
    generator = torch.Generator().manual_seed(0)
    rng = data.stream(0, "score", "tile-control")
    found: dict[str, list[float]] = {}
    rows = []
    for clip in clips(split, count):
        sight = data.look(clip, rng.uniform(-180, 180, 1), rng.uniform(-5, 30, 1), rng.random(1))
        truth = data.over(sight.rgba[0])
        row = [truth[0]]
        for shrink in SHRINKS:
            small = interpolate(truth, size=data.SIZE // shrink, mode="area")
            blurred = interpolate(small, size=data.SIZE, mode="bilinear", align_corners=False)
            again = model.sample(
                blurred, [static_prompt(clip)], scale=SCALE, steps=STEPS, generator=generator
            )
            once = _once(model, blurred, static_prompt(clip), generator)
            found.setdefault(f"psnr_from_{shrink}x", []).append(float(decibels(once, truth)))
            found.setdefault(f"sampled_from_{shrink}x", []).append(float(decibels(again, truth)))
            found.setdefault(f"baseline_blurred_{shrink}x", []).append(
                float(decibels(blurred, truth))
            )
            row += [blurred[0], once[0], again[0]]
        if len(rows) < 10:
            rows.append(torch.stack(row))
    figures = {key: mean(values, 2) for key, values in found.items()}
    for shrink in SHRINKS:
        gain = figures[f"psnr_from_{shrink}x"] - figures[f"baseline_blurred_{shrink}x"]
        figures[f"gain_{shrink}x"] = round(gain, 2)
    return Scores(figures | {"at": AT, "guidance_scale": SCALE, "steps": STEPS}, sheet(rows))


def _once(model: TileControl, blurred: Tensor, text: str, generator: torch.Generator) -> Tensor:
    """Blurred images [B, 3, H, W], denoised in one step."""
    t = torch.full((len(blurred),), int(AT * model.schedule.steps))
    predict = partial(model.predict_pair, text=text, negative="", condition=blurred)
    found = distill.x0_target(
        model.encode_images(blurred).detach(), t, predict, model.schedule, Guidance(1.0), generator
    )
    return model.decode_latents(found.target)
