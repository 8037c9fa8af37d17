"""Settings of the stage `export`."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


class ExportSettings(Settings):
    """A moving field as an animated mesh (`animate124 export`)."""

    resolution: int = setting(
        96, "Cells per edge of the cube in which the surface is looked for", "cells", ge=16, le=512
    )
    max_vertices: int = setting(
        8000,
        "Most vertices; a surface with more is looked for in larger cells",
        "vertices",
        ge=100,
        le=1_000_000,
    )
    smoothing: int = setting(
        4, "Passes that take the cells' steps out of the surface", "passes", ge=0, le=100
    )
    frames: int = setting(24, "Moments with a shape of their own", "moments", ge=2, le=1000)
    seconds: float = setting(2.0, "Length of one pass through the motion", "seconds", gt=0, le=3600)
    frames_ply: bool = setting(
        False, "Also write the mesh of every moment as PLY, into frames.zip", None
    )
