"""Tracked surface points: where the same spots of a character are in the world and in the images.

The visibility of a point is decided on depth images of at least 256 pixels height, so that it
hardly depends on the size of the pictures it is used with.
"""

from dataclasses import dataclass

import numpy as np

from animate124.geometry.cameras import Cameras
from animate124.kernels.raster import rasterize
from animate124.toybox.clip import Clip
from animate124.toybox.flow import seen_points
from animate124.toybox.meshes import Mesh, clip_mesh
from animate124.toybox.posing import Posed, camera_matrices, pose_mesh
from animate124.toybox.rig import Rig
from animate124.toybox.solids import hidden

_DEPTH_HEIGHT = 256


@dataclass(frozen=True, eq=False)
class Tracks:
    """P points over F times in V cameras.

    `world` [F, P, 3] float32 positions; `xy` [V, F, P, 2] float32 pixels (x right, y down, pixel
    centres at +0.5; (0, 0) for a point behind the camera); `visible` [V, F, P] bool, inside
    the image and in front of everything else; `part` [P] int32, index of the rig's part.
    """

    world: np.ndarray
    xy: np.ndarray
    visible: np.ndarray
    part: np.ndarray


def tracks(
    clip: Clip, times: np.ndarray, cameras: Cameras, count: int, generator: np.random.Generator
) -> Tracks:
    """Follow `count` points, drawn uniformly by area from the outer surface of the rest character.

    Args:
        times: [F] in [0, 1]. generator: the only source of randomness.
    """
    mesh = clip_mesh(clip)
    face, bary = sample_surface(clip.rig, mesh, count, generator)
    posed = pose_mesh(clip, mesh, np.asarray(times, float))
    corners = mesh.faces[face]
    world = np.stack(
        [np.einsum("pk,pki->pi", bary, posed.world(mesh, f)[corners]) for f in range(len(times))]
    )
    views = camera_matrices(cameras, posed.matrices)
    shape = (len(cameras), len(times), count)
    xy = np.zeros((*shape, 2), np.float32)
    visible = np.zeros(shape, bool)
    for v in range(len(cameras)):
        depth = _depth(mesh, posed, views[v], cameras)
        xy[v], visible[v] = seen_points(
            mesh,
            posed,
            views[v],
            cameras.fov_y,
            cameras.height,
            face,
            bary,
            depth,
        )
    return Tracks(world.astype(np.float32), xy, visible, mesh.face_part[face])


def sample_surface(
    rig: Rig, mesh: Mesh, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [count] int32 and barycentric weights [count, 3] of area-uniform surface points.

    Points inside another part are drawn again. Weights as in Osada et al. 2002, equation 1.
    """
    corners = mesh.rest[mesh.faces]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    faces, weights, found = [], [], 0
    while found < count:
        face = generator.choice(len(area), size=2 * count, p=area / area.sum())
        root, other = np.sqrt(generator.random(2 * count)), generator.random(2 * count)
        bary = np.stack([1 - root, root * (1 - other), root * other], axis=1)
        points = np.einsum("pk,pki->pi", bary, corners[face])
        outer = ~hidden(rig, points, mesh.face_part[face])
        faces.append(face[outer])
        weights.append(bary[outer])
        found += int(outer.sum())
    return np.concatenate(faces)[:count].astype(np.int32), np.concatenate(weights)[:count]


def _depth(mesh: Mesh, posed: Posed, matrices: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Depth images [F, h, w] of one view, a whole multiple of the camera's size."""
    factor = max(-(-_DEPTH_HEIGHT // cameras.height), 1)
    return rasterize(
        posed.vertices,
        mesh.faces,
        mesh.joint,
        matrices,
        posed.source,
        cameras.fov_y,
        cameras.height * factor,
        cameras.width * factor,
    ).depth
