"""Settings of the stage `views`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting


class ViewsSettings(Settings):
    """Pictures of an asset for the multi-view video prior (`animate124 views`)."""

    count: int = setting(4, "Views, evenly spaced around the asset", "views", ge=1, le=64)
    azimuth: float = setting(0.0, "Azimuth of the first", "degrees", ge=-360, le=360)
    elevation: float = setting(15.0, "Elevation of all", "degrees", ge=-89, le=89)
    size: int = setting(256, "Edge of every picture", "pixels", ge=8, le=2048)
    supersample: int = setting(
        3, "Samples per pixel edge; their mean is shown", "samples", ge=1, le=8
    )
    light: Literal["studio", "none"] = setting(
        "studio",
        "studio lights meshes as the toybox is lit; none shows their plain colours",
        None,
    )
    background: float = setting(
        1.0,
        "Grey that the prior was trained on, for cameras.json (views are clear)",
        None,
        ge=0,
        le=1,
    )
