"""Colours of rasterised mesh fragments: textures, vertex colours, light, alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from animate124.kernels.raster import Fragments
from animate124.media.glb.material import CLAMP, MIRROR
from animate124.render.texture import HEIGHT, LEVELS, START, WIDTH, WRAP_U, WRAP_V
from animate124.toybox.shade import encode, light_at, light_table

if TYPE_CHECKING:
    from animate124.render.mesh import MeshScene

# Columns of the material table; alpha modes.
_ALPHA, _CUTOFF, _MODE, _UNLIT, _FLAT = 3, 4, 5, 6, 7
_MASK, _BLEND = 1, 2
_CLAMP, _MIRROR = CLAMP, MIRROR
_FULL = 0.999  # alpha from which a sample counts as covered


def shade_fragments(
    scene: MeshScene,
    found: Fragments,
    vertices: np.ndarray,
    normals: np.ndarray,
    source: np.ndarray,
    eyes: np.ndarray,
    step: float,
    light: str,
    out: np.ndarray,
) -> bool:
    """Lay one layer of fragments under what `out` [N, H, W, 4] (premultiplied sRGB) holds.

    Args:
        vertices, normals: [M, V, 3] of the shapes, source [N] which of them. eyes: [N, 3] camera
            positions. step: pixel pitch at depth 1. light: see `mesh.render_mesh`.

    Returns:
        Whether something may still be seen behind this layer.
    """
    more = np.zeros(out.shape[:2], np.bool_)
    _shade(
        found.face,
        found.bary,
        found.depth,
        scene.faces,
        scene.face_part,
        scene.detail,
        vertices,
        normals,
        scene.uv,
        scene.colours,
        scene.materials,
        scene.texels,
        scene.textures,
        source,
        eyes,
        step,
        light == "studio",
        light_table(),
        out,
        more,
    )
    return bool(more.any())


@njit(parallel=True, cache=True, error_model="numpy")
def _shade(
    face,
    bary,
    depth,
    faces,
    face_part,
    detail,
    vertices,
    normals,
    uv,
    colours,
    materials,
    texels,
    textures,
    source,
    eyes,
    step,
    lit,
    lights,
    out,
    more,
):
    count, height, width = face.shape
    for row in prange(count * height):
        n, y = row // height, row % height
        for x in range(width):
            t = face[n, y, x]
            if t < 0 or out[n, y, x, 3] >= _FULL:
                continue
            part = face_part[t]
            material = materials[part]
            i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
            w1, w2 = bary[n, y, x, 0], bary[n, y, x, 1]
            w0 = 1.0 - w1 - w2
            points = vertices[source[n]]
            nx, ny, nz, away = _normal(
                points, normals[source[n]], i, j, k, w0, w1, w2, eyes[n], material[_FLAT] > 0.0
            )
            r = w0 * colours[i, 0] + w1 * colours[j, 0] + w2 * colours[k, 0]
            g = w0 * colours[i, 1] + w1 * colours[j, 1] + w2 * colours[k, 1]
            b = w0 * colours[i, 2] + w1 * colours[j, 2] + w2 * colours[k, 2]
            a = w0 * colours[i, 3] + w1 * colours[j, 3] + w2 * colours[k, 3]
            r, g, b, a = r * material[0], g * material[1], b * material[2], a * material[_ALPHA]
            if textures[part, LEVELS] > 0:
                u = w0 * uv[i, 0] + w1 * uv[j, 0] + w2 * uv[k, 0]
                v = w0 * uv[i, 1] + w1 * uv[j, 1] + w2 * uv[k, 1]
                # A pixel shows an area of (step · depth)² · depth / away.
                distance = depth[n, y, x]
                spread = (
                    detail[t] * step * distance * np.sqrt(distance / max(away, 0.05 * distance))
                )
                level = np.log2(max(spread, 1e-6))
                tr, tg, tb, ta = _sample(texels, textures[part], u, v, level)
                inverse = 1.0 / max(ta, 1e-6)
                r, g, b, a = r * tr * inverse, g * tg * inverse, b * tb * inverse, a * ta
            mode = int(material[_MODE])
            if mode == _MASK:
                a = 1.0 if a >= material[_CUTOFF] else 0.0
            elif mode != _BLEND:
                a = 1.0
            if lit and material[_UNLIT] == 0.0:
                light = light_at(nx, ny, nz, lights)
                r, g, b = r * light[0], g * light[1], b * light[2]
            share = (1.0 - out[n, y, x, 3]) * a
            out[n, y, x, 0] += share * encode(r)
            out[n, y, x, 1] += share * encode(g)
            out[n, y, x, 2] += share * encode(b)
            out[n, y, x, 3] += share
            if out[n, y, x, 3] < _FULL:
                more[n, y] = True


@njit(cache=True, error_model="numpy")
def _normal(points, normals, i, j, k, w0, w1, w2, eye, flat):
    """Unit world normal on the seen side, and the eye's distance from the face's plane."""
    ax, ay, az = points[i, 0], points[i, 1], points[i, 2]
    bx, by, bz = points[j, 0] - ax, points[j, 1] - ay, points[j, 2] - az
    cx, cy, cz = points[k, 0] - ax, points[k, 1] - ay, points[k, 2] - az
    # A face that is seen is seen from its front.
    fx, fy, fz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    length = max(np.sqrt(fx * fx + fy * fy + fz * fz), 1e-30)
    fx, fy, fz = fx / length, fy / length, fz / length
    away = fx * (eye[0] - ax) + fy * (eye[1] - ay) + fz * (eye[2] - az)
    if flat:
        return fx, fy, fz, away
    x = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
    y = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
    z = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
    length = np.sqrt(x * x + y * y + z * z)
    if length < 1e-12:
        return fx, fy, fz, away
    # The back of a two-sided face is stored as a face of its own, with the front's normals.
    side = 1.0 if x * fx + y * fy + z * fz >= 0.0 else -1.0
    length *= side
    return x / length, y / length, z / length, away


@njit(cache=True, error_model="numpy")
def _sample(texels, texture, u, v, level):
    """Premultiplied linear RGBA at texture coordinates, between texels and between two levels."""
    last = texture[LEVELS] - 1
    level = min(max(level, 0.0), float(last))
    low = int(level)
    share = level - low
    start, width, height = texture[START], texture[WIDTH], texture[HEIGHT]
    for _ in range(low):
        start += width * height
        width, height = max(width // 2, 1), max(height // 2, 1)
    wrap_u, wrap_v = texture[WRAP_U], texture[WRAP_V]
    r, g, b, a = _bilinear(texels, start, width, height, wrap_u, wrap_v, u, v)
    if share > 0.0:
        start += width * height
        width, height = max(width // 2, 1), max(height // 2, 1)
        r2, g2, b2, a2 = _bilinear(texels, start, width, height, wrap_u, wrap_v, u, v)
        r, g = r + share * (r2 - r), g + share * (g2 - g)
        b, a = b + share * (b2 - b), a + share * (a2 - a)
    return r, g, b, a


@njit(cache=True, error_model="numpy")
def _bilinear(texels, start, width, height, wrap_u, wrap_v, u, v):
    """As `_sample`, within one level."""
    px, py = u * width - 0.5, v * height - 0.5
    x0, y0 = int(np.floor(px)), int(np.floor(py))
    sx, sy = px - x0, py - y0
    xa, xb = _wrapped(x0, width, wrap_u), _wrapped(x0 + 1, width, wrap_u)
    ya, yb = _wrapped(y0, height, wrap_v), _wrapped(y0 + 1, height, wrap_v)
    p, q = texels[start + ya * width + xa], texels[start + ya * width + xb]
    s, t = texels[start + yb * width + xa], texels[start + yb * width + xb]
    w00, w10, w01, w11 = (1 - sx) * (1 - sy), sx * (1 - sy), (1 - sx) * sy, sx * sy
    return (
        w00 * p[0] + w10 * q[0] + w01 * s[0] + w11 * t[0],
        w00 * p[1] + w10 * q[1] + w01 * s[1] + w11 * t[1],
        w00 * p[2] + w10 * q[2] + w01 * s[2] + w11 * t[2],
        w00 * p[3] + w10 * q[3] + w01 * s[3] + w11 * t[3],
    )


@njit(cache=True)
def _wrapped(index, size, wrap):
    """The texel that stands for `index`."""
    if wrap == _CLAMP:
        return min(max(index, 0), size - 1)
    if wrap == _MIRROR:
        index %= 2 * size
        return index if index < size else 2 * size - 1 - index
    return index % size
