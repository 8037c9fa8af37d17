"""Tessellation, paint and solids against formulas."""

from collections import Counter

import numpy as np
import pytest

from animate124.toybox.meshes import FINE, smooth_normals, tessellate
from animate124.toybox.paint import paint_points, paint_table, srgb_to_linear
from animate124.toybox.rig import KINDS, Joint, Paint, Part, Rig
from animate124.toybox.solids import contains

SIZES = {
    "ellipsoid": (0.3, 0.2, 0.1),
    "capsule": (0.1, 0.4, 0.1),
    "cone": (0.2, 0.3, 0.0),
    "cylinder": (0.2, 0.3, 0.1),
    "box": (0.3, 0.2, 0.1),
    "torus": (0.3, 0.08, 0.0),
}
VOLUMES = {
    "ellipsoid": 4 / 3 * np.pi * 0.3 * 0.2 * 0.1,
    "capsule": 4 / 3 * np.pi * 0.1**3 + np.pi * 0.1**2 * 0.4,
    "cone": np.pi / 3 * 0.2**2 * 0.3,
    "cylinder": np.pi / 3 * 0.3 * (0.2**2 + 0.2 * 0.1 + 0.1**2),
    "box": 8 * 0.3 * 0.2 * 0.1,
    "torus": 2 * np.pi**2 * 0.3 * 0.08**2,
}
# Rounded rims and edges take a little away; the round kinds are only chords inside the surface.
MISSING = {"ellipsoid": 0.03, "capsule": 0.03, "torus": 0.06, "cone": 0.12, "cylinder": 0.1}


def mesh_of(kind, size=None, tolerance=FINE, paint=None, **placed):
    part = Part(
        "p",
        "root",
        kind,
        size or SIZES[kind],
        **{"position": (0, 0, 0), **placed},
        paint=paint or Paint((1, 1, 1)),
    )
    return tessellate(Rig((Joint("root", None, (0, 0, 0)),), (part,)), tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_surface_is_closed_outward_and_of_the_right_volume(kind):
    mesh = mesh_of(kind, position=(0.1, -0.2, 0.3), rotation=(20, 30, 40))
    welded = mesh.weld[mesh.faces]
    edges = Counter()
    for k in range(3):
        edges.update(zip(welded[:, k].tolist(), welded[:, (k + 1) % 3].tolist(), strict=True))
    # Every directed edge once, and its opposite once: closed and consistently wound.
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges)
    a, b, c = (mesh.rest[mesh.faces[:, k]] - [0.1, -0.2, 0.3] for k in range(3))
    volume = np.einsum("ti,ti->", a, np.cross(b, c)) / 6
    missing = 1 - volume / VOLUMES[kind]
    assert 0 < missing < MISSING.get(kind, 0.05)
    face_normals = np.cross(b - a, c - a)
    assert (np.einsum("ti,tki->tk", face_normals, mesh.normals[mesh.faces]) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_finer_tolerance_comes_closer_and_uv_fills_the_square(kind):
    coarse, fine = mesh_of(kind, tolerance=0.004), mesh_of(kind, tolerance=0.0005)
    assert len(fine.faces) > len(coarse.faces)
    assert fine.uv.min() >= 0 and fine.uv.max() <= 1 and np.ptp(fine.uv, axis=0).min() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_smooth_normals_of_the_undeformed_mesh_agree_with_the_analytic_ones(kind):
    mesh = mesh_of(kind)
    cosine = (smooth_normals(mesh, mesh.rest) * mesh.normals).sum(axis=1)
    assert cosine.min() > np.cos(np.radians(12))


@pytest.mark.parametrize("kind", ["box", "cylinder", "capsule"])
def test_a_mesh_that_is_to_bend_has_short_edges_and_the_same_surface(kind):
    rig = Rig(
        (Joint("root", None, (0, 0, 0)),),
        (Part("p", "root", kind, SIZES[kind], (0, 0, 0), Paint((1, 1, 1))),),
    )
    plain, fine = tessellate(rig), tessellate(rig, FINE, 0.03)

    def height_steps(mesh):
        corners = mesh.rest[mesh.faces][..., 1]
        return np.ptp(corners, axis=1)

    assert height_steps(plain).max() > 0.1 and height_steps(fine).max() <= 0.03 + 1e-9
    part = rig.parts[0]
    assert contains(part, fine.local * 0.995).all()
    assert not contains(part, fine.local * 1.02).any()


def test_ellipsoid_vertices_lie_on_the_ellipsoid_with_gradient_normals():
    mesh = mesh_of("ellipsoid")
    size = np.array(SIZES["ellipsoid"])
    np.testing.assert_allclose(((mesh.local / size) ** 2).sum(axis=1), 1.0, atol=1e-9)
    gradient = mesh.local / size**2
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.normals, gradient, atol=1e-9)


