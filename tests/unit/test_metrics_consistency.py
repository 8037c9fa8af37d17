"""Silhouettes of one moment: of one body, or not."""

import pytest
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit, rays
from animate124.metrics.consistency import silhouette_agreement

AZIMUTHS = torch.tensor([0.0, 90.0, 180.0, 270.0])
CAMERAS = Cameras(orbit(AZIMUTHS, torch.full((4,), 15.0)), DEFAULT_FOV_Y, 32, 32)


def ball(centre, radius):
    """Which pixels' rays come nearer to a point than the radius, [4, 32, 32]."""
    origins, directions = rays(CAMERAS)
    apart = torch.tensor(centre) - origins
    along = (apart * directions).sum(-1, keepdim=True)
    return ((apart - along * directions).norm(dim=-1) < radius).float()


def test_a_body_agrees_with_itself():
    body = torch.maximum(ball((0.1, 0.0, 0.0), 0.3), ball((-0.2, 0.3, 0.1), 0.15))
    assert silhouette_agreement(body, CAMERAS) > 0.995
    assert silhouette_agreement(torch.zeros(4, 32, 32), CAMERAS) == 1.0


def test_a_limb_that_one_view_alone_shows_is_missed():
    body = ball((0.0, 0.0, 0.0), 0.3)
    limb = (ball((0.6, 0.4, 0.0), 0.12)[0] > 0) & (body[0] == 0)
    seen = body.clone()
    seen[0][limb] = 1.0
    whole = float(seen[0].sum())
    expected = (3.0 + (whole - float(limb.sum())) / whole) / 4
    assert silhouette_agreement(seen, CAMERAS) == pytest.approx(expected, abs=0.01)


def test_bodies_at_different_places_have_nothing_in_common():
    seen = torch.stack([ball((0.0, y, 0.0), 0.1)[k] for k, y in enumerate((0.5, -0.5, 0.5, -0.5))])
    assert silhouette_agreement(seen, CAMERAS) < 0.05
