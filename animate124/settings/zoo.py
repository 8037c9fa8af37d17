"""Settings of training a nano model."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting
from animate124.settings.training import TrainSettings


class ZooSettings(Settings):
    """Training one nano model (`animate124 zoo train`); each role has its own defaults."""

    batch: int = setting(32, "Samples a step", "samples", ge=1, le=65536)
    echo: int = setting(
        1, "Steps that use the same drawn pictures, with other noise each", "steps", ge=1, le=16
    )
    lr: float = setting(1e-3, "Learning rate", None, gt=0)
    warmup: int = setting(100, "Steps over which the learning rate rises", "steps", ge=0)
    decay: float = setting(
        0.3,
        "Share of the steps at the end over which the learning rate falls to 0",
        None,
        ge=0,
        le=1,
    )
    weight_decay: float = setting(0.01, "AdamW's weight decay", None, ge=0)
    clip_norm: float = setting(1.0, "Largest norm of the gradient (0: no limit)", None, ge=0)
    ema: float = setting(0.999, "Decay of the weights' moving average", "per step", ge=0, lt=1)
    start: Literal["fresh", "shipped"] = setting(
        "fresh", "Begin with random weights or with those that are shipped", None
    )
    data: str = setting(
        "",
        "Folder of `animate124 mvvideo build` to train on (multi-view-video alone; empty: toybox)",
        None,
    )
    train: TrainSettings = TrainSettings(steps=5000, checkpoint_seconds=120, preview_every=500)
