"""Settings of the 4D radiance field."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting


class FieldSettings(Settings):
    """The 4D radiance field (`animate124.fields`) and how finely it is rendered."""

    encoding: Literal["grid", "tcnn"] = setting(
        "grid", "grid runs everywhere; tcnn is tinycudann's, on CUDA only, and stays there", None
    )
    levels: int = setting(
        8, "Levels of the multi-resolution grid", "levels", ge=2, le=16, multiple_of=2
    )
    coarsest: int = setting(8, "Cells per axis of the first level", "cells", ge=2, le=512)
    finest: int = setting(128, "Cells per axis of the last level", "cells", ge=2, le=4096)
    log2_size: int = setting(
        15, "Binary logarithm of the rows a level may have", "log2 rows", ge=8, le=22
    )
    hidden: int = setting(
        32, "Width of the perceptron's hidden layer", "units", ge=4, le=256, multiple_of=4
    )
    slices: int | None = setting(
        None, "Time slices of the grid (none: one per fitted frame)", "slices", ge=1, le=1024
    )
    base: bool = setting(
        True, "Slices hold the difference to one static table (no: each stands alone)", None
    )
    bound: float = setting(
        0.75, "Half edge of the cube that is rendered", "world units", gt=0, le=2
    )
    step: float = setting(
        0.02, "Distance between samples along a ray", "world units", ge=0.002, le=0.2
    )
    blob: float = setting(
        0.0, "Density logit of the soft ball a scene without silhouettes starts from", "nats", ge=0
    )
    blob_radius: float = setting(0.2, "Standard deviation of that ball", "world units", gt=0)
    occupancy_side: int = setting(64, "Cells per axis of the occupancy grid", "cells", ge=8, le=256)
    occupancy_ceiling: float = setting(
        0.5, "Density above which a cell always counts as occupied", "1/world unit", gt=0
    )
