"""Procedural paint: the colour of a surface point from its position in its part's own rest space.

Evaluated per point, not per vertex, so patterns stay crisp at every resolution.
"""

import numpy as np
from numba import njit, prange

from animate124.toybox.rig import PATTERNS, Rig

# Columns of the paint table, one row per part.
_BASE, _ACCENT, _AXIS, _LOW, _HIGH, _HALF = 0, 3, 6, 9, 10, 11
_PATTERN, _SCALE, _EXTENT, _COLUMNS = 14, 15, 16, 17

_PLAIN, _SPOTS, _STRIPES, _RINGS, _BELLY, _TWO_TONE, _CHECKS = range(len(PATTERNS))


def srgb_to_linear(colour: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light, any shape (IEC 61966-2-1)."""
    colour = np.asarray(colour, float)
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def paint_table(rig: Rig, local: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The rig's paints as numbers [P, 17] float64 for `paint_points`.

    Args:
        rig: whose parts' paints to encode.
        local: [V, 3] surface points in part space, `part` [V] their parts: they bound each part.
    """
    table = np.zeros((len(rig.parts), _COLUMNS))
    for row, index in zip(table, range(len(rig.parts)), strict=True):
        paint = rig.parts[index].paint
        points = local[part == index]
        axis = np.asarray(paint.axis, float) / np.linalg.norm(paint.axis)
        along = points @ axis
        row[_BASE : _BASE + 3] = srgb_to_linear(paint.base)
        row[_ACCENT : _ACCENT + 3] = srgb_to_linear(paint.accent)
        row[_AXIS : _AXIS + 3] = axis
        row[_LOW], row[_HIGH] = along.min(), along.max()
        row[_HALF : _HALF + 3] = np.abs(points).max(axis=0)
        row[_PATTERN] = PATTERNS.index(paint.pattern)
        row[_SCALE], row[_EXTENT] = paint.scale, paint.extent
    return table


def paint_points(table: np.ndarray, part: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Linear-light albedo [N, 3] float32 of N points.

    Args:
        table: from `paint_table`.
        part: [N] int32, the part of each point.
        points: [N, 3] float64, positions in part space.
    """
    colours = np.empty((len(points), 3), np.float32)
    _paint_points(table, part, points, colours)
    return colours


def paint_fragments(
    table: np.ndarray,
    faces: np.ndarray,
    face_part: np.ndarray,
    local: np.ndarray,
    face: np.ndarray,
    bary: np.ndarray,
) -> np.ndarray:
    """Linear-light albedo [N, H, W, 3] float32 of rasterised fragments, 0 where nothing was hit.

    Args:
        table: from `paint_table`.
        faces, face_part, local: of the mesh (`meshes.Mesh`).
        face, bary: [N, H, W] and [N, H, W, 2], from `kernels.raster.rasterize`.
    """
    colours = np.zeros((*face.shape, 3), np.float32)
    _paint_fragments(table, faces, face_part, local, face, bary, colours)
    return colours


@njit(parallel=True, cache=True, error_model="numpy")
def _paint_points(table, part, points, colours):
    for n in prange(len(points)):
        column = _column(table[part[n]], part[n], points[n, 0], points[n, 1], points[n, 2])
        for k in range(3):
            colours[n, k] = table[part[n], column + k]


@njit(parallel=True, cache=True, error_model="numpy")
def _paint_fragments(table, faces, face_part, local, face, bary, colours):
    for n in prange(face.shape[0]):
        for y in range(face.shape[1]):
            for x in range(face.shape[2]):
                t = face[n, y, x]
                if t < 0:
                    continue
                b, c = bary[n, y, x, 0], bary[n, y, x, 1]
                a = 1.0 - b - c
                i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
                px = a * local[i, 0] + b * local[j, 0] + c * local[k, 0]
                py = a * local[i, 1] + b * local[j, 1] + c * local[k, 1]
                pz = a * local[i, 2] + b * local[j, 2] + c * local[k, 2]
                p = face_part[t]
                column = _column(table[p], p, px, py, pz)
                for ch in range(3):
                    colours[n, y, x, ch] = table[p, column + ch]


@njit(cache=True, error_model="numpy")
def _column(row, salt, x, y, z):
    """Where in `row` the colour of point (x, y, z) starts: the base or the accent."""
    pattern = int(row[_PATTERN])
    accent = False
    scale, extent = row[_SCALE], row[_EXTENT]
    along = x * row[_AXIS] + y * row[_AXIS + 1] + z * row[_AXIS + 2]
    if pattern == _RINGS:
        accent = (along / scale) % 1.0 < extent
    elif pattern == _STRIPES:
        # Two slow waves bend the bands; they are even in x, so a stripe is alike left and right.
        bend = 0.22 * np.sin(2.6 * abs(x) / scale + 0.7) + 0.16 * np.sin(2.1 * (y + z) / scale)
        accent = (along / scale + bend) % 1.0 < extent
    elif pattern == _TWO_TONE:
        accent = along > row[_HIGH] - extent * (row[_HIGH] - row[_LOW])
    elif pattern == _CHECKS:
        cells = np.floor(x / scale) + np.floor(y / scale) + np.floor(z / scale)
        accent = cells % 2.0 == 0.0
    elif pattern == _BELLY:
        # A cap of the unit ball: its share of the area is (1 − cos) / 2 (Archimedes).
        u, v, w = x / row[_HALF], y / row[_HALF + 1], z / row[_HALF + 2]
        length = np.sqrt(u * u + v * v + w * w)
        cosine = u * row[_AXIS] + v * row[_AXIS + 1] + w * row[_AXIS + 2]
        accent = cosine > (1.0 - 2.0 * extent) * length
    elif pattern == _SPOTS:
        accent = _in_spot(x / scale, y / scale, z / scale, extent, salt)
    return _ACCENT if accent else _BASE


@njit(cache=True, error_model="numpy")
def _in_spot(x, y, z, extent, salt):
    """Whether a point (in cells) lies in one of the balls jittered about the cell centres.

    A ball fills the share `extent` of its cell: radius (3 · extent / 4π)^⅓. With a jitter of at
    most a quarter cell only the eight nearest cells can reach the point.
    """
    reach = (0.2387324146378430 * extent) ** (2.0 / 3.0)
    cx, cy, cz = np.floor(x - 0.5), np.floor(y - 0.5), np.floor(z - 0.5)
    for corner in range(8):
        ix, iy, iz = cx + (corner & 1), cy + (corner >> 1 & 1), cz + (corner >> 2)
        bits = _hash(int(ix), int(iy), int(iz), salt)
        dx = x - ix - 0.25 - 0.5 * ((bits & 1023) / 1023.0)
        dy = y - iy - 0.25 - 0.5 * ((bits >> 10 & 1023) / 1023.0)
        dz = z - iz - 0.25 - 0.5 * ((bits >> 20 & 1023) / 1023.0)
        if dx * dx + dy * dy + dz * dz < reach:
            return True
    return False


@njit(cache=True)
def _hash(x, y, z, salt):
    """30 well-mixed bits of a cell (64-bit finaliser of Stafford's variant 13 of murmur3)."""
    h = np.uint64(x * 73856093 + y * 19349663 + z * 83492791 + salt * 2654435761)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((h ^ (h >> np.uint64(31))) & np.uint64(0x3FFFFFFF))
