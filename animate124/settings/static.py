"""Settings of the stage `static`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import setting
from animate124.settings.field import FieldSettings
from animate124.settings.scene import SceneSettings
from animate124.settings.training import TrainSettings


class StaticSettings(SceneSettings):
    """A static scene from one picture (`animate124.stages.static_task`)."""

    elevation: float = setting(0.0, "Elevation the picture is seen from", "degrees", gt=-90, lt=90)
    depth: float = setting(
        0.05, "Weight of the picture's estimated depth, where there is one", None, ge=0
    )
    normal: float = setting(
        0.0, "Weight of the picture's estimated normals, where there are any", None, ge=0
    )
    highest: float = setting(40.0, "Highest elevation of these views", "degrees", gt=-90, lt=90)
    views: int = setting(1, "New views a step", "views", ge=1, le=64)
    warmup: int = setting(50, "Steps at the start that see the picture alone", "steps", ge=0)
    novel_view: float = setting(
        3.0, "Weight of what the novel-view prior says of the view from behind", None, ge=0
    )
    near: float = setting(
        0.5,
        "Share of that weight where the picture was taken; linear in the angle (published: 0)",
        None,
        ge=0,
        le=1,
    )
    novel_view_scale: float = setting(
        3.0, "Guidance scale of the novel-view prior (1: none)", None, ge=0
    )
    text: float = setting(0.0, "Weight of what the text-to-image prior says", None, ge=0)
    text_scale: float = setting(
        7.5, "Guidance scale of the text-to-image prior (1: none)", None, ge=0
    )
    negative: str = setting("", "What the text-to-image prior is led away from", None)
    objective: Literal["sds", "csd", "ism", "x0"] = setting(
        "sds", "How a prior's prediction becomes a gradient (`priors.distill`)", None
    )
    t_low: float = setting(0.2, "Lowest timestep at the start", "share of all", ge=0, le=1)
    t_high: float = setting(0.98, "Highest timestep at the start", "share of all", ge=0, le=1)
    t_low_end: float = setting(0.02, "Lowest timestep at the end", "share of all", ge=0, le=1)
    t_high_end: float = setting(0.5, "Highest timestep at the end", "share of all", ge=0, le=1)
    annealing: Literal["linear", "sqrt"] = setting(
        "linear", "How the timesteps get there; sqrt leaves the noisy ones early", None
    )
    entropy: float = setting(0.01, "Weight of the loss that makes rays opaque or clear", None, ge=0)
    sparsity: float = setting(
        0.01, "Weight of the new views' coverage: white fog on white costs nothing else", None, ge=0
    )
    smoothness: float = setting(
        0.0, "Weight of the difference between neighbouring normals", None, ge=0
    )
    start_density: float = setting(
        -2.0, "Density logit of the empty scene; the field's soft ball is added to it", "nats"
    )
    coarse_levels: int = setting(4, "Grid levels in use at the start", "levels", ge=1, le=16)
    coarse_share: float = setting(
        0.5, "Share of the steps after which all levels are in use", None, ge=0, le=1
    )
    lr: float = setting(0.01, "Learning rate of the grid; the perceptron has a quarter", None, gt=0)
    field: FieldSettings = FieldSettings(blob=5.0)
    train: TrainSettings = TrainSettings(steps=1000, preview_every=250)
