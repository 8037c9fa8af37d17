"""Cameras against values worked out by hand."""

import math

import pytest
import torch

from animate124.geometry.cameras import (
    Cameras,
    azimuth_elevation_radius,
    focal_length,
    forward,
    look_at,
    orbit,
    project,
    rays,
    world_to_camera,
)

HALF = math.sqrt(0.5)


def close(actual, expected, atol=1e-6):
    torch.testing.assert_close(actual, torch.as_tensor(expected).to(actual), atol=atol, rtol=0)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "right", "up", "backward"),
    [
        (0.0, 0.0, (1, 0, 0), (0, 1, 0), (0, 0, 1)),
        (90.0, 0.0, (0, 0, -1), (0, 1, 0), (1, 0, 0)),
        (180.0, 0.0, (-1, 0, 0), (0, 1, 0), (0, 0, -1)),
        (0.0, 90.0, (1, 0, 0), (0, 0, -1), (0, 1, 0)),
        (0.0, -90.0, (1, 0, 0), (0, 0, 1), (0, -1, 0)),
        (90.0, 45.0, (0, 0, -1), (-HALF, HALF, 0), (HALF, HALF, 0)),
    ],
)
def test_orbit_by_hand(azimuth, elevation, right, up, backward):
    c2w = orbit(azimuth, elevation, 2.0)
    close(c2w[:3, 0], right)
    close(c2w[:3, 1], up)
    close(c2w[:3, 2], backward)
    close(c2w[:3, 3], [2.0 * b for b in backward])
    close(c2w[3], [0.0, 0.0, 0.0, 1.0])


def test_every_pose_is_a_proper_rotation():
    azimuth = torch.linspace(-180, 180, 25)[:, None]
    elevation = torch.linspace(-90, 90, 13)[None]
    rotation = orbit(azimuth, elevation, 1.5)[..., :3, :3]
    assert rotation.shape == (25, 13, 3, 3)
    close(torch.linalg.det(rotation), torch.ones(25, 13), atol=1e-5)
    close(rotation @ rotation.mT, torch.eye(3).expand(25, 13, 3, 3), atol=1e-6)


def test_the_world_is_not_mirrored():
    # The published code has image right = world -x here (spec 1.3): a point on +x must be right.
    front = Cameras(orbit(0.0)[None], 40.0, 100, 100)
    xy, depth = project(torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.3, 0.0]]), front)
    assert xy[0, 0, 0] > 50 and xy[0, 1, 1] < 50
    close(depth, [[2.2, 2.2]])
    # Positive azimuth moves the camera to +x, so the subject's face (+z) comes to image left.
    side = Cameras(orbit(90.0)[None], 40.0, 100, 100)
    xy, _ = project(torch.tensor([[0.0, 0.0, 0.3]]), side)
    assert xy[0, 0, 0] < 50


def test_projection_by_hand():
    # fov 90: f = H/2 = 10. Camera at z = 4; the point (1, 2, 2) lies 2 in front of it.
    cameras = Cameras(look_at(torch.tensor([0.0, 0.0, 4.0]))[None], 90.0, 20, 30)
    xy, depth = project(torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 5.0]]), cameras)
    close(xy[0, 0], [15.0 + 10 * 1 / 2, 10.0 - 10 * 2 / 2])
    close(depth[0], [2.0, -1.0])
    assert xy[0, 1].isnan().all()


