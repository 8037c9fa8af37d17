"""Mechanisms against their formulas."""

import math

import numpy as np
import pytest

from animate124.toybox.bounds import bounding_points
from animate124.toybox.mechanics import MECHANICS
from animate124.toybox.rig import Pose, joint_matrices

TIMES = np.arange(16) / 16


def _moved(clip, points: np.ndarray, t: float, joint: str = "root") -> np.ndarray:
    if clip.deform is not None:
        points = clip.deform(points, t)
    matrix = joint_matrices(clip.rig, clip.pose(t))[clip.rig.index(joint)]
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _sphere_mesh(radius: float, center, rings: int = 24):
    """Vertices and triangles of a latitude-longitude ball, for the volume."""
    lat = np.linspace(0.0, math.pi, rings + 1)
    lon = np.arange(2 * rings) * math.pi / rings
    x = np.outer(np.sin(lat), np.cos(lon))
    z = np.outer(np.sin(lat), np.sin(lon))
    y = np.repeat(np.cos(lat)[:, None], 2 * rings, axis=1)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3) * radius + center
    faces = []
    for i in range(rings):
        for j in range(2 * rings):
            a, b = i * 2 * rings + j, i * 2 * rings + (j + 1) % (2 * rings)
            faces += [(a, b, a + 2 * rings), (b, b + 2 * rings, a + 2 * rings)]
    return vertices, np.array(faces)


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6)


@pytest.mark.parametrize("name", MECHANICS)
def test_mechanisms_loop_and_stay_in_frame(name):
    clip = MECHANICS[name]()
    assert clip.species == "mechanics" and clip.motion == name
    points, joints = bounding_points(clip.rig)
    flat = points.reshape(-1, 3)
    travel = 0.0
    for t in TIMES:
        world = joint_matrices(clip.rig, clip.pose(t))[np.repeat(joints, points.shape[1])]
        rest = flat if clip.deform is None else clip.deform(flat, t)
        moved = np.einsum("nij,nj->ni", world[:, :3, :3], rest) + world[:, :3, 3]
        assert np.linalg.norm(moved, axis=1).max() <= 0.68
        travel = max(travel, np.linalg.norm(moved - flat, axis=1).max())
    assert (travel == 0.0) == (name == "static")
    assert clip.pose(0.0) == clip.pose(1.0)
    if clip.deform is not None:
        assert (clip.deform(flat, 0.0) == clip.deform(flat, 1.0)).all()
        assert clip.deform(flat, 0.0) == pytest.approx(flat, abs=1e-12)


def test_hinge_turns_the_door_edge_by_sixty_degrees():
    clip = MECHANICS["hinge"]()
    # The far edge is 0.57 from the axis at x = −0.3; +60° about +y takes +x towards −z.
    edge = _moved(clip, np.array([[0.27, 0.1, 0.0]]), 0.25, "door")[0]
    c, s = 0.5, math.sqrt(3) / 2
    assert edge == pytest.approx((-0.3 + 0.57 * c, 0.1, -0.57 * s))
    assert _moved(clip, np.array([[-0.3, 0.2, 0.0]]), 0.25, "door")[0] == pytest.approx(
        (-0.3, 0.2, 0.0)
    )


def test_bent_bar_is_an_arc_of_its_own_length():
    clip = MECHANICS["bending bar"]()
    x = np.linspace(-0.48, 0.48, 2001)
    line = clip.deform(np.stack([x, 0 * x, 0 * x], 1), 0.25)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert steps.sum() == pytest.approx(0.96, rel=1e-6)
    curvature = math.radians(70.0) / 0.96
    center = np.array([0.0, 1 / curvature, 0.0])
    assert np.linalg.norm(line - center, axis=1) == pytest.approx(1 / curvature)
    # A fibre 0.05 nearer the centre of the circle is shorter in proportion.
    inner = clip.deform(np.stack([x, 0 * x + 0.05, 0 * x], 1), 0.25)
    assert np.linalg.norm(inner - center, axis=1) == pytest.approx(1 / curvature - 0.05)


def test_twist_turns_the_top_by_ninety_degrees_and_keeps_the_foot():
    clip = MECHANICS["twist"]()
    points = np.array([[0.1, 0.46, 0.0], [0.1, -0.46, 0.05], [0.1, 0.0, 0.0]])
    top, foot, middle = clip.deform(points, 0.25)
    assert top == pytest.approx((0.0, 0.46, -0.1), abs=1e-12)
    assert foot == pytest.approx((0.1, -0.46, 0.05))
    h = 0.1 / math.sqrt(2)
    assert middle == pytest.approx((h, 0.0, -h))


def test_flag_wave_travels_away_from_the_pole_that_stands_still():
    clip = MECHANICS["flag"]()
    pole = np.array([[-0.42, 0.0, 0.01], [-0.36, 0.2, 0.0]])
    for t in TIMES:
        assert clip.deform(pole, t) == pytest.approx(pole)
    # At s = 1 (x = 0.36), t = 1/4: 0.1 (sin(2.5π − π/2) − sin 2.5π) = 0.1 (0 − 1).
    end = clip.deform(np.array([[0.36, 0.3, 0.0]]), 0.25)[0]
    assert end == pytest.approx((0.36, 0.3, -0.1))

    # The moving part of the wave at s + 0.1 is that at s, one eighth of a period later.
    def travelling(s: float, t: float) -> float:
        z = clip.deform(np.array([[-0.36 + 0.72 * s, 0.3, 0.0]]), t)[0, 2]
        return z / (0.1 * s * s) + math.sin(2.5 * math.pi * s)

    for t in (0.1, 0.5, 0.7):
        assert travelling(0.6, t + 0.125) == pytest.approx(travelling(0.5, t))


def test_squash_keeps_the_volume_and_stands_on_its_foot():
    clip = MECHANICS["squash"]()
    vertices, faces = _sphere_mesh(0.36, (0.0, -0.04, 0.0))
    rest = _volume(vertices, faces)
    assert rest == pytest.approx(4 / 3 * math.pi * 0.36**3, rel=0.02)
    heights = []
    for t in TIMES:
        moved = clip.deform(vertices, t)
        assert _volume(moved, faces) == pytest.approx(rest, rel=0.01)
        assert moved[:, 1].min() == pytest.approx(-0.40)
        heights.append(np.ptp(moved[:, 1]) / 0.72)
    assert min(heights) == pytest.approx(0.7) and max(heights) == pytest.approx(1.3)


def test_the_lever_hides_behind_the_board_from_the_default_camera():
    clip = MECHANICS["behind"]()
    points, joints = bounding_points(clip.rig)
    lever = clip.rig.index("lever")
    mine = points[joints == lever].reshape(-1, 3)
    swept = 0.0
    for t in TIMES:
        moved = _moved(clip, mine, t, "lever")
        assert moved[:, 2].max() < 0.01  # behind the board, whose back is at z = 0.01
        # Seen from (0, 0, 2.2) a point shows at x · (2.2 − 0.11) / (2.2 − z) on the board's face.
        shown = moved[:, :2] * ((2.2 - 0.11) / (2.2 - moved[:, 2:]))
        assert np.abs(shown).max() < 0.37
        swept = max(swept, np.linalg.norm(moved - mine, axis=1).max())
    assert swept > 0.2


def test_the_control_never_moves():
    clip = MECHANICS["static"]()
    assert clip.deform is None
    assert all(clip.pose(t) == Pose() for t in TIMES)
