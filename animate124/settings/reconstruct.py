"""Settings of the stage `reconstruct`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting
from animate124.settings.training import TrainSettings


class MotionSettings(Settings):
    """How a cloud of Gaussians can move (`animate124.gaussians.motion`)."""

    kind: Literal["keys", "planes"] = setting(
        "keys", "What is stored over time: a value at every frame, or hex-planes", None
    )
    carrier: Literal["nodes", "gaussians"] = setting(
        "nodes",
        "What moves by itself: control nodes that carry the Gaussians, or each one",
        None,
    )
    nodes: int = setting(384, "Control nodes", "nodes", ge=1, le=65536)
    whole: bool = setting(True, "The cloud as a whole can turn and move besides", None)
    cells: int = setting(32, "Cells along an edge of the coarse hex-planes", "cells", ge=2, le=512)


class FitWeights(Settings):
    """How the pictures of a moving cloud are compared, and what keeps its motion sound.

    All weights are of means, so they do not depend on how many pictures, Gaussians or nodes there
    are; that of arap does not depend on the scene's size either.
    """

    levels: int = setting(
        4, "Sizes at which pictures are compared, each half the last one", "sizes", ge=1, le=8
    )
    rgb: float = setting(1.0, "Weight of the colours", None, ge=0)
    mask: float = setting(1.0, "Weight of the silhouettes", None, ge=0)
    arap: float = setting(0.1, "Weight of stiffness: neighbours move rigidly", None, ge=0)
    smooth: float = setting(0.1, "Weight of even motion: second differences in time", None, ge=0)
    growth: float = setting(0.001, "Weight that keeps the Gaussians' sizes", None, ge=0)


class TrackSettings(Settings):
    """How the motion of a cloud is found in pictures of it over time
    (`animate124.stages.reconstruct_task`)."""

    gaussians: int = setting(
        5000, "Gaussians sampled on a mesh (a cloud keeps its own)", "Gaussians", ge=16, le=1 << 20
    )
    appearance: int = setting(
        100, "Steps that fit light and colours to the static views first (0: none)", "steps", ge=0
    )
    appearance_lr: float = setting(0.02, "Learning rate of the looks", None, gt=0)
    keep: float = setting(0.1, "Weight that keeps the asset's own colours and widths", None, ge=0)
    frames_per_step: int = setting(4, "Frames a step looks at, in all views", "frames", ge=1)
    reveal: float = setting(
        0.5, "Part of the steps in which the frames join, one by one", None, ge=0, le=1
    )
    better: float = setting(
        0.7, "A frame begins anew at another's pose where this leaves less of its error", None,
        ge=0, le=1,
    )  # fmt: skip
    lr: float = setting(0.01, "Learning rate of the motion (keys)", None, gt=0)
    lr_planes: float = setting(
        0.01, "Learning rate of hex-planes; their heads have a tenth", None, gt=0
    )
    lr_turn: float = setting(0.1, "Share of lr for turns of the whole", None, gt=0)
    lr_end: float = setting(0.1, "Share of the learning rate left at the end", None, gt=0, le=1)
    fit: FitWeights = FitWeights()
    motion: MotionSettings = MotionSettings()
    train: TrainSettings = TrainSettings(steps=600, preview_every=300)


class ReconstructSettings(TrackSettings):
    """Motion of an asset from clips of it (`animate124 reconstruct`)."""

    size: int = setting(64, "Edge of the pictures that are compared", "pixels", ge=8, le=1024)
