"""Polygons to triangles: quads along the diagonal that fits, larger ones by cutting ears off."""

import numpy as np


def triangulate(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which corners make the triangles of polygons.

    Args:
        vertices: [V, 3] positions. corners: [C] integers, the vertices of all polygons in a row,
            each in its order. sizes: [P] corners of each polygon; with fewer than 3 it draws none.

    Returns:
        [F, 3] int64 indices into `corners`, so that other things per corner can follow. Triangles
        keep their polygon's orientation; they come in no order that matters.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    found = [starts[sizes == 3, None] + np.arange(3)]
    quads = starts[sizes == 4, None] + np.arange(4)
    if len(quads):
        a, b, c, d = (vertices[corners[quads[:, k]]] for k in range(4))
        # Across a-c both halves must turn the same way; else the quad is concave at b or d.
        agrees = (np.cross(b - a, c - a) * np.cross(c - a, d - a)).sum(1) >= 0
        found += [
            quads[agrees][:, [0, 1, 2]],
            quads[agrees][:, [0, 2, 3]],
            quads[~agrees][:, [0, 1, 3]],
            quads[~agrees][:, [1, 2, 3]],
        ]
    for start, size in zip(starts[sizes > 4], sizes[sizes > 4], strict=True):
        ring = vertices[corners[start : start + size]]
        found.append(start + np.array(_ears(ring), np.int64))
    return np.concatenate(found)


def _ears(ring: np.ndarray) -> list[tuple[int, int, int]]:
    """Triangles of one simple polygon [N, 3] (Meisters 1975); N − 2 of them, whatever its shape."""
    normal = np.cross(ring - ring[0], np.roll(ring, -1, 0) - ring[0]).sum(0)  # Newell's
    drop = int(np.abs(normal).argmax())
    flat = np.delete(ring, drop, axis=1)
    # Dropping the y axis mirrors: (x, z) turns the other way round.
    sign = np.sign(normal[drop]) * (-1.0 if drop == 1 else 1.0)
    left = list(range(len(ring)))
    triangles = []
    while len(left) > 3:
        for k in range(len(left)):
            i, j, m = left[k - 1], left[k], left[(k + 1) % len(left)]
            others = flat[[v for v in left if v not in (i, j, m)]]
            if _turn(flat[i], flat[j], flat[m]) * sign > 0 and not _inside(
                others, flat[i], flat[j], flat[m], sign
            ):
                break
        else:
            k, (i, j, m) = 1, left[:3]  # it crosses itself or has no area: any triangle will do
        triangles.append((i, j, m))
        del left[k]
    return [*triangles, tuple(left)]


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
        c[..., 0] - a[..., 0]
    )


def _inside(points: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, sign: float) -> bool:
    """Whether any point [N, 2] lies strictly within the triangle."""
    sides = [_turn(a, b, points), _turn(b, c, points), _turn(c, a, points)]
    return bool((np.stack(sides) * sign > 0).all(0).any())