def test_a_point_behind_the_camera_has_no_gradient_and_poisons_none():
    cameras = Cameras(look_at(torch.tensor([0.0, 0.0, 4.0]))[None], 90.0, 20, 20)
    points = torch.tensor([[1.0, 2.0, 2.0], [0.0, 1.0, 4.0]], requires_grad=True)
    xy, _ = project(points, cameras)
    xy[0, :, 0].nansum().backward()
    # d x / d X = f / depth = 5, d x / d Z = f X / depth^2 = 2.5
    close(points.grad, [[5.0, 0.0, 2.5], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(("height", "expected"), [(128, 175.84), (192, 263.76), (400, 549.50)])
def test_focal_length_of_the_published_sizes(height, expected):
    assert focal_length(40.0, height) == pytest.approx(expected, abs=0.005)


def test_rays_by_hand():
    cameras = Cameras(look_at(torch.tensor([0.0, 0.0, 4.0]))[None], 90.0, 2, 4)
    origins, directions = rays(cameras)
    assert origins.shape == directions.shape == (1, 2, 4, 3)
    close(origins[0, 1, 3], [0.0, 0.0, 4.0])
    # f = 1; the top left centre is at (0.5 - 2, -(0.5 - 1), -1) = (-1.5, 0.5, -1).
    length = math.sqrt(1.5**2 + 0.5**2 + 1)
    close(directions[0, 0, 0], [-1.5 / length, 0.5 / length, -1 / length])
    close(directions.norm(dim=-1), torch.ones(1, 2, 4))


def test_rays_and_project_are_inverse():
    generator = torch.Generator().manual_seed(3)
    angles = torch.rand(5, 2, generator=generator) * torch.tensor([360.0, 160.0]) - 80.0
    cameras = Cameras(orbit(angles[:, 0], angles[:, 1]), 55.0, 6, 9)
    origins, directions = rays(cameras)
    distance = 1.0 + torch.rand(5, 6, 9, 1, generator=generator)
    points = origins + distance * directions
    planar = (distance * directions * forward(cameras.c2w)[:, None, None]).sum(-1, keepdim=True)
    j, i = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(9) + 0.5, indexing="ij")
    for v in range(5):
        xy, depth = project(points[v].reshape(-1, 3), cameras[v])
        close(xy[0], torch.stack((i, j), -1).reshape(-1, 2), atol=2e-4)
        close(depth[0], planar[v].reshape(-1), atol=1e-5)


def test_look_at_agrees_with_orbit_and_stands_at_the_pole():
    azimuth, elevation = torch.tensor([10.0, -130.0, 77.0]), torch.tensor([5.0, -60.0, 89.0])
    poses = orbit(azimuth, elevation, 3.0)
    close(look_at(poses[:, :3, 3]), poses, atol=2e-5)
    down = look_at(torch.tensor([0.0, 3.0, 0.0]))
    close(down, orbit(0.0, 90.0, 3.0))
    along_x = look_at(torch.tensor([2.0, 0.0, 0.0]), up=(1.0, 0.0, 0.0))
    close(along_x[:3, 0], [0.0, 0.0, 1.0])
    close(torch.linalg.det(along_x[:3, :3]), 1.0)
    shifted = look_at(torch.tensor([1.0, 1.0, 5.0]), target=(1.0, 1.0, 0.0))
    close(shifted[:3, :3], torch.eye(3))
    with pytest.raises(ValueError, match="equals its target"):
        look_at(torch.zeros(3))


def test_azimuth_elevation_radius_inverts_orbit():
    azimuth = torch.tensor([0.0, 90.0, -90.0, 179.0, -45.0, 30.0, 70.0])
    elevation = torch.tensor([0.0, 10.0, -80.0, 45.0, 0.0, 90.0, -90.0])
    radius = torch.tensor([1.0, 2.0, 2.2, 0.5, 3.0, 2.0, 1.0])
    found = azimuth_elevation_radius(orbit(azimuth, elevation, radius))
    for actual, expected in zip(found, (azimuth, elevation, radius), strict=True):
        close(actual, expected, atol=2e-3)


def test_world_to_camera_is_the_inverse():
    c2w = orbit(torch.tensor([20.0, -70.0]), 33.0, 1.7)
    close(world_to_camera(c2w), torch.linalg.inv(c2w.double()).float(), atol=1e-6)


def test_cameras_refuse_what_cannot_be():
    good = orbit(0.0)[None]
    for bad in (
        {"c2w": good[0]},
        {"c2w": good.double()},
        {"fov_y": 0.0},
        {"fov_y": 180.0},
        {"height": 0},
    ):
        with pytest.raises(ValueError):
            Cameras(**{"c2w": good, "fov_y": 40.0, "height": 4, "width": 4, **bad})
    three = Cameras(orbit(torch.tensor([0.0, 1.0, 2.0])), 40.0, 4, 6)
    assert len(three) == 3 and len(three[1]) == 1 and len(three[1:]) == 2
    assert three.resized(8, 12).width == 12
