"""What an animated mesh does to its surface, measured on the file that was written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animate124.media.glb import MeshPart
from animate124.stages.welding import Welded


def distortion(rest: np.ndarray, moved: np.ndarray, faces: np.ndarray) -> dict[str, float]:
    """How areas and edges change from rest [W, 3] to moved [T, W, 3], as shares of their size.

    `area_mean` weighs triangles by area, `edge_mean` edges by length, over all moments; `_p99` is
    the 99th percentile over triangles or edges and moments. Triangles without area do not count.
    """
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    areas, lengths = _areas(rest[None], faces)[0], _lengths(rest[None], edges)[0]
    solid, long = areas > 1e-9 * areas.max(), lengths > 1e-6 * lengths.max()
    area = np.abs(_areas(moved, faces[solid]) / areas[solid] - 1.0)
    edge = np.abs(_lengths(moved, edges[long]) / lengths[long] - 1.0)
    return {
        "area_mean": float(np.average(area.mean(0), weights=areas[solid])),
        "area_p99": float(np.percentile(area, 99)),
        "edge_mean": float(np.average(edge.mean(0), weights=lengths[long])),
        "edge_p99": float(np.percentile(edge, 99)),
    }


def seam_gap(frames: np.ndarray, index: np.ndarray) -> float:
    """Largest distance between copies of one point in frames [T, V, 3]; index [V]: the points."""
    first = np.full(index.max() + 1, -1)
    first[index[::-1]] = np.arange(len(index))[::-1]
    return float(np.linalg.norm(frames - frames[:, first[index]], axis=-1).max())


def stacked(moments: Sequence[Sequence[MeshPart]], name: str) -> np.ndarray:
    """An array of all parts in a row, at every moment: [T, V, C]."""
    return np.stack([np.concatenate([getattr(p, name) for p in parts]) for parts in moments])


def statistics(
    decoded: np.ndarray, wanted: np.ndarray, welded: Welded, radius: float
) -> dict[str, float]:
    """All numbers of one animation, for the record.

    Args:
        decoded: [T, V, 3] positions as a reader finds them in the file; wanted: those that were
            computed. radius: of the asset, which lengths are given in.
    """
    moved = np.empty((len(decoded), len(welded.points), 3))
    moved[:, welded.index] = decoded
    found = distortion(welded.points.astype(float), moved, welded.faces)
    shift = np.linalg.norm(moved - welded.points, axis=-1)
    return {name: round(value, 6) for name, value in found.items()} | {
        "largest_displacement": round(float(shift.max()) / radius, 6),
        "mean_displacement": round(float(shift.mean()) / radius, 6),
        "largest_seam_gap": seam_gap(decoded, welded.index) / radius,
        "largest_error": float(np.abs(decoded - wanted).max()) / radius,
    }


def _areas(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[T, F] of points [T, W, 3]."""
    a, b, c = (points[:, faces[:, k]].astype(float) for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2


def _lengths(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """[T, E] of points [T, W, 3]."""
    return np.linalg.norm(points[:, edges[:, 1]].astype(float) - points[:, edges[:, 0]], axis=-1)
