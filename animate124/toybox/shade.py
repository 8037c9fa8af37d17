"""Light on painted fragments, and subsamples to pixels.

The light is fixed in the world and depends on the normal alone (no view, no shadow), so that a
field without view dependence can reproduce every image: a hemisphere of sky and ground light plus
one lamp above the front, on the viewer's left, wrapped around the whole ball as "half Lambert"
(Mitchell, McTaggart and Green, "Shading in Valve's Source Engine", 2006): no terminator line.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

# Linear light. What faces the lamp gets 1.0 in all, so white paint there is sRGB 1.
SKY = (0.54, 0.57, 0.62)
GROUND = (0.40, 0.37, 0.35)
LAMP = (0.49, 0.46, 0.41)
LAMP_DIRECTION = (-0.42, 0.62, 0.66)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Resolved images: `rgb` [N, H, W, 3] sRGB over the background, `alpha`, `depth` [N, H, W],
    `normal` [N, H, W, 3], float32; and the fragment that stands for each pixel: `face` [N, H, W]
    int32 (−1 for none), `bary` [N, H, W, 2] float32.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    normal: np.ndarray
    face: np.ndarray
    bary: np.ndarray

    @staticmethod
    def empty(count: int, height: int, width: int) -> "Pixels":
        """Uninitialised storage for `count` images."""
        shape = (count, height, width)
        return Pixels(
            rgb=np.empty((*shape, 3), np.float32),
            alpha=np.empty(shape, np.float32),
            depth=np.empty(shape, np.float32),
            normal=np.empty((*shape, 3), np.float32),
            face=np.empty(shape, np.int32),
            bary=np.empty((*shape, 2), np.float32),
        )


def resolve(
    fragments,
    albedo: np.ndarray,
    faces: np.ndarray,
    joint: np.ndarray,
    normals: np.ndarray,
    source: np.ndarray,
    normal_matrices: np.ndarray,
    samples: int,
    background: tuple[float, float, float],
    out: Pixels,
    start: int,
) -> None:
    """Light N supersampled images and box-filter them into `out[start : start + N]`.

    rgb is the mean of the subsamples' sRGB colours, with the background where a subsample hits
    nothing; alpha is the share that hits. Depth, normal, face and bary belong to one subsample, so
    that they describe one true surface point: of those that hit, the one closest to the pixel
    centre, and of equally close ones the nearest to the camera.

    Args:
        fragments: `kernels.raster.Fragments` at [N, H·samples, W·samples].
        albedo: [N, H·samples, W·samples, 3] float32 linear.
        faces, joint: of the mesh. normals: [M, V, 3] rest normals, source: [N] which of the M.
        normal_matrices: [N, J, 3, 3], rest normals to world normals of any length.
        samples: subsamples per pixel side. background: sRGB.
    """
    _resolve(
        fragments.face,
        fragments.bary,
        fragments.depth,
        albedo,
        faces,
        joint,
        normals,
        source,
        normal_matrices,
        samples,
        np.asarray(background, float),
        light_table(),
        start,
        out.rgb,
        out.alpha,
        out.depth,
        out.normal,
        out.face,
        out.bary,
    )


def light_table() -> np.ndarray:
    """What `light_at` takes: sky, ground, lamp and the unit direction to the lamp, [4, 3]."""
    direction = np.asarray(LAMP_DIRECTION) / np.linalg.norm(LAMP_DIRECTION)
    return np.stack([SKY, GROUND, LAMP, direction])


@njit(cache=True, error_model="numpy")
def light_at(nx, ny, nz, lights):
    """Linear light (r, g, b) on a surface with a unit world normal, from `light_table`."""
    lamp = nx * lights[3, 0] + ny * lights[3, 1] + nz * lights[3, 2]
    lamp = (0.5 + 0.5 * lamp) ** 2
    sky = 0.5 + 0.5 * ny
    return (
        sky * lights[0, 0] + (1.0 - sky) * lights[1, 0] + lamp * lights[2, 0],
        sky * lights[0, 1] + (1.0 - sky) * lights[1, 1] + lamp * lights[2, 1],
        sky * lights[0, 2] + (1.0 - sky) * lights[1, 2] + lamp * lights[2, 2],
    )


@njit(parallel=True, cache=True, error_model="numpy")
def _resolve(
    face,
    bary,
    depth,
    albedo,
    faces,
    joint,
    normals,
    source,
    turns,
    samples,
    background,
    lights,
    start,
    out_rgb,
    out_alpha,
    out_depth,
    out_normal,
    out_face,
    out_bary,
):
    share = 1.0 / (samples * samples)
    for n in prange(face.shape[0]):
        rest = normals[source[n]]
        to = start + n
        for y in range(out_alpha.shape[1]):
            for x in range(out_alpha.shape[2]):
                hits, closest = 0, 0
                pick_y, pick_x = -1, -1
                r, g, b = 0.0, 0.0, 0.0
                out_normal[to, y, x] = 0.0
                for sy in range(samples):
                    for sx in range(samples):
                        iy, ix = y * samples + sy, x * samples + sx
                        t = face[n, iy, ix]
                        if t < 0:
                            continue
                        hits += 1
                        w1, w2 = bary[n, iy, ix, 0], bary[n, iy, ix, 1]
                        nx, ny, nz = _normal(faces[t], w1, w2, rest, turns[n, joint[faces[t, 0]]])
                        light = light_at(nx, ny, nz, lights)
                        for k in range(3):
                            value = encode(light[k] * albedo[n, iy, ix, k])
                            if k == 0:
                                r += value
                            elif k == 1:
                                g += value
                            else:
                                b += value
                        off = (2 * sy + 1 - samples) ** 2 + (2 * sx + 1 - samples) ** 2
                        if (
                            pick_y < 0
                            or off < closest
                            or (off == closest and depth[n, iy, ix] < depth[n, pick_y, pick_x])
                        ):
                            closest, pick_y, pick_x = off, iy, ix
                            out_normal[to, y, x, 0] = nx
                            out_normal[to, y, x, 1] = ny
                            out_normal[to, y, x, 2] = nz
                alpha = hits * share
                out_alpha[to, y, x] = alpha
                out_rgb[to, y, x, 0] = r * share + (1.0 - alpha) * background[0]
                out_rgb[to, y, x, 1] = g * share + (1.0 - alpha) * background[1]
                out_rgb[to, y, x, 2] = b * share + (1.0 - alpha) * background[2]
                if hits > 0:
                    out_depth[to, y, x] = depth[n, pick_y, pick_x]
                    out_face[to, y, x] = face[n, pick_y, pick_x]
                    out_bary[to, y, x, 0] = bary[n, pick_y, pick_x, 0]
                    out_bary[to, y, x, 1] = bary[n, pick_y, pick_x, 1]
                else:
                    out_depth[to, y, x] = 0.0
                    out_face[to, y, x] = -1
                    out_bary[to, y, x] = 0.0


@njit(cache=True, error_model="numpy")
def _normal(corners, w1, w2, rest, turn):
    """Unit world normal of a point with weights w1, w2 of its triangle's last two corners."""
    w0 = 1.0 - w1 - w2
    i, j, k = corners[0], corners[1], corners[2]
    x = w0 * rest[i, 0] + w1 * rest[j, 0] + w2 * rest[k, 0]
    y = w0 * rest[i, 1] + w1 * rest[j, 1] + w2 * rest[k, 1]
    z = w0 * rest[i, 2] + w1 * rest[j, 2] + w2 * rest[k, 2]
    nx = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
    ny = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
    nz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-30)
    return nx / length, ny / length, nz / length


@njit(cache=True)
def encode(linear):
    """Linear light to sRGB in [0, 1] (IEC 61966-2-1)."""
    if linear <= 0.0031308:
        return 12.92 * linear
    return min(1.055 * linear ** (1.0 / 2.4) - 0.055, 1.0)
