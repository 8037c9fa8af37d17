"""Exact correspondences: where surface points are, and whether they are seen, at another time.

A surface point is a triangle and its barycentric weights; posed at another time it is the same
point of the character, so its motion has no matching error.
"""

import numpy as np
from numba import njit, prange

from animate124.toybox.meshes import Mesh
from animate124.toybox.posing import Posed

# How far (world units) a point may lie behind what the depth image shows and still be seen there.
_SLACK = 0.01


def optical_flow(
    mesh: Mesh,
    posed: Posed,
    views: np.ndarray,
    fov_y: float,
    face: np.ndarray,
    bary: np.ndarray,
    depth: np.ndarray,
    next_frame: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Motion of each pixel's surface point to another frame of the same view.

    Args:
        views: [V, F, J, 3, 4] rest world to camera. fov_y: degrees.
        face, bary, depth: [V, F, H, W], [V, F, H, W, 2], [V, F, H, W], what the pixels show.
        next_frame: [F] frame to which the flow points, −1 for none.

    Returns:
        flow [V, F, H, W, 2] float32 pixels (x right, y down) and visible [V, F, H, W, 1] float32: 1
        where the surface faces the camera in the other frame, lies inside the image and is not
        behind what all four neighbouring pixels show. Both 0 where nothing is hit or follows.
    """
    flow = np.zeros((*face.shape, 2), np.float32)
    visible = np.zeros((*face.shape, 1), np.float32)
    step = 2.0 * np.tan(np.radians(fov_y) / 2.0) / face.shape[2]
    follow = np.asarray(next_frame, np.int32)
    _flow(
        posed.vertices,
        posed.source,
        mesh.faces,
        mesh.joint,
        views,
        step,
        face,
        bary,
        depth,
        follow,
        flow,
        visible,
    )
    return flow, visible


def seen_points(
    mesh: Mesh,
    posed: Posed,
    matrices: np.ndarray,
    fov_y: float,
    height: int,
    face: np.ndarray,
    bary: np.ndarray,
    depth: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates and visibility of surface points in one view at all times.

    Args:
        matrices: [F, J, 3, 4] rest world to camera. fov_y: degrees.
        height: of the images in whose pixels `xy` counts.
        face: [P] triangles; bary: [P, 3] weights of their corners.
        depth: [F, h, w] depth images of the same view, h a multiple of `height`.

    Returns:
        xy [F, P, 2] float32, (0, 0) behind the camera, and visible [F, P] bool.
    """
    xy = np.zeros((len(matrices), len(face), 2), np.float32)
    visible = np.zeros((len(matrices), len(face)), bool)
    step = 2.0 * np.tan(np.radians(fov_y) / 2.0) / depth.shape[1]
    _points(
        posed.vertices,
        posed.source,
        mesh.faces,
        mesh.joint,
        matrices,
        step,
        depth.shape[1] // height,
        face,
        bary,
        depth,
        xy,
        visible,
    )
    return xy, visible


@njit(parallel=True, cache=True, error_model="numpy")
def _points(vertices, source, faces, joint, matrices, step, factor, face, bary, depth, xy, visible):
    for f in prange(len(matrices)):
        height, width = depth.shape[1], depth.shape[2]
        for p in range(len(face)):
            rest = vertices[source[f]]
            at = _locate(faces[face[p]], bary[p, 1], bary[p, 2], rest, joint, matrices[f])
            if at[2] > 0.0:
                u = 0.5 * width + at[0] / (at[2] * step)
                w = 0.5 * height - at[1] / (at[2] * step)
                xy[f, p, 0], xy[f, p, 1] = u / factor, w / factor
                visible[f, p] = at[3] > 0.0 and _seen(u, w, at[2], depth[f])


@njit(parallel=True, cache=True, error_model="numpy")
def _flow(vertices, source, faces, joint, views, step, face, bary, depth, follow, flow, visible):
    frames, height, width = face.shape[1], face.shape[2], face.shape[3]
    for n in prange(face.shape[0] * frames):
        v, f = n // frames, n % frames
        g = follow[f]
        if g < 0:
            continue
        for y in range(height):
            for x in range(width):
                t = face[v, f, y, x]
                if t < 0:
                    continue
                w1, w2 = bary[v, f, y, x, 0], bary[v, f, y, x, 1]
                here = _locate(faces[t], w1, w2, vertices[source[f]], joint, views[v, f])
                there = _locate(faces[t], w1, w2, vertices[source[g]], joint, views[v, g])
                if here[2] <= 0.0 or there[2] <= 0.0:
                    continue
                u = 0.5 * width + there[0] / (there[2] * step)
                w = 0.5 * height - there[1] / (there[2] * step)
                flow[v, f, y, x, 0] = u - (0.5 * width + here[0] / (here[2] * step))
                flow[v, f, y, x, 1] = w - (0.5 * height - here[1] / (here[2] * step))
                if there[3] > 0.0 and _seen(u, w, there[2], depth[v, g]):
                    visible[v, f, y, x, 0] = 1.0


@njit(cache=True, error_model="numpy")
def _locate(corners, w1, w2, vertices, joint, matrices):
    """Camera-space (x, y, planar depth) of a surface point, and > 0 if its front is seen."""
    p = np.empty((3, 3))
    for k in range(3):
        v = corners[k]
        m = matrices[joint[v]]
        for i in range(3):
            p[k, i] = (
                m[i, 0] * vertices[v, 0]
                + m[i, 1] * vertices[v, 1]
                + m[i, 2] * vertices[v, 2]
                + m[i, 3]
            )
    w0 = 1.0 - w1 - w2
    x = w0 * p[0, 0] + w1 * p[1, 0] + w2 * p[2, 0]
    y = w0 * p[0, 1] + w1 * p[1, 1] + w2 * p[2, 1]
    z = w0 * p[0, 2] + w1 * p[1, 2] + w2 * p[2, 2]
    # The triple product a · (c × b) of the corners is positive when the triangle faces the camera.
    facing = (
        p[0, 0] * (p[2, 1] * p[1, 2] - p[2, 2] * p[1, 1])
        + p[0, 1] * (p[2, 2] * p[1, 0] - p[2, 0] * p[1, 2])
        + p[0, 2] * (p[2, 0] * p[1, 1] - p[2, 1] * p[1, 0])
    )
    return x, y, -z, facing


@njit(cache=True, error_model="numpy")
def _seen(u, w, z, depth):
    """Whether a point at pixel coordinates (u, w) and depth z is not hidden in `depth` [H, W].

    One of the four pixels around it must show nothing nearer: at an outline the point may lie on
    either side of what the pixel centres catch.
    """
    height, width = depth.shape
    if not (0.0 <= u < width and 0.0 <= w < height):
        return False
    x, y = int(np.floor(u - 0.5)), int(np.floor(w - 0.5))
    for j in range(max(y, 0), min(y + 2, height)):
        for i in range(max(x, 0), min(x + 2, width)):
            if depth[j, i] == 0.0 or z <= depth[j, i] + _SLACK:
                return True
    return False
