"""Who is whose neighbour on a cloud at rest: distances along the surface, control nodes, weights.

Distances run along a graph of near Gaussians, not through the air, so an arm that hangs beside the
body is far from it. All is computed once, on the rest cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from animate124.gaussians.cloud import Cloud

NEIGHBOURS = 8  # of a Gaussian in the surface graph
BRIDGES = 3  # edges that join two separate pieces


@dataclass(frozen=True, eq=False)
class Nodes:
    """K control nodes of a cloud of N Gaussians.

    index [K] int64, the Gaussians they sit on; edges [E, 2] int64, directed, between nodes near
    each other along the surface; skin [N, S] int64, the nodes that carry each Gaussian, and
    weights [N, S] float64 ≥ 0 that sum to 1.
    """

    index: np.ndarray
    edges: np.ndarray
    skin: np.ndarray
    weights: np.ndarray


def surface_graph(cloud: Cloud, neighbours: int = NEIGHBOURS) -> csr_matrix:
    """Symmetric graph [N, N] of edge lengths between near Gaussians, in one piece.

    Between surfaces that face each other across a gap there is no edge, where normals tell; pieces
    that do not touch are joined at their nearest Gaussians.
    """
    points = cloud.positions.detach().cpu().numpy().astype(float)
    count = len(points)
    near = min(neighbours, count - 1)
    if near < 1:
        return csr_matrix((count, count))
    tree = cKDTree(points)
    other = tree.query(points, near + 1)[1][:, 1:].ravel()
    one = np.repeat(np.arange(count), near)
    if cloud.flat:
        normals = cloud.normals.detach().cpu().numpy()
        along = points[other] - points[one]
        opposed = (normals[one] * normals[other]).sum(1) < 0
        across = ((normals[one] - normals[other]) * along).sum(1) > 0
        one, other = one[~(opposed & across)], other[~(opposed & across)]
    return _joined(points, one, other)


def _joined(points: np.ndarray, one: np.ndarray, other: np.ndarray) -> csr_matrix:
    """The graph of the edges, with bridges from every piece to the nearest other one."""
    while True:
        graph = _graph(points, one, other)
        pieces, label = connected_components(graph, directed=False)
        if pieces == 1:
            return graph
        for piece in np.unique(label)[1:]:
            inside = np.flatnonzero(label == piece)
            outside = np.flatnonzero(label != piece)
            far, where = cKDTree(points[outside]).query(points[inside])
            best = np.argsort(far, kind="stable")[:BRIDGES]
            one = np.concatenate([one, inside[best]])
            other = np.concatenate([other, outside[where[best]]])


def _graph(points: np.ndarray, one: np.ndarray, other: np.ndarray) -> csr_matrix:
    low, high = np.minimum(one, other), np.maximum(one, other)
    low, high = np.unique(np.stack([low, high]), axis=1)
    # Zero would mean "no edge" to scipy.
    length = np.maximum(np.linalg.norm(points[low] - points[high], axis=1), 1e-9)
    half = csr_matrix((length, (low, high)), shape=(len(points), len(points)))
    return half + half.T


def neighbour_edges(graph: csr_matrix) -> np.ndarray:
    """Directed edges [E, 2] int64 of a graph, (from, to)."""
    one, other = graph.nonzero()
    return np.stack([one, other], axis=1).astype(np.int64)


def spread_nodes(cloud: Cloud, count: int, degree: int = 6, carriers: int = 4) -> Nodes:
    """`count` control nodes (or one per Gaussian, if fewer), spread evenly over a cloud.

    degree: neighbours of a node; carriers: nodes S that move each Gaussian. The weight of a node at
    distance d along the surface is (1 − d/D)², normalised, with D the distance of the first node
    that no longer counts (Sumner, Schmid and Pauly 2007, "Embedded deformation", equation 4).
    """
    index, distance = _farthest(surface_graph(cloud), min(count, len(cloud)))
    used = min(carriers, len(index))
    order = np.argsort(distance, axis=1, kind="stable")[:, : used + 1]
    sorted_ = np.take_along_axis(distance, order, axis=1)
    beyond = sorted_[:, -1:] if len(index) > used else sorted_[:, -1:] + 1.0
    weights = (1 - sorted_[:, :used] / np.maximum(beyond, 1e-9)).clip(0) ** 2
    weights[:, 0] += 1e-9  # where all are equally far
    weights /= weights.sum(1, keepdims=True)
    between = distance[index]
    near = np.argsort(between, axis=1, kind="stable")[:, 1 : degree + 1]
    one = np.repeat(np.arange(len(index)), near.shape[1])
    pairs = np.concatenate([np.stack([one, near.ravel()]), np.stack([near.ravel(), one])], axis=1)
    edges = np.unique(pairs, axis=1).T.astype(np.int64).reshape(-1, 2)
    return Nodes(index, edges, order[:, :used].astype(np.int64), weights)


def _farthest(graph: csr_matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Farthest-point sampling along a graph in one piece: indices [count] and the distances
    [N, count] from them. The first is the farthest one from Gaussian 0."""
    chosen = np.empty(count, np.int64)
    rows = np.empty((count, graph.shape[0]))
    nearest = dijkstra(graph, directed=False, indices=0)
    for k in range(count):
        chosen[k] = nearest.argmax()
        rows[k] = dijkstra(graph, directed=False, indices=chosen[k])
        nearest = rows[k].copy() if k == 0 else np.minimum(nearest, rows[k])
    return chosen, rows.T
