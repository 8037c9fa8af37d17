"""Where a rig's surface reaches: sample points per part, for framing and for tests."""

import math
from collections.abc import Sequence

import numpy as np

from animate124.toybox.rig import Pose, Rig, Vec3, euler_matrix, pose_matrices


def _directions(count: int = 28) -> np.ndarray:
    """Unit vectors [count + 6, 3]: a golden spiral and the six axes."""
    k = np.arange(count) + 0.5
    y = 1.0 - 2.0 * k / count
    turn = k * math.pi * (3.0 - math.sqrt(5.0))
    ring = np.sqrt(1.0 - y * y)
    spiral = np.stack([ring * np.cos(turn), y, ring * np.sin(turn)], axis=1)
    return np.concatenate([spiral, np.eye(3), -np.eye(3)])


_SPHERE = _directions()
_COUNT = len(_SPHERE)
_RIM = np.stack(
    [
        np.cos(np.arange(_COUNT) * (4 * math.pi / _COUNT)),
        np.where(np.arange(_COUNT) < _COUNT // 2, -0.5, 0.5),
        np.sin(np.arange(_COUNT) * (4 * math.pi / _COUNT)),
    ],
    axis=1,
)
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
_CORNERS = np.resize(_CORNERS, (_COUNT, 3))
_UP = np.where(_SPHERE[:, 1] >= 0, 1.0, 0.0)


def _local_points(kind: str, size: Vec3) -> np.ndarray:
    """Surface points [34, 3] of one primitive in its own space (boxes without edge rounding)."""
    a, b, c = size
    if kind == "ellipsoid":
        return _SPHERE * size
    if kind == "capsule":
        points = _SPHERE * (a + (c - a) * _UP)[:, None]
        points[:, 1] += b * (_UP - 0.5)
        return points
    if kind in ("cone", "cylinder"):
        return _RIM * np.where(_RIM[:, 1:2] < 0, [[a, b, a]], [[c, b, c]])
    if kind == "box":
        return _CORNERS * size
    if kind == "torus":
        return _RIM * [[a + b, 2 * b, a + b]]
    raise ValueError(f"unknown kind of part {kind!r}")


def bounding_points(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Surface points of every part at rest [P, K, 3] and the parts' joint indices [P].

    Curved surfaces are sampled about every 35°, so a ball of radius r may reach past its points by
    up to 0.05 r.
    """
    turns = euler_matrix(np.array([p.rotation for p in rig.parts]))
    local = np.stack([_local_points(p.kind, p.size) for p in rig.parts])
    points = local @ turns.transpose(0, 2, 1)
    points += np.array([p.position for p in rig.parts])[:, None]
    return points, np.array([rig.index(p.joint) for p in rig.parts])


def enclosing_ball(points: np.ndarray, steps: int = 14) -> tuple[Vec3, float]:
    """Nearly smallest ball with centre on x = 0 around points [..., 3]: centre and radius.

    Bădoiu and Clarkson 2003: step towards the farthest point by 1/(i+1), keeping the best centre.
    """
    flat = points.reshape(-1, 3)
    low, high = flat.min(axis=0), flat.max(axis=0)
    center = (low + high) / 2
    center[0] = 0.0
    best, best_radius = center.copy(), math.inf
    for i in range(steps):
        offset = flat - center
        squared = np.einsum("ij,ij->i", offset, offset)
        far = int(squared.argmax())
        radius = math.sqrt(squared[far])
        if radius < best_radius:
            best, best_radius = center.copy(), radius
        center = center + offset[far] / (i + 4)
        center[0] = 0.0
    return tuple(float(v) for v in best), best_radius


def posed_radius(points: np.ndarray, joints: np.ndarray, rig: Rig, poses: Sequence[Pose]) -> float:
    """Greatest distance from the origin of rest points [P, K, 3] over all poses."""
    world = pose_matrices(rig, poses)[:, joints]
    moved = points @ world[..., :3, :3].swapaxes(-1, -2)
    moved += world[..., None, :3, 3]
    np.square(moved, out=moved)
    return math.sqrt(float(moved.sum(axis=-1).max()))
