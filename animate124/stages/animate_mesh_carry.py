"""Vertices carried by moving Gaussians: embedded deformation (Sumner, Schmid and Pauly 2007).

A point follows the weighted mean of what its nearest Gaussians, each as a rigid body, would do to
it: x(t) = Σ w (R(t) (x − g) + g(t)). Where g lies and how it is turned counts from frame 0 on, so
that frame 0 is exactly the mesh at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

_SMALLEST = 1e-9  # distance, world units


@dataclass(frozen=True, eq=False)
class Carriers:
    """N Gaussians at T moments, of which the first is at rest.

    positions [T, N, 3]; rotations [T, N, 3, 3] from the first moment; normals [N, 3], outward unit
    normals at the first moment, or None.
    """

    positions: np.ndarray
    rotations: np.ndarray
    normals: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Binding:
    """The carriers of W points: index [W, K] and weights [W, K], which sum to 1."""

    index: np.ndarray
    weights: np.ndarray


def carriers(
    positions: np.ndarray, quaternions: np.ndarray, normals: np.ndarray | None = None
) -> Carriers:
    """Carriers from positions [T, N, 3] and unit quaternions [T, N, 4] (w, x, y, z)."""
    frames, count = quaternions.shape[:2]
    turned = np.roll(np.asarray(quaternions, float), -1, axis=-1).reshape(-1, 4)
    matrices = Rotation.from_quat(turned).as_matrix().reshape(frames, count, 3, 3)
    return Carriers(np.asarray(positions, float), matrices @ matrices[0].swapaxes(1, 2), normals)


def bind(
    points: np.ndarray,
    found: Carriers,
    neighbours: int,
    normals: np.ndarray | None = None,
    normal_weight: float = 0.0,
) -> Binding:
    """Bind points [W, 3] to their nearest carriers at rest.

    The weights are (1 − d / d')², d' the distance of the first carrier that is left out, so they
    fade to nothing before a carrier changes, and what is carried is smooth.

    Args:
        normals: [W, 3] of the points; `normal_weight`: half the distance, world units, that
            opposite normals of a point and a carrier count as (both need normals).
    """
    rest, queries = found.positions[0], np.asarray(points, float)
    if normals is not None and found.normals is not None and normal_weight > 0:
        rest = np.concatenate([rest, normal_weight * found.normals], axis=1)
        queries = np.concatenate([queries, normal_weight * normals], axis=1)
    count = min(neighbours, len(rest))
    distance, index = cKDTree(rest).query(queries, k=min(count + 1, len(rest)))
    distance, index = distance.reshape(len(queries), -1), index.reshape(len(queries), -1)
    reach = distance[:, -1:] * (1.0 if distance.shape[1] > count else 2.0)
    weights = np.square(1.0 - distance[:, :count] / np.maximum(reach, _SMALLEST))
    weights = np.maximum(weights, 0.0) + _SMALLEST  # all equally far: all alike
    return Binding(index[:, :count], weights / weights.sum(axis=1, keepdims=True))


def carry(points: np.ndarray, found: Carriers, binding: Binding) -> tuple[np.ndarray, np.ndarray]:
    """Where points [W, 3] go: positions [T, W, 3] and mean rotations [T, W, 3, 3] (not
    orthogonal where carriers disagree), float64; at the first moment exactly `points`, unturned."""
    points = np.asarray(points, float)
    frames = len(found.positions)
    moved = np.empty((frames, len(points), 3))
    turns = np.empty((frames, len(points), 3, 3))
    offset = points[:, None] - found.positions[0][binding.index]
    for t in range(frames):
        rotation = found.rotations[t][binding.index]
        each = np.einsum("wkij,wkj->wki", rotation, offset) + found.positions[t][binding.index]
        moved[t] = np.einsum("wk,wki->wi", binding.weights, each)
        turns[t] = np.einsum("wk,wkij->wij", binding.weights, rotation)
    moved[0], turns[0] = points, np.eye(3)
    return moved, turns
