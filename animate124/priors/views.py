"""Directions in score distillation: view words in prompts, and how far a view is from the input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

VIEW_TEMPLATES = ("{}, front view", "{}, side view", "{}, back view")


def view_prompts(prompt: str, templates: Sequence[str] = VIEW_TEMPLATES) -> list[str]:
    """The prompt with the words for front, side and back (DreamFusion, section 3.2).

    `templates`: three texts with one {} each; a model that knows no such words takes ("{}",) * 3.
    """
    if len(templates) != 3 or any(t.count("{}") != 1 for t in templates):
        raise ValueError("view templates are three texts with one {} each: front, side, back")
    return [template.replace("{}", prompt) for template in templates]


def without_view(text: str) -> str:
    """A text without the words that `VIEW_TEMPLATES` put at its end."""
    for template in VIEW_TEMPLATES:
        text = text.removesuffix(template.format(""))
    return text


def view_weights(azimuth_deg: Tensor) -> Tensor:
    """Shares of front, side and back at azimuths [...] in degrees: [..., 3], sum 1, continuous.

    0 (the camera on +z, before the subject's face) is front, ±90 side, ±180 back, linear between
    (spec §4.3). Left and right share the word "side", so the sign does not matter; any multiple of
    360 may be added.
    """
    turned = torch.remainder(azimuth_deg.float() + 180.0, 360.0) - 180.0
    quarter = turned.abs() / 90.0
    front = (1.0 - quarter).clamp(min=0.0)
    back = (quarter - 1.0).clamp(min=0.0)
    return torch.stack((front, 1.0 - front - back, back), dim=-1)


def view_embedding(embeddings: Tensor, azimuth_deg: Tensor) -> Tensor:
    """Embeddings [3, L, C] of `view_prompts` mixed for azimuths [B] in degrees: [B, L, C]."""
    if embeddings.dim() != 3 or len(embeddings) != 3:
        raise ValueError(f"embeddings must be [3, L, C], got {list(embeddings.shape)}")
    weights = view_weights(azimuth_deg).to(embeddings)
    return torch.einsum("bv,vlc->blc", weights, embeddings)


def angle_weight(azimuth_deg: Tensor, elevation_deg: Tensor) -> Tensor:
    """Great-circle angle between views and the reference view as a share of 180°, [...] in [0, 1].

    Animate124's weight of the novel-view prior (spec §4.4): nothing to say at the reference, most
    to say at the back. Azimuth and elevation are relative to the reference view, in degrees, where
    the reference stands at elevation 0; tensors broadcast.
    """
    azimuth, elevation = torch.deg2rad(azimuth_deg.double()), torch.deg2rad(elevation_deg.double())
    # Direction (cos e sin a, sin e, cos e cos a) against (0, 0, 1); atan2 is exact at both ends.
    across = torch.hypot(elevation.cos() * azimuth.sin(), elevation.sin())
    along = elevation.cos() * azimuth.cos()
    return (torch.atan2(across, along) / torch.pi).float()
