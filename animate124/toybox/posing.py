"""A clip at given times: deformed rest vertices and the matrices that pose them."""

from dataclasses import dataclass

import numpy as np

from animate124.geometry.cameras import Cameras
from animate124.toybox.clip import Clip
from animate124.toybox.meshes import Mesh, smooth_normals
from animate124.toybox.rig import joint_matrices


@dataclass(frozen=True, eq=False)
class Posed:
    """A mesh at F times.

    `vertices` and `normals` [M, V, 3] float64 in rest space, M = F when the clip deforms and 1
    otherwise; `source` [F] int32 says which of the M belongs to a frame; `matrices` [F, J, 4, 4]
    rest world to posed world per joint.
    """

    vertices: np.ndarray
    normals: np.ndarray
    source: np.ndarray
    matrices: np.ndarray

    def world(self, mesh: Mesh, frame: int) -> np.ndarray:
        """Posed world positions [V, 3] of the mesh's vertices at `frame`."""
        matrices = self.matrices[frame][mesh.joint]
        rest = self.vertices[self.source[frame]]
        return np.einsum("vij,vj->vi", matrices[:, :3, :3], rest) + matrices[:, :3, 3]

    def world_normals(self, mesh: Mesh, frame: int) -> np.ndarray:
        """Posed unit normals [V, 3] of the mesh's vertices at `frame`."""
        turns = self.normal_matrices()[frame][mesh.joint]
        normals = np.einsum("vij,vj->vi", turns, self.normals[self.source[frame]])
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)

    def normal_matrices(self) -> np.ndarray:
        """What turns rest normals into (unnormalised) world normals [F, J, 3, 3]: the cofactors.

        They equal det · inverse transpose and exist even where a joint is scaled to nothing.
        """
        a = self.matrices[..., :3, :3]
        rows = [np.cross(a[..., (k + 1) % 3, :], a[..., (k + 2) % 3, :]) for k in range(3)]
        return np.stack(rows, axis=-2)


def pose_mesh(clip: Clip, mesh: Mesh, times: np.ndarray) -> Posed:
    """The clip's mesh at `times` [F] in [0, 1].

    Raises ValueError when the clip's pose mirrors a joint or its deformation breaks the vertices.
    """
    matrices = np.stack([joint_matrices(clip.rig, clip.pose(float(t))) for t in times])
    if (np.linalg.det(matrices[..., :3, :3]) < 0).any():
        raise ValueError(f"{clip.species}/{clip.motion}: a joint has a mirroring scale")
    if clip.deform is None:
        source = np.zeros(len(times), np.int32)
        return Posed(mesh.rest[None], mesh.normals[None], source, matrices)
    # A copy each time: a deformation may work in place, and the mesh is cached.
    vertices = np.stack([np.asarray(clip.deform(mesh.rest.copy(), float(t))) for t in times])
    vertices = vertices.astype(float)
    if vertices.shape[1:] != mesh.rest.shape or not np.isfinite(vertices).all():
        raise ValueError(f"{clip.species}/{clip.motion}: deform returned {vertices.shape} or NaN")
    normals = np.stack([smooth_normals(mesh, v) for v in vertices])
    return Posed(vertices, normals, np.arange(len(times), dtype=np.int32), matrices)


def camera_matrices(cameras: Cameras, matrices: np.ndarray) -> np.ndarray:
    """Rest world to camera space [V, F, J, 3, 4] float64 of joint matrices [F, J, 4, 4]."""
    poses = cameras.c2w.cpu().numpy().astype(np.float64)
    turn = poses[:, :3, :3].transpose(0, 2, 1)
    to_camera = np.concatenate([turn, -turn @ poses[:, :3, 3:]], axis=2)
    return to_camera[:, None, None] @ matrices[None]
