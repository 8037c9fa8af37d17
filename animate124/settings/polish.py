"""Settings of the stage `polish`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting
from animate124.settings.reconstruct import FitWeights
from animate124.settings.training import TrainSettings


class PolishSettings(Settings):
    """Refinement of a motion by the multi-view video prior (`animate124.stages.polish_task`)."""

    when: Literal["always", "never"] = setting(
        "always", "Whether to polish at all; never: the motion is passed on as it is", None
    )
    sds: float = setting(1.0, "Weight of what the multi-view video prior says", None, ge=0)
    sds_scale: float = setting(6.0, "Guidance scale of that prior (1: none)", None, ge=0)
    sds_rescale: float = setting(
        0.5,
        "Share of the rescale against over-exposed guidance (arXiv 2305.08891)",
        None,
        ge=0,
        le=1,
    )
    t_low: float = setting(0.02, "Lowest timestep drawn", "share of all", ge=0, le=0.98)
    t_high: float = setting(0.2, "Highest timestep drawn", "share of all", gt=0, le=0.98)
    negative: str = setting("", "What the prior is led away from", None)
    lowest: float = setting(0.0, "Lowest elevation of the cameras", "degrees", gt=-90, lt=90)
    highest: float = setting(30.0, "Highest elevation of the cameras", "degrees", gt=-90, lt=90)
    size: int | None = setting(
        None, "Edge of the pictures for the prior (null: what it was trained on)", "pixels",
        ge=8, le=1024,
    )  # fmt: skip
    follow: float = setting(
        1.0, "Weight of the generated clips, where they are given (--videos)", None, ge=0
    )
    follow_size: int = setting(64, "Edge at which these are compared", "pixels", ge=8, le=1024)
    frames_per_step: int = setting(
        2, "Frames of the clips a step looks at, in all views", "frames", ge=1
    )
    amplitude: float = setting(
        0.9, "Share of the motion's amplitude that must stay", None, ge=0, le=1
    )
    guard: float = setting(10.0, "Weight of what falls below that share, squared", None, ge=0)
    lr: float = setting(0.002, "Learning rate of the motion (keys)", None, gt=0)
    lr_planes: float = setting(
        0.002, "Learning rate of hex-planes; their heads have a tenth", None, gt=0
    )
    lr_turn: float = setting(0.1, "Share of lr for turns of the whole", None, gt=0)
    lr_end: float = setting(0.2, "Share of the learning rate left at the end", None, gt=0, le=1)
    fit: FitWeights = FitWeights()
    train: TrainSettings = TrainSettings(steps=60, preview_every=30)
