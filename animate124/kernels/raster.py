"""Triangle rasterisation on the CPU: one z-buffer per image, numba, parallel over images.

Visibility is decided in homogeneous form (Olano and Greer, "Triangle scan conversion using 2D
homogeneous coordinates", 1997): for the ray d through a pixel centre and camera-space corners
v0, v1, v2 the perspective-correct barycentric weights are proportional to d · (vj × vk), so no
triangle is ever divided by its depth and one that crosses the near plane needs no clipping.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

NEAR = 0.01


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel centre of each image sees.

    `face` [N, H, W] int32 (−1 where nothing is hit), `bary` [N, H, W, 2] float32 (weights of the
    second and third corner, perspective-correct; the first has the rest), `depth` [N, H, W] float32
    (planar, world units, 0 where nothing is hit).
    """

    face: np.ndarray
    bary: np.ndarray
    depth: np.ndarray


def rasterize(
    vertices: np.ndarray,
    faces: np.ndarray,
    groups: np.ndarray,
    matrices: np.ndarray,
    source: np.ndarray,
    fov_y: float,
    height: int,
    width: int,
    near: float = NEAR,
    beyond: np.ndarray | None = None,
) -> Fragments:
    """Nearest front-facing triangle at every pixel centre of N images.

    Args:
        vertices: [M, V, 3] float64, M sets of model-space positions.
        faces: [T, 3] int32, counter-clockwise seen from outside.
        groups: [V] int32 in [0, G), the transform that moves each vertex.
        matrices: [N, G, 3, 4] float64, model to camera space (OpenGL: looks along −z) per image.
        source: [N] int32 in [0, M), the vertex set of each image.
        fov_y: vertical field of view in degrees; pixels are square.
        height, width: image size in pixels.
        near: planar depth in world units nearer than which nothing is drawn.
        beyond: [N, H, W] float32 planar depth, nearer than which nothing is drawn either: what
            lies behind an earlier result's `depth`. None for no such limit.

    Returns:
        Fragments of the N images. Of two triangles at equal depth the earlier one wins.
    """
    count = len(matrices)
    assert vertices.ndim == 3 and vertices.shape[2] == 3, vertices.shape
    assert matrices.shape[2:] == (3, 4) and source.shape == (count,), (matrices.shape, source.shape)
    face = np.full((count, height, width), -1, np.int32)
    bary = np.zeros((count, height, width, 2), np.float32)
    depth = np.zeros((count, height, width), np.float32)
    step = 2.0 * np.tan(np.radians(fov_y) / 2.0) / height
    limits = np.zeros((count, 0, 0), np.float32) if beyond is None else beyond
    _rasterize(vertices, faces, groups, matrices, source, step, near, limits, face, bary, depth)
    return Fragments(face, bary, depth)


@njit(parallel=True, cache=True, error_model="numpy")
def _rasterize(vertices, faces, groups, matrices, source, step, near, limits, face, bary, depth):
    """Fill `face`, `bary`, `depth`; `step` is the pixel pitch on the plane at depth 1."""
    height, width = face.shape[1], face.shape[2]
    for n in prange(matrices.shape[0]):
        camera, screen = _project(vertices[source[n]], groups, matrices[n], step, height, width)
        # Inverse depth is linear across the image and is 0 at infinity: the z-buffer keeps it.
        nearness = np.zeros((height, width))
        for t in range(faces.shape[0]):
            _draw(t, faces, camera, screen, step, near, limits[n], nearness, face[n], bary[n])
        for y in range(height):
            for x in range(width):
                if nearness[y, x] > 0.0:
                    depth[n, y, x] = 1.0 / nearness[y, x]


@njit(cache=True, error_model="numpy")
def _project(vertices, groups, matrices, step, height, width):
    """Camera-space positions [V, 3] and pixel coordinates [V, 2] (no use behind the camera)."""
    camera = np.empty((vertices.shape[0], 3))
    screen = np.empty((vertices.shape[0], 2))
    for v in range(vertices.shape[0]):
        m = matrices[groups[v]]
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        cx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        cy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        cz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        camera[v, 0], camera[v, 1], camera[v, 2] = cx, cy, cz
        scale = -1.0 / (step * cz)
        screen[v, 0] = 0.5 * width + cx * scale
        screen[v, 1] = 0.5 * height - cy * scale
    return camera, screen


@njit(cache=True, error_model="numpy")
def _draw(t, faces, camera, screen, step, near, limits, nearness, face, bary):
    """Draw triangle `t` into one image where it faces the camera and is nearest."""
    height, width = face.shape
    a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
    behind = 0
    for v in (a, b, c):
        if camera[v, 2] > -near:
            behind += 1
    if behind == 3:
        return
    x0, x1, y0, y1 = 0, width - 1, 0, height - 1
    if behind == 0:
        ax, ay, bx, by = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        # Image y points down, so a counter-clockwise triangle has a negative signed area.
        if (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) >= 0.0:
            return
        # Pixel centres lie at i + 0.5. Clamp as floats: a far-off corner overflows an integer.
        x0 = int(max(np.ceil(min(ax, bx, cx) - 0.5), 0.0))
        x1 = int(min(np.floor(max(ax, bx, cx) - 0.5), width - 1.0))
        y0 = int(max(np.ceil(min(ay, by, cy) - 0.5), 0.0))
        y1 = int(min(np.floor(max(ay, by, cy) - 0.5), height - 1.0))
        if x0 > x1 or y0 > y1:
            return
    ax, ay, az = camera[a, 0], camera[a, 1], camera[a, 2]
    bx, by, bz = camera[b, 0], camera[b, 1], camera[b, 2]
    cx, cy, cz = camera[c, 0], camera[c, 1], camera[c, 2]
    # Edge functions e_i = d · (vk × vj), positive inside a triangle that faces the camera. A shared
    # edge gets exactly negated coefficients from its two triangles, so no pixel falls between.
    ex, ey, ez = cy * bz - cz * by, cz * bx - cx * bz, cx * by - cy * bx
    fx, fy, fz = ay * cz - az * cy, az * cx - ax * cz, ax * cy - ay * cx
    gx, gy, gz = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
    volume = ax * ex + ay * ey + az * ez
    if volume <= 0.0:
        return
    for y in range(y0, y1 + 1):
        dy = (0.5 * height - (y + 0.5)) * step
        e_row, f_row, g_row = ey * dy - ez, fy * dy - fz, gy * dy - gz
        for x in range(x0, x1 + 1):
            dx = (x + 0.5 - 0.5 * width) * step
            e, f, g = ex * dx + e_row, fx * dx + f_row, gx * dx + g_row
            if e >= 0.0 and f >= 0.0 and g >= 0.0:
                total = e + f + g
                inverse = total / volume
                if nearness[y, x] < inverse <= 1.0 / near:
                    # A surface is never behind itself: its stored depth is rounded.
                    if limits.size and inverse * limits[y, x] * (1.0 + 1e-5) >= 1.0:
                        continue
                    nearness[y, x] = inverse
                    face[y, x] = t
                    bary[y, x, 0] = f / total
                    bary[y, x, 1] = g / total
