"""Settings of the stage `refine`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import setting
from animate124.settings.scene import SceneSettings
from animate124.settings.training import TrainSettings


class RefineSettings(SceneSettings):
    """Detail for a moving scene from a tile ControlNet (`animate124.stages.refine_task`)."""

    when: Literal["auto", "always", "never"] = setting(
        "auto",
        "Whether to refine at all; auto: where the ControlNet's pictures are larger than `size`, "
        "for it can add no detail that they do not have",
        None,
    )
    pool: int = setting(
        64,
        "Views of the coarse scene that are rendered once, as conditions",
        "views",
        ge=1,
        le=4096,
    )
    views: int = setting(2, "Frames a step", "frames", ge=1, le=64)
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
    kept: float = setting(
        3.0, "Weight of the coarse scene's colours, so that nothing wanders off", None, ge=0
    )
    lr: float = setting(0.002, "Learning rate of the grid", None, gt=0)
    train: TrainSettings = TrainSettings(steps=300, preview_every=100)
