"""Stages that would add nothing: known before they run, so that nothing is made for them."""

from __future__ import annotations

from animate124.settings.refine import RefineSettings


def why_not_refine(settings: RefineSettings, edge: int | None) -> str:
    """Why there is nothing to refine; empty: there is.

    edge: of the ControlNet's pictures, pixels (`priors.sizes.image_size`); None: not known.
    """
    if settings.when == "never":
        return "settings say so"
    if settings.when == "always" or not settings.tile or edge is None or edge > settings.size:
        return ""
    return f"the ControlNet's pictures, {edge} pixels wide, show no more than the scene itself"
