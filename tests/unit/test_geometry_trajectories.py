"""Camera paths: spacing, distributions, and the published pole flip that ours does not have."""

import numpy as np
import pytest
import torch

from animate124.geometry.cameras import azimuth_elevation_radius, forward
from animate124.geometry.trajectories import (
    POLE_LIMIT,
    drift,
    dynamic_camera,
    orbit_views,
    published_views,
    random_views,
    spread_views,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def elevations(c2w):
    return azimuth_elevation_radius(c2w)[1]


def test_orbit_views_are_even():
    azimuth, elevation, radius = azimuth_elevation_radius(orbit_views(4, 15.0, 1.8))
    torch.testing.assert_close(azimuth % 360, torch.tensor([0.0, 90.0, 180.0, 270.0]), atol=1e-3,
                               rtol=0)  # fmt: skip
    assert torch.allclose(elevation, torch.tensor(15.0)) and torch.allclose(
        radius, torch.tensor(1.8)
    )


def test_spread_views_fill_the_band():
    views = spread_views(200)
    assert elevations(views).min() > -30 and elevations(views).max() < 60
    directions = -forward(views)
    nearest = (directions @ directions.T - 2 * torch.eye(200)).max(dim=1).values
    # 200 views on a band of area 2π(sin 60 + sin 30): a square cell is 11.9 degrees wide.
    spacing = torch.rad2deg(torch.arccos(nearest))
    assert spacing.min() > 0.7 * 11.9 and spacing.max() < 1.3 * 11.9
    torch.testing.assert_close(views, spread_views(200))
    turned = spread_views(200, generator=seeded())
    assert not torch.allclose(turned, views)
    torch.testing.assert_close(elevations(turned), elevations(views))


def test_random_views_are_uniform_by_area():
    views = random_views(40_000, seeded(), (-90.0, 90.0), radius_range=(1.0, 2.0))
    azimuth, elevation, radius = azimuth_elevation_radius(views)
    # On a sphere half of the area lies within 30 degrees of the horizon, a quarter above 30.
    assert (elevation.abs() < 30).float().mean() == pytest.approx(0.5, abs=0.01)
    assert (elevation > 30).float().mean() == pytest.approx(0.25, abs=0.01)
    assert (azimuth.abs() < 90).float().mean() == pytest.approx(0.5, abs=0.01)
    assert radius.mean() == pytest.approx(1.5, abs=0.01)
    assert radius.min() >= 1.0 and radius.max() <= 2.0 + 1e-6
    band = elevations(random_views(1000, seeded(), (-10.0, 20.0)))
    assert band.min() > -10.001 and band.max() < 20.001
    with pytest.raises(ValueError, match="elevations"):
        random_views(1, seeded(), (30.0, 10.0))


def test_published_views_look_from_below_once_in_four():
    elevation = elevations(published_views(40_000, seeded()))
    assert (elevation < 0).float().mean() == pytest.approx(0.25, abs=0.01)
    # In the half cube y > sqrt(x² + z²) has the volume of a cone of height 1 and radius 1, π/3 of
    # 4; outside the cone elevation is below 45. So half of π/12 of all views look from above 45.
    assert (elevation > 45).float().mean() == pytest.approx(np.pi / 24, abs=0.006)


def test_published_paths_cross_the_pole_and_ours_never_turn_over():
    rng = np.random.default_rng(0)
    n, frames = 400_000, 16
    cube = np.stack((rng.uniform(-1, 1, n), rng.uniform(0, 1, n), rng.uniform(-1, 1, n)))
    polar = np.where(
        rng.random(n) < 0.5,
        np.degrees(np.arccos(cube[1] / np.linalg.norm(cube, axis=0))),
        rng.uniform(45, 135, n),
    )
    last = polar + (frames - 1) / frames * rng.uniform(-45, 45, n)
    assert ((last < 0) | (last > 180)).mean() == pytest.approx(0.015, abs=0.003)

    generator = seeded(1)
    clips = torch.stack([dynamic_camera(frames, generator) for _ in range(2000)])
    up = clips[..., :3, 1]
    assert (up[:, 1:] * up[:, :-1]).sum(-1).min() > 0.98  # no more than 11 degrees a frame
    assert up[..., 1].min() > 0.17  # +y always points up in the image: cos(80°) = 0.1736
    assert elevations(clips).abs().max() < POLE_LIMIT + 0.01
    still = (clips[:, 0] == clips[:, -1]).all(dim=-1).all(dim=-1)
    assert still.float().mean() == pytest.approx(0.1, abs=0.02)
    radius = azimuth_elevation_radius(clips)[2]
    torch.testing.assert_close(radius, torch.full_like(radius, 2.2))


def test_dynamic_camera_moves_as_published_away_from_the_pole():
    azimuth, elevation, _ = azimuth_elevation_radius(dynamic_camera(16, seeded(5), moving_rate=1.0))
    steps = (azimuth.diff() + 180) % 360 - 180
    assert steps.std() < 1e-3 and 0 < steps.abs().max() <= 90 / 16
    assert elevation.diff().std() < 1e-3 and 0 < elevation.diff().abs().max() <= 45 / 16
    torch.testing.assert_close(dynamic_camera(16, seeded(5)), dynamic_camera(16, seeded(5)))


def test_drift_glides_and_turns_back_below_the_pole():
    azimuth, elevation, _ = azimuth_elevation_radius(drift(8, seeded(2), azimuth=20, elevation=10))
    assert azimuth[0] == pytest.approx(20, abs=1e-3) and elevation[0] == pytest.approx(10, abs=1e-3)
    assert azimuth.diff().std() < 1e-3 and 0.1 < azimuth.diff().abs().max() <= 5.6
    assert elevation.diff().std() < 1e-3 and 0 < elevation.diff().abs().max() <= 0.7
    high = elevations(drift(200, seeded(2), elevation=79.0, max_elevation_step=3.0))
    assert high.max() <= POLE_LIMIT + 0.01 and high.max() > 75
