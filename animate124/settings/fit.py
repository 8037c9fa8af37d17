"""Settings of the stage `fit`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting
from animate124.settings.field import FieldSettings
from animate124.settings.training import TrainSettings


class FitSettings(Settings):
    """Fitting a field to a truth bundle (`animate124 fit`)."""

    frame: int | None = setting(
        None, "Fit only this one of the bundle's fit frames (a static scene)", "frame", ge=0
    )
    rays: int = setting(4096, "Rays a step", "rays", ge=16, le=1 << 20)
    subsamples: int = setting(
        2, "Rays per pixel edge; their mean is compared with the pixel", "rays", ge=1, le=8
    )
    frames_per_step: int = setting(4, "Frames a step looks at", "frames", ge=1, le=256)
    lr: float = setting(0.01, "Learning rate of the grid; the perceptron has a quarter", None, gt=0)
    lr_end: float = setting(0.05, "Share of the learning rate left at the end", None, gt=0, le=1)
    spread: float = setting(
        0.03, "Weight of the loss that gathers each ray's weight at one surface", None, ge=0
    )
    interpolation: Literal["flow", "blend"] = setting(
        "flow", "Between slices: follow the motion found in the field, or blend", None
    )
    refresh_every: int = setting(16, "Steps between occupancy refreshes", "steps", ge=1)
    field: FieldSettings = FieldSettings()
    train: TrainSettings = TrainSettings(steps=3000, preview_every=1000)
    fps: float = setting(24.0, "Frame rate of the videos", "frames per second", gt=0, le=240)
    video_frames: int = setting(48, "Frames of each video", "frames", ge=2, le=1000)
    video_size: int = setting(128, "Edge of the videos", "pixels", ge=8, le=2048)
