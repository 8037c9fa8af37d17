"""Settings of the stage `preprocess`."""

from __future__ import annotations

from typing import Literal

from animate124.settings.base import Settings, setting


class PreprocessSettings(Settings):
    """From any picture to a matted, centred, square one (`animate124.stages.preprocess`).

    The defaults of `fill`, `size_slack` and `centre_slack` are measured on 116 characters of the
    toybox's test split, seen as the reference camera sees them: the larger side of the silhouette's
    box is 0.605 ± 0.070 of the picture's edge (0.44 to 0.73), its centre lies at 0.500 ± 0.022 and
    0.491 ± 0.034 (at most 0.125 off). That framing is all that the nano models ever saw.
    """

    size: int = setting(256, "Edge of the square results", "pixels", ge=16, le=2048)
    fill: float = setting(
        0.6, "Larger side of the subject's box in the results", "image edges", ge=0.25, le=0.95
    )
    recentre: Literal["auto", "always", "never"] = setting(
        "auto",
        "Move and scale the subject: auto leaves it where it is if it sits well, never pads only",
        None,
    )
    size_slack: float = setting(
        0.3, "Subject sizes within this share of fill sit well", None, ge=0, lt=1
    )
    centre_slack: float = setting(
        0.13, "A subject sits well if its centre is at most so far off", "image edges", ge=0, le=0.5
    )
    keep: float = setting(
        0.1, "Parts of the matte below this share of the largest are dropped", None, ge=0, le=1
    )
    holes: float = setting(
        0.02, "Holes in the matte below this share of it are closed", None, ge=0, le=1
    )
    backdrop: Literal["auto", "on", "off"] = setting(
        "auto",
        "Follow the colours of a plain backdrop where there is one: auto with the nano models only",
        None,
    )
    depth: Literal["auto", "on", "off"] = setting(
        "auto", "Estimate depth and normals: auto where the profile's depth model is present", None
    )
