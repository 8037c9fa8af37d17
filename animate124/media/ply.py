"""PLY files: 3D Gaussian clouds in the field names every Gaussian viewer knows, and meshes.

Written as binary little endian; read as binary of either order or as text.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.files import write_bytes
from animate124.media.glb.material import Material
from animate124.media.glb.model import MeshPart
from animate124.media.ply_elements import NO_ITEM, read_elements, read_header
from animate124.media.polygons import triangulate

_SH_COUNTS = (1, 4, 9, 16)


@dataclass(frozen=True)
class GaussianArrays:
    """N Gaussians as 3D Gaussian Splatting stores them (Kerbl et al. 2023), before activation.

    positions [N, 3]; sh [N, K, 3] spherical harmonics, K = 1, 4, 9 or 16 coefficients for each of
    R, G, B (colour = 0.5 + 0.28209479·sh[:, 0] for K = 1); opacity_logits [N]; log_scales [N, 3];
    rotations [N, 4] quaternions (w, x, y, z), of any length.

    Raises:
        ValueError: arrays that do not fit together, or values that are not finite.
    """

    positions: np.ndarray
    sh: np.ndarray
    opacity_logits: np.ndarray
    log_scales: np.ndarray
    rotations: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.positions)
        if np.ndim(self.sh) != 3 or np.shape(self.sh)[1] not in _SH_COUNTS:
            raise ValueError(f"sh must be [N, 1|4|9|16, 3], got {np.shape(self.sh)}")
        shapes = {
            "positions": (count, 3),
            "sh": (count, np.shape(self.sh)[1], 3),
            "opacity_logits": (count,),
            "log_scales": (count, 3),
            "rotations": (count, 4),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if np.shape(value) != shape:
                raise ValueError(f"{name} must be {shape}, got {np.shape(value)}")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds NaN or infinity")


def write_gaussians(path: str | os.PathLike, gaussians: GaussianArrays) -> None:
    """Write a Gaussian cloud atomically: x y z, nx ny nz (zero), f_dc_*, f_rest_* (all red, then
    all green, then all blue coefficients), opacity, scale_*, rot_*, all float32.

    Raises:
        UserError: the file cannot be written.
    """
    count, coefficients = np.shape(gaussians.sh)[:2]
    rest = np.swapaxes(gaussians.sh[:, 1:], 1, 2).reshape(count, -1)
    columns = (
        gaussians.positions,
        np.zeros((count, 3)),
        gaussians.sh[:, 0],
        rest,
        np.reshape(gaussians.opacity_logits, (-1, 1)),
        gaussians.log_scales,
        gaussians.rotations,
    )
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in _gaussian_fields(coefficients)]
    table = np.concatenate([np.asarray(c, "<f4") for c in columns], axis=1)
    write_bytes(path, _header_bytes(header) + table.astype("<f4").tobytes())


def read_gaussians(path: str | os.PathLike) -> GaussianArrays:
    """Read a Gaussian cloud; missing f_rest_* fields mean K = 1.

    Raises:
        UserError: missing, damaged or cut-short file, missing fields, or values not finite.
    """
    vertex = read_elements(Path(path), ("vertex",))["vertex"]
    rest_count = sum(name.startswith("f_rest_") for name in vertex)
    coefficients = rest_count // 3 + 1
    if coefficients not in _SH_COUNTS or rest_count % 3:
        raise UserError(
            f"The PLY file {path} has {rest_count} f_rest_* fields, not 0, 9, 24 or 45: export the "
            "Gaussians again."
        )
    needed = [n for n in _gaussian_fields(coefficients) if not n.startswith("n")]
    missing = [name for name in needed if name not in vertex]
    if missing:
        raise UserError(
            f"The PLY file {path} is no Gaussian cloud (it lacks {', '.join(missing[:3])}): give a "
            "3D Gaussian Splatting PLY."
        )

    def stack(*names: str) -> np.ndarray:
        return np.stack([vertex[name] for name in names], axis=1).astype(np.float32)

    count = len(vertex["x"])
    sh = np.empty((count, coefficients, 3), np.float32)
    sh[:, 0] = stack("f_dc_0", "f_dc_1", "f_dc_2")
    if rest_count:
        rest = stack(*(f"f_rest_{i}" for i in range(rest_count)))
        sh[:, 1:] = np.swapaxes(rest.reshape(count, 3, coefficients - 1), 1, 2)
    try:
        return GaussianArrays(
            positions=stack("x", "y", "z"),
            sh=sh,
            opacity_logits=vertex["opacity"].astype(np.float32),
            log_scales=stack("scale_0", "scale_1", "scale_2"),
            rotations=stack("rot_0", "rot_1", "rot_2", "rot_3"),
        )
    except ValueError as error:
        raise UserError(f"The PLY file {path} is unusable ({error}): export it again.") from error


def holds_gaussians(path: Path) -> bool:
    """Whether a file is a PLY of Gaussians. Raises UserError for a PLY without a header."""
    return path.suffix.lower() == ".ply" and "f_dc_0" in read_header(path).get("vertex", ())


def write_mesh(path: str | os.PathLike, part: MeshPart) -> None:
    """Write a triangle mesh with its normals and its vertex colours (8-bit sRGB) atomically.

    Textures, texture coordinates and morph targets have no place in a PLY and are left out; so is
    the base colour.

    Raises:
        UserError: the file cannot be written.
    """
    fields = [(name, "float", "<f4", part.vertices[:, i]) for i, name in enumerate("xyz")]
    if part.normals is not None:
        names = ("nx", "ny", "nz")
        fields += [(name, "float", "<f4", part.normals[:, i]) for i, name in enumerate(names)]
    if part.colors is not None:
        bytes_ = np.rint(np.clip(part.colors, 0, 1) * 255)
        names = ("red", "green", "blue", "alpha")[: bytes_.shape[1]]
        fields += [(name, "uchar", "u1", bytes_[:, i]) for i, name in enumerate(names)]
    table = np.empty(len(part.vertices), [(name, dtype) for name, _, dtype, _ in fields])
    for name, _, _, column in fields:
        table[name] = column
    faces = np.empty(len(part.faces), [("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, part.faces
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    header += [f"property {kind} {name}" for name, kind, _, _ in fields]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    write_bytes(path, _header_bytes(header) + table.tobytes() + faces.tobytes())


def read_mesh(path: str | os.PathLike) -> MeshPart:
    """Read a mesh with its normals and vertex colours; its name is the file's stem.

    Polygons become triangles, and both sides of every face are to be seen.

    Raises:
        UserError: missing, damaged or cut-short file, no faces.
    """
    path = Path(path)
    elements = read_elements(path, ("vertex", "face"))
    vertex, face = elements["vertex"], elements["face"]
    corners = face.get("vertex_indices", face.get("vertex_index"))
    if corners is None or corners.ndim != 2 or not set("xyz") <= {*vertex}:
        raise UserError(f"The PLY file {path} is no mesh: export it as a triangle mesh.")

    def stack(*names: str) -> np.ndarray | None:
        if not all(name in vertex for name in names):
            return None
        values = np.stack([vertex[name] for name in names], axis=1)
        scale = 255.0 if values.dtype == np.uint8 else 1.0
        return values.astype(np.float32) / np.float32(scale)

    colors = stack("red", "green", "blue", "alpha")
    vertices, corners = stack("x", "y", "z"), corners.astype(np.int64)
    used = corners != NO_ITEM
    flat = corners[used]
    try:
        if len(flat) and (flat.min() < 0 or flat.max() >= len(vertices)):
            raise ValueError(f"a face names a vertex outside 0 to {len(vertices) - 1}")
        return MeshPart(
            name=path.stem,
            vertices=vertices,
            faces=flat[triangulate(vertices, flat, used.sum(1))],
            normals=stack("nx", "ny", "nz"),
            colors=stack("red", "green", "blue") if colors is None else colors,
            material=Material(double_sided=True),
        )
    except ValueError as error:
        raise UserError(f"The PLY file {path} is unusable ({error}): export it again.") from error


def _gaussian_fields(coefficients: int) -> list[str]:
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{i}" for i in range(3 * (coefficients - 1))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    return names


def _header_bytes(lines: list[str]) -> bytes:
    return "\n".join([*lines, "end_header\n"]).encode("ascii")
