"""Settings of the stage `refine`."""

from __future__ import annotations

from pydantic import model_validator

from animate124.settings.base import Settings, setting
from animate124.settings.training import TrainSettings


class RefineSettings(Settings):
    """Detail for a moving scene from a tile ControlNet (`animate124.stages.refine_task`).

    Every weight is of a term that is a mean, so all are on one scale.
    """

    pool: int = setting(
        64,
        "Views of the coarse scene that are rendered once, as conditions",
        "views",
        ge=1,
        le=4096,
    )
    size: int = setting(64, "Edge of the frames that are rendered", "pixels", ge=8, le=1024)
    views: int = setting(2, "Frames a step", "frames", ge=1, le=64)
    lowest: float = setting(-10.0, "Lowest elevation of a view", "degrees", gt=-90, lt=90)
    highest: float = setting(30.0, "Highest elevation of a view", "degrees", gt=-90, lt=90)
    tile: float = setting(1.0, "Weight of what the tile ControlNet says", None, ge=0)
    tile_scale: float = setting(1.5, "Guidance scale (1: none; published: 8.5)", None, ge=0)
    control: str = setting(
        "", "What the ControlNet is told beside its picture (published: best quality, …)", None
    )
    negative: str = setting("", "What the prior is led away from", None)
    denoising: int = setting(
        2, "Denoising steps to the target (published: 1)", "steps", ge=1, le=50
    )
    t_low: float = setting(0.1, "Lowest timestep at the start", "share of all", ge=0, le=0.98)
    t_high: float = setting(0.6, "Highest timestep at the start", "share of all", ge=0, le=0.98)
    t_low_end: float = setting(0.05, "Lowest timestep at the end", "share of all", ge=0, le=0.98)
    t_high_end: float = setting(0.3, "Highest timestep at the end", "share of all", ge=0, le=0.98)
    rays: int = setting(
        2048, "Rays a step through the picture, at t = 0", "rays", ge=16, le=1 << 20
    )
    subsamples: int = setting(
        2, "Rays per pixel edge of the picture; their mean is compared", "rays", ge=1, le=8
    )
    reference_size: int = setting(
        128, "Edge the picture is reduced to, if it is larger", "pixels", ge=8, le=1024
    )
    rgb: float = setting(5.0, "Weight of the picture's colours at t = 0", None, ge=0)
    alpha: float = setting(2.0, "Weight of the picture's silhouette at t = 0", None, ge=0)
    kept: float = setting(
        3.0, "Weight of the coarse scene's colours, so that nothing wanders off", None, ge=0
    )
    spread: float = setting(
        0.03, "Weight of the loss that gathers each ray's weight at one surface", None, ge=0
    )
    lr: float = setting(0.002, "Learning rate of the grid", None, gt=0)
    lr_end: float = setting(0.1, "Share of the learning rate left at the end", None, gt=0, le=1)
    refresh_every: int = setting(16, "Steps between occupancy refreshes", "steps", ge=1)
    train: TrainSettings = TrainSettings(steps=300, preview_every=100)

    @model_validator(mode="after")
    def _ordered(self) -> RefineSettings:
        for low, high in (
            ("lowest", "highest"), ("t_low", "t_high"), ("t_low_end", "t_high_end"),
        ):  # fmt: skip
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} is larger than {high}")
        return self
