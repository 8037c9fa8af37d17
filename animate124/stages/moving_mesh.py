"""Animated meshes that were put back where their asset stood, in our world again."""

from __future__ import annotations

from dataclasses import replace

from animate124.media.glb.model import Model


def in_our_world(model: Model) -> Model:
    """A model that `animate_mesh` wrote, without what leads back to its asset's own world."""
    nodes = tuple(
        replace(n, translation=(0, 0, 0), rotation=(0, 0, 0, 1), scale=(1, 1, 1))
        for n in model.nodes
    )
    return replace(model, nodes=nodes)
