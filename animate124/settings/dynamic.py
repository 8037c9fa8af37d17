"""Settings of the stage `dynamic`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting
from animate124.settings.generate import SamplingSettings
from animate124.settings.reconstruct import FitWeights, TrackSettings
from animate124.settings.scene import SceneSettings
from animate124.settings.training import TrainSettings


class SurroundSettings(SamplingSettings):
    """Clips of the static scene from all sides at once (`animate124.stages.carried_motion`)."""

    views: int = setting(4, "Views, evenly spaced, the first the picture's", "views", ge=2, le=64)
    background: float = setting(
        1.0, "Grey that the multi-view video prior was trained over", None, ge=0, le=1
    )
    cells: int = setting(
        64, "Cells per edge of the cube in which the surface is looked for", "cells", ge=16, le=256
    )


class CarrySettings(Settings):
    """Time slices that learn the carried scene (`animate124.stages.carry_task`)."""

    motion: float = setting(
        1.0, "Motion strength: factor on how far every point goes and turns", None, ge=0, le=4
    )
    steps: int = setting(2000, "Optimisation steps", "steps", ge=0)
    points: int = setting(8000, "Points of one slice a step asks", "points", ge=16, le=1 << 22)
    pool: int = setting(
        160_000,
        "Points of a slice whose matter is traced back, once; steps choose among them",
        "points",
        ge=16,
        le=1 << 26,
    )
    weight: float = setting(5.0, "Weight of the points' density and colour", None, ge=0)
    lr: float = setting(0.05, "Learning rate of the time slices", None, gt=0)


class DynamicSettings(SceneSettings):
    """Motion for a static scene from a sentence (`animate124.stages.dynamic`).

    The field's size is that of the static scene. `surround`, `track` and `carry` are of the source
    multi-view alone. Of the source video alone are `lowest`, `highest`, `window` to
    `novel_view_t_high`, `smooth`, `still`, `entropy`, `lr`, `static_rate` and the steps of
    `train`, whose seed and logging hold for both.
    """

    source: Literal["auto", "multi-view", "video"] = setting(
        "auto",
        "What moves the scene: multi-view, motion found in clips that the multi-view video prior "
        "makes of all sides at once; video, the text-to-video prior, one side after the other; "
        "auto, the former where the profile has such a prior",
        None,
    )
    surround: SurroundSettings = SurroundSettings()
    track: TrackSettings = TrackSettings(
        gaussians=3000, fit=FitWeights(arap=0.1), train=TrainSettings(steps=600)
    )
    carry: CarrySettings = CarrySettings()
    slices: int = setting(8, "Time slices of the grid", "slices", ge=2, le=1024)
    loop: bool = setting(True, "The motion ends where it begins", None)
    interpolation: Literal["flow", "blend"] = setting(
        "flow", "Between slices: follow the motion found in the field, or blend", None
    )
    frames: int = setting(8, "Frames that the video prior sees together", "frames", ge=2, le=128)
    window: float = setting(
        1.0, "Part of the clip that these frames span", "share of the clip", gt=0, le=1
    )
    spread_azimuth: float = setting(
        180.0, "Largest azimuth of a clip's camera to either side", "degrees", ge=0, le=180
    )
    moving_camera: float = setting(
        0.0, "Share of clips whose camera moves (published: 0.9)", None, ge=0, le=1
    )
    video: float = setting(10.0, "Weight of what the video prior says", None, ge=0)
    video_scale: float = setting(2.5, "Guidance scale of the video prior (1: none)", None, ge=0)
    video_rescale: float = setting(
        0.5,
        "Share of the rescale against over-exposed guidance (arXiv 2305.08891)",
        None,
        ge=0,
        le=1,
    )
    negative: str = setting("", "What the video prior is led away from", None)
    denoising: int = setting(
        8,
        "Denoising steps of the clips that the video prior makes of the scene, for it to follow "
        "(0: score distillation, as published)",
        "steps",
        ge=0,
        le=50,
    )
    first: float = setting(
        0.25, "Part of the steps that follow the first such clip alone", None, ge=0, le=1
    )
    t_first: float = setting(
        0.95, "Timestep that the first such clip is made from", "share of all", ge=0, le=0.98
    )
    aim_every: int = setting(20, "Steps between later ones", "steps", ge=1)
    aims: int = setting(8, "Clips that are followed at a time", "clips", ge=1, le=64)
    spread_by: float = setting(
        0.3,
        "Part of the steps, after the first clip's, until clips are seen from all sides",
        None,
        gt=0,
        le=1,
    )
    motion: float = setting(
        3.0,
        "Motion strength: factor on what the video prior says of the frames' differences",
        None,
        ge=0,
    )
    appearance: float = setting(
        0.3,
        "Factor on what draws the look that all frames share to that of t = 0 (with score "
        "distillation: to the video prior's)",
        None,
        ge=0,
    )
    t_low: float = setting(0.7, "Lowest timestep at the start", "share of all", ge=0, le=0.98)
    t_high: float = setting(0.85, "Highest timestep at the start", "share of all", ge=0, le=0.98)
    t_low_end: float = setting(0.4, "Lowest timestep at the end", "share of all", ge=0, le=0.98)
    t_high_end: float = setting(0.7, "Highest timestep at the end", "share of all", ge=0, le=0.98)
    annealing: Literal["linear", "sqrt"] = setting(
        "linear", "How the timesteps get there; sqrt leaves the noisy ones early", None
    )
    novel_view: float = setting(
        2.0,
        "Weight of what the novel-view prior says of one frame, given the scene from the front at "
        "the same moment",
        None,
        ge=0,
    )
    novel_view_scale: float = setting(
        3.0, "Guidance scale of the novel-view prior (1: none)", None, ge=0
    )
    novel_view_t_low: float = setting(
        0.2, "Lowest timestep of the novel-view prior", "share of all", ge=0, le=1
    )
    novel_view_t_high: float = setting(
        0.6, "Highest timestep of the novel-view prior", "share of all", ge=0, le=1
    )
    rays: int = setting(
        1024, "Rays a step through the picture, at t = 0", "rays", ge=16, le=1 << 20
    )
    smooth: float = setting(
        0.5, "Weight of the squared difference of neighbouring time slices", None, ge=0
    )
    still: float = setting(
        0.01, "Weight of the squared difference of a time slice to the static scene", None, ge=0
    )
    entropy: float = setting(0.01, "Weight of the loss that makes rays opaque or clear", None, ge=0)
    lr: float = setting(
        0.01, "Learning rate of the time slices; see `static_rate` for the rest", None, gt=0
    )
    static_rate: float = setting(
        0.1, "Learning rate of the static scene, as a share of the slices'", None, ge=0, le=1
    )
    train: TrainSettings = TrainSettings(steps=600, preview_every=100)
