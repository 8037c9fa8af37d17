"""Settings of the stage `render`."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


class RenderSettings(Settings):
    """Videos, contact sheet and poster of a finished field (`animate124 render`)."""

    size: int = setting(160, "Edge of every picture", "pixels", ge=8, le=2048)
    supersample: int = setting(1, "Rays per pixel edge; their mean is shown", "rays", ge=1, le=8)
    fps: float = setting(24.0, "Frame rate of the videos", "frames per second", gt=0, le=240)
    frames: int = setting(48, "Frames of one pass through the motion", "frames", ge=2, le=2000)
    hold: int = setting(
        1, "Passes that video.mp4 shows from the reference view, at first", "passes", ge=0, le=100
    )
    orbit: int = setting(
        2, "Passes during which its camera then goes around once", "passes", ge=1, le=100
    )
    rise: float = setting(
        10.0, "By how much the camera is higher, or lower, at the back", "degrees", ge=-60, le=60
    )
    turntable_frames: int = setting(
        48, "Frames of the turntable, which shows t = 0", "frames", ge=2, le=2000
    )
    background: float = setting(1.0, "Grey behind the subject (1: white)", None, ge=0, le=1)
    sheet_columns: int = setting(8, "Moments on the contact sheet", "moments", ge=1, le=64)
