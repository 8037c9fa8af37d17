"""Settings of the stage `intake`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting


class IntakeSettings(Settings):
    """A static 3D asset brought into our world (`animate124 intake`)."""

    up: Literal["auto", "x", "y", "z", "-x", "-y", "-z"] = setting(
        "auto",
        "Axis of the asset that points up: auto is y, for Gaussians -y (as cameras see)",
        None,
    )
    front: float = setting(
        0.0,
        "Where the asset, once upright, faces: 0 is +z (of a z-up asset -y), positive to its left",
        "degrees",
        ge=-360,
        le=360,
    )
    radius: float = setting(
        0.54,
        "Radius of the sphere around the result (the toybox characters')",
        "world units",
        gt=0,
        le=0.75,
    )
    max_triangles: int = setting(
        500_000, "Most triangles an asset may have", "triangles", ge=1, le=20_000_000
    )
    max_gaussians: int = setting(
        500_000, "Most Gaussians an asset may have", "Gaussians", ge=1, le=20_000_000
    )
    preview: int = setting(
        128, "Edge of the pictures on the contact sheet", "pixels", ge=16, le=1024
    )
