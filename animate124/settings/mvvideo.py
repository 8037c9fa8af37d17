"""Settings of building a multi-view video dataset."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


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