def test_tapered_capsule_reaches_from_ball_to_ball():
    mesh = mesh_of("capsule", (0.1, 0.3, 0.05))
    # Bottom at −0.15 − 0.1, top at 0.15 + 0.05; widest where the lower ball's equator is.
    np.testing.assert_allclose(mesh.local[:, 1].min(), -0.25, atol=1e-12)
    np.testing.assert_allclose(mesh.local[:, 1].max(), 0.20, atol=1e-12)
    radius = np.hypot(mesh.local[:, 0], mesh.local[:, 2])
    assert 0.1 - FINE < radius.max() <= 0.1 + 1e-12
    # A ball that contains the other is the whole capsule.
    alone = mesh_of("capsule", (0.2, 0.05, 0.1))
    np.testing.assert_allclose(
        np.linalg.norm(alone.local - [0, -0.025, 0], axis=1), 0.2, atol=1e-12
    )


def test_box_edges_are_rounded_by_15_percent_of_the_smallest_half_extent():
    mesh = mesh_of("box")
    np.testing.assert_allclose(np.abs(mesh.local).max(axis=0), SIZES["box"], atol=1e-12)
    core = np.clip(mesh.local, -np.array([0.285, 0.185, 0.085]), [0.285, 0.185, 0.085])
    np.testing.assert_allclose(np.linalg.norm(mesh.local - core, axis=1), 0.015, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_contains_shrunk_surface_points_and_not_swollen_ones(kind):
    part = Part("p", "root", kind, SIZES[kind], (0, 0, 0), Paint((1, 1, 1)))
    mesh = mesh_of(kind)
    assert contains(part, mesh.local - 0.006 * mesh.normals).all()
    assert not contains(part, mesh.local + 0.006 * mesh.normals).any()


def colours(points, paint, kind="ellipsoid", size=(1.0, 1.0, 1.0)):
    """Whether each point [N, 3] of one part shows the accent."""
    part = Part("p", "root", kind, size, (0, 0, 0), paint)
    mesh = tessellate(Rig((Joint("root", None, (0, 0, 0)),), (part,)), 0.004)
    table = paint_table(Rig((Joint("root", None, (0, 0, 0)),), (part,)), mesh.local, mesh.part)
    points = np.asarray(points, float)
    linear = paint_points(table, np.zeros(len(points), np.int32), points)
    accent = np.isclose(linear, srgb_to_linear(paint.accent)).all(axis=1)
    base = np.isclose(linear, srgb_to_linear(paint.base)).all(axis=1)
    assert (accent ^ base).all()
    return accent


BLUE, GOLD = (0.1, 0.2, 0.8), (0.9, 0.7, 0.1)


def on_sphere(count=20000):
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_rings_two_tone_and_checks_change_where_computed_by_hand():
    def along_y(*heights):
        return [[0.3, y, -0.2] for y in heights]

    rings = Paint(BLUE, GOLD, "rings", scale=0.2, extent=0.25)
    # Bands [0, 0.05), [0.2, 0.25), [−0.2, −0.15) …
    assert colours(along_y(0.01, 0.06, 0.19, 0.21, -0.01, -0.18), rings).tolist() == [
        True, False, False, True, False, True,
    ]  # fmt: skip
    two = Paint(BLUE, GOLD, "two_tone", axis=(0, 1, 0), extent=0.3)
    # The part spans y = −1 … 1: the top 30 % start at 0.4.
    assert colours(along_y(0.41, 0.39, -0.9), two).tolist() == [True, False, False]
    checks = Paint(BLUE, GOLD, "checks", scale=0.5)
    points = [[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.6, 0.6, 0.1], [-0.1, 0.1, 0.1]]
    assert colours(points, checks).tolist() == [True, False, True, False]
    assert not colours(on_sphere(100), Paint(BLUE, GOLD)).any()


def test_belly_covers_its_share_of_a_sphere_on_the_right_side():
    points = on_sphere()
    accent = colours(points, Paint(BLUE, GOLD, "belly", axis=(0, 0, 1), extent=0.2))
    assert abs(accent.mean() - 0.2) < 0.01
    # Archimedes: the cap of share 0.2 is where z > 1 − 2 · 0.2.
    assert (accent == (points[:, 2] > 0.6)).all()


@pytest.mark.parametrize("extent", [0.2, 0.35])
def test_spots_and_stripes_cover_their_share(extent):
    points = on_sphere()
    spots = colours(points, Paint(BLUE, GOLD, "spots", scale=0.15, extent=extent))
    # Jittered balls overlap a little, so spots cover slightly less than asked.
    assert extent - 0.06 < spots.mean() < extent + 0.02
    stripes = colours(points, Paint(BLUE, GOLD, "stripes", scale=0.15, extent=extent))
    assert abs(stripes.mean() - extent) < 0.04
    mirrored = colours(points * [-1, 1, 1], Paint(BLUE, GOLD, "stripes", scale=0.15, extent=extent))
    assert (mirrored == stripes).all()
