"""Vertices that lie at one place are one point of the surface, however many a file stores there.

Files split a vertex wherever its texture coordinates or normals differ. For motion the copies must
be one, or seams tear open; for texture they must stay split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from animate124.media.glb import MeshPart

TOLERANCE = 1e-6  # of the size of the points' box: nearer ones are one


@dataclass(frozen=True, eq=False)
class Welded:
    """points [W, 3] float32; index [V] int64, the point of every vertex; faces [F, 3] int64 between
    points, those of all parts in a row."""

    points: np.ndarray
    index: np.ndarray
    faces: np.ndarray


def weld(vertices: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Points [W, 3] float32 and the number of its point for every vertex of [V, 3].

    Vertices nearer to one another than `tolerance` times the diagonal of their box are one, and so
    is a chain of such; the point lies where the first of them does.
    """
    unique, first, inverse = np.unique(
        np.asarray(vertices, np.float32), axis=0, return_index=True, return_inverse=True
    )
    inverse = inverse.reshape(-1)
    reach = tolerance * float(np.linalg.norm(np.ptp(unique, axis=0)))
    pairs = cKDTree(unique).query_pairs(reach, output_type="ndarray")
    if len(pairs):
        links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(unique), len(unique)))
        count, group = connected_components(links, directed=False)
        leaders = np.full(count, len(vertices))
        np.minimum.at(leaders, group, first)
        first, inverse = leaders, group[inverse]
    # In the order of the vertices, so that nothing depends on coordinates.
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return np.asarray(vertices, np.float32)[first[order]], rank[inverse]


def weld_parts(parts: Sequence[MeshPart], tolerance: float = TOLERANCE) -> Welded:
    """The points of all parts together, which are also welded to one another."""
    points, index = weld(np.concatenate([part.vertices for part in parts]), tolerance)
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])[:-1]
    faces = np.concatenate([p.faces + offset for p, offset in zip(parts, offsets, strict=True)])
    return Welded(points, index, index[faces])


def split(values: np.ndarray, parts: Sequence[MeshPart]) -> list[np.ndarray]:
    """Values [..., V, C] of all vertices in a row, apart for every part."""
    ends = np.cumsum([len(part.vertices) for part in parts])[:-1]
    return np.split(values, ends, axis=-2)
