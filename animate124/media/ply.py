"""PLY files: 3D Gaussian clouds in the field names every Gaussian viewer knows, and meshes.

Written as binary little endian; read as binary of either order or as text.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.files import write_bytes
from animate124.media.glb.model import MeshPart

_SCALARS = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
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
    vertex = _read_elements(Path(path), ("vertex",))["vertex"]
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
    """Read a triangle mesh with its normals and vertex colours; its name is the file's stem.

    Raises:
        UserError: missing, damaged or cut-short file, no faces, faces that are not triangles.
    """
    path = Path(path)
    elements = _read_elements(path, ("vertex", "face"))
    vertex, face = elements["vertex"], elements["face"]
    corners = face.get("vertex_indices", face.get("vertex_index"))
    if corners is None or corners.ndim != 2 or corners.shape[1] != 3 or not set("xyz") <= {*vertex}:
        raise UserError(f"The PLY file {path} is no triangle mesh: export it triangulated.")

    def stack(*names: str) -> np.ndarray | None:
        if not all(name in vertex for name in names):
            return None
        values = np.stack([vertex[name] for name in names], axis=1)
        scale = 255.0 if values.dtype == np.uint8 else 1.0
        return values.astype(np.float32) / np.float32(scale)

    colors = stack("red", "green", "blue", "alpha")
    try:
        return MeshPart(
            name=path.stem,
            vertices=stack("x", "y", "z"),
            faces=corners.astype(np.int64),
            normals=stack("nx", "ny", "nz"),
            colors=stack("red", "green", "blue") if colors is None else colors,
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


def _read_elements(path: Path, wanted: tuple[str, ...]) -> dict[str, dict[str, np.ndarray]]:
    """Columns of the wanted elements: scalars [N], lists [N, L] (all of one length L)."""
    if not path.is_file():
        raise UserError(f"The PLY file {path} does not exist: check the path.")
    try:
        data = path.read_bytes()
    except PermissionError as error:
        raise UserError(f"The PLY file {path} may not be read: change its permissions.") from error
    try:
        order, elements, start = _parse_header(data)
        missing = [name for name in wanted if name not in [element[0] for element in elements]]
        if missing:
            raise ValueError(f"no element {missing[0]!r}")
        found: dict[str, dict[str, np.ndarray]] = {}
        words = data[start:].split() if order == "" else []
        for name, count, properties in elements:
            if order == "":
                columns, words = _take_text(words, count, properties)
            else:
                columns, start = _take_binary(data, start, order, count, properties)
            if name in wanted:
                found[name] = columns
            if len(found) == len(wanted):
                break
    except (ValueError, IndexError, KeyError, UnicodeDecodeError, OverflowError) as error:
        raise UserError(
            f"The PLY file {path} is damaged, cut short or not a PLY file ({error}): export it "
            "again."
        ) from error
    return found


# One property: name, dtype of the value, dtype of a list's length (None for a scalar).
_Property = tuple[str, str, str | None]


def _parse_header(data: bytes) -> tuple[str, list[tuple[str, int, list[_Property]]], int]:
    """Byte order ("" for text), elements in file order, and where the data starts."""
    if not data.startswith(b"ply"):
        raise ValueError("it does not begin with 'ply'")
    end = data.find(b"end_header")
    if end < 0:
        raise ValueError("the header has no end")
    order = None
    elements: list[tuple[str, int, list[_Property]]] = []
    for line in data[:end].decode("ascii").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            order = _ORDERS[words[1]]
        elif words[0] == "element" and int(words[2]) > 0:
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and words[1] == "list":
            elements[-1][2].append((words[4], _SCALARS[words[3]], _SCALARS[words[2]]))
        elif words[0] == "property":
            elements[-1][2].append((words[2], _SCALARS[words[1]], None))
        else:
            raise ValueError(f"the header line {line!r} means nothing")
    if order is None:
        raise ValueError("the header names no format")
    return order, elements, data.index(b"\n", end) + 1


def _take_binary(
    data: bytes, start: int, order: str, count: int, properties: list[_Property]
) -> tuple[dict[str, np.ndarray], int]:
    """One element's columns and where the next element starts."""
    # Every list must be as long as in the first record: then the records are one array.
    layout: list[tuple] = []
    position = start
    for name, kind, length_kind in properties:
        if length_kind is None:
            layout.append((name, order + kind))
            position += np.dtype(kind).itemsize
            continue
        length_type = np.dtype(order + length_kind)
        length = int(np.frombuffer(data, length_type, 1, position)[0])
        layout += [(f"{name} length", length_type), (name, order + kind, (length,))]
        position += length_type.itemsize + length * np.dtype(kind).itemsize
    table = np.frombuffer(data, np.dtype(layout), count, start)
    for name, _, length_kind in properties:
        if length_kind and (table[f"{name} length"] != table[name].shape[1]).any():
            raise ValueError(f"the lists {name!r} have several lengths")
    columns = {name: table[name].astype(kind) for name, kind, _ in properties}
    return columns, start + table.nbytes


def _take_text(
    words: list[bytes], count: int, properties: list[_Property]
) -> tuple[dict[str, np.ndarray], list[bytes]]:
    """One element's columns and the words that follow it."""
    width = 0
    spans = []
    for _, _, length_kind in properties:
        length = 1 if length_kind is None else int(words[width])
        begin = width + (length_kind is not None)
        spans.append((begin, begin + length))
        width = begin + length
    if width * count > len(words):
        raise ValueError(f"{len(words)} numbers instead of {width * count}")
    table = np.array(words[: width * count], dtype="f8").reshape(count, width)
    columns = {}
    for (name, kind, length_kind), (begin, end) in zip(properties, spans, strict=True):
        values = table[:, begin:end].astype(kind)
        if length_kind and (table[:, begin - 1] != end - begin).any():
            raise ValueError(f"the lists {name!r} have several lengths")
        columns[name] = values if length_kind else values[:, 0]
    return columns, words[width * count :]
