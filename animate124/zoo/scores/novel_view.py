"""How near the nano novel-view model comes to what a second camera really sees."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate124.priors.novel_view import NovelView, pose_token
from animate124.zoo import data
from animate124.zoo.scores import Scores
from animate124.zoo.scores.common import clips, decibels, mean, sheet

AZIMUTHS = np.arange(8) * 45.0
SCALE, STEPS = 2.0, 20
_MEAN_CLIPS = 64


def evaluate(models: Path, split: str, count: int) -> Scores:
    """PSNR over 8 azimuths, the reference at azimuth 0; beside copying the reference and beside
    the mean picture of training characters from the same side.

    `psnr_expected`: of what the model expects to see, one step from pure noise, which is what
    distillation draws a scene to; the other scores are of samples.

    `left_right`: share of characters whose picture from +90° is nearer to the truth from +90° than
    to that from −90°, and the other way round; `left_right_asymmetric`: among the half whose two
    side views differ most.
    """
    model = NovelView.load(models / "novel-view", vae=models / "autoencoder")
    usual = mean_views()
    generator = torch.Generator().manual_seed(0)
    rng = data.stream(0, "score", "novel-view")
    gained, copied, average, unguided, expected = [], [], [], [], []
    right, asymmetry, rows = [], [], []
    poses = pose_token(0.0, torch.from_numpy(AZIMUTHS), 0.0)
    for clip in clips(split, count):
        truth = data.over(data.look(clip, AZIMUTHS, np.zeros(8), rng.random(1)).rgba[:, 0])
        reference = model.reference(truth[:1])
        views = model.sample(reference, poses, scale=SCALE, steps=STEPS, generator=generator)
        plain = model.sample(reference, poses, scale=1.0, steps=STEPS, generator=generator)
        once = model.sample(reference, poses, scale=1.0, steps=1, generator=generator)
        expected.append(decibels(once, truth))
        gained.append(decibels(views, truth))
        unguided.append(decibels(plain, truth))
        copied.append(decibels(truth[:1].expand_as(truth), truth))
        average.append(decibels(usual, truth))
        right += _sides(views, truth)
        asymmetry += [float((truth[2] - truth[6]).abs().mean())] * 2
        if len(rows) < 24:
            rows += [truth, once, views]
    different = np.array(asymmetry) >= np.median(asymmetry)
    new = slice(1, None)  # the first azimuth is the reference itself
    figures = {
        "psnr": mean(torch.stack(unguided)[:, new].flatten(), 2),
        "psnr_guided": mean(torch.stack(gained)[:, new].flatten(), 2),
        "psnr_expected": mean(torch.stack(expected)[:, new].flatten(), 2),
        "psnr_all_eight": mean(torch.stack(unguided).flatten(), 2),
        "baseline_copy_reference": mean(torch.stack(copied)[:, new].flatten(), 2),
        "baseline_mean_training_view": mean(torch.stack(average)[:, new].flatten(), 2),
        "psnr_by_azimuth": [round(float(x), 2) for x in torch.stack(unguided).mean(0)],
        "left_right": mean(right),
        "left_right_asymmetric": mean(np.array(right)[different]),
        "guidance_scale": SCALE,
        "steps": STEPS,
    }
    return Scores(figures, sheet(rows))


def _sides(views: Tensor, truth: Tensor) -> list[bool]:
    """Is each side view nearer to its own truth than to that of the other side?"""
    left, right = 2, 6
    return [
        bool((views[a] - truth[a]).square().mean() < (views[a] - truth[b]).square().mean())
        for a, b in ((left, right), (right, left))
    ]


def mean_views() -> Tensor:
    """Mean pictures [8, 3, H, W] of training characters from the eight azimuths."""
    rng = data.stream(1, "score", "mean views")
    total = torch.zeros(len(AZIMUTHS), 3, data.SIZE, data.SIZE)
    for clip in data.draw_clips(rng, _MEAN_CLIPS):
        sight = data.look(clip, AZIMUTHS, np.zeros(len(AZIMUTHS)), rng.random(1))
        total += data.over(sight.rgba[:, 0])
    return total / _MEAN_CLIPS
