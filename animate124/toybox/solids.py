"""Which points lie inside a part: what keeps tracked points off surfaces that nobody can see."""

import numpy as np

from animate124.toybox.meshes import EDGE, FINE
from animate124.toybox.profiles import profile_of
from animate124.toybox.rig import Part, Rig, euler_matrix


def hidden(rig: Rig, points: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Whether surface points lie inside another part of the rig at rest.

    Args:
        points: [N, 3] rest world positions. part: [N] the part whose surface each belongs to.

    Returns:
        bool [N].
    """
    inside = np.zeros(len(points), bool)
    for index, other in enumerate(rig.parts):
        test = (part != index) & ~inside
        local = (points[test] - np.asarray(other.position)) @ euler_matrix(other.rotation)
        inside[test] = contains(other, local)
    return inside


def contains(part: Part, points: np.ndarray) -> np.ndarray:
    """Whether points [N, 3] in part space lie inside the part, bool [N]."""
    size = np.asarray(part.size, float)
    if part.kind == "ellipsoid":
        return ((points / size) ** 2).sum(axis=1) < 1.0
    if part.kind == "box":
        radius = EDGE * size.min()
        core = np.clip(points, radius - size, size - radius)
        return np.linalg.norm(points - core, axis=1) < radius
    axis = np.hypot(points[:, 0], points[:, 2])
    if part.kind == "torus":
        return (axis - size[0]) ** 2 + points[:, 1] ** 2 < size[1] ** 2
    samples = profile_of(part.kind, part.size, FINE).samples
    return axis < np.interp(points[:, 1], samples[:, 1], samples[:, 0], left=-1.0, right=-1.0)
