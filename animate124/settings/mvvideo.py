"""Settings of building a multi-view video dataset and of training on it."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting
from animate124.settings.training import TrainSettings


class MvVideoSettings(Settings):
    """Clips of moving assets from several cameras (`animate124 mvvideo build`).

    As in MV-Video, the cameras of a clip share one elevation, drawn anew for every clip, and stand
    evenly around it from a drawn azimuth on. Every camera is labelled with where it really stands.
    """

    views: int = setting(4, "Cameras around the asset", "views", ge=1, le=64)
    frames: int = setting(16, "Frames of a clip", "frames", ge=2, le=240)
    fps: float = setting(
        8.0, "Frame rate; a shorter animation is shown slower", "fps", gt=0, le=120
    )
    size: int = setting(256, "Edge of a picture", "pixels", ge=8, le=2048)
    supersample: int = setting(2, "Samples per pixel edge", "samples", ge=1, le=8)
    lowest: float = setting(0.0, "Least elevation", "degrees", ge=-89, le=89)
    highest: float = setting(30.0, "Greatest elevation", "degrees", ge=-89, le=89)
    turn: float = setting(
        180.0, "Largest azimuth of the first camera, to either side", "degrees", ge=0, le=180
    )
    radius: float = setting(
        0.62, "Radius that a clip fits into at all its times", "world units", gt=0, le=0.75
    )
    seed: int = setting(0, "Seed of the cameras", None, ge=0, lt=2**63)


class MvVideoTrainSettings(Settings):
    """Training MV-VDM at its published size (`animate124 mvvideo train`).

    Where no source is named, as Animate3D trained it (arXiv 2407.11398).
    """

    views: int = setting(4, "Cameras of a sample", "views", ge=1, le=64)
    frames: int = setting(16, "Frames of a sample", "frames", ge=2, le=32)
    size: int = setting(
        256, "Edge of the pictures the clips are brought to", "pixels", ge=8, le=1024
    )
    # A checkpoint goes on with another number of processes if the product of both is the same.
    accumulate: int = setting(
        1, "Clips that each process sees in a step, one by one", "clips", cosmetic=True, ge=1
    )
    lr: float = setting(1e-4, "Learning rate, constant", None, gt=0)
    weight_decay: float = setting(1e-2, "AdamW's weight decay", None, ge=0)
    clip_norm: float = setting(1.0, "Largest norm of the gradient (0: no limit)", None, ge=0)
    # Without the last three, guidance at inference relies on what was never trained.
    drop_text: float = setting(0.05, "Share of clips without their sentence", None, ge=0, le=0.3)
    drop_image: float = setting(
        0.05, "Share of clips without the embeddings of frame 0", None, ge=0, le=0.3
    )
    drop_both: float = setting(
        0.05, "Share of clips without both, as the unguided half at inference", None, ge=0, le=0.3
    )
    drop_first: float = setting(
        0.05, "Share of clips whose frame 0 is noisy as the others", None, ge=0, le=0.5
    )
    background: Literal["grey", "drawn"] = setting(
        "grey", "Colour behind the clips: the published model's, or drawn for every clip", None
    )
    precision: Literal["auto", "no", "bf16"] = setting(
        "auto", "Mixed precision; auto: bf16 on a GPU and none on a CPU", None
    )
    recompute: bool = setting(
        True, "Keep no activations within layers: less memory, more time", None, cosmetic=True
    )
    train: TrainSettings = TrainSettings(steps=100_000, checkpoint_seconds=1800)
