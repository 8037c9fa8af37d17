"""Read Wavefront OBJ files with their MTL materials and textures (specification 3.0, 1995)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.glb.material import Material
from animate124.media.glb.model import MeshPart
from animate124.media.polygons import triangulate

# Options of a texture statement and how many words follow each at most.
_OPTIONS = {"-s": 3, "-o": 3, "-t": 3, "-mm": 2, "-bm": 1, "-boost": 1, "-texres": 1}
_OPTIONS |= {"-blendu": 1, "-blendv": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-type": 1}
_NONE = -1  # a corner without texture coordinate or normal
# What wrong words make the parser raise; each becomes one sentence.
_DAMAGE = (ValueError, IndexError, OverflowError)


@dataclass
class _Look:
    """One material of an MTL file."""

    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    alpha: float = 1.0
    picture: Path | None = None


@dataclass
class _Faces:
    """The polygons of one material: corners (vertex, texture, normal) in a row, and their sizes."""

    corners: list[tuple[int, int, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


def read_obj(path: str | os.PathLike) -> tuple[MeshPart, ...]:
    """Read the polygons of an OBJ file, one part per material in the order of their first use.

    Polygons become triangles; vertices with a colour keep it; points, lines and curves are left
    out. Kd, d (or Tr) and map_Kd of a material count, colours as sRGB; both sides of every face are
    to be seen. Texture bytes are not decoded.

    Raises:
        UserError: missing, damaged or cut-short file, no faces, a vertex that is not there, a
            material or texture file that is missing, or values not finite.
    """
    path = Path(path)
    reader = _Reader(path)
    for number, words in _statements(path):
        try:
            reader.take(words)
        except _DAMAGE as error:
            raise UserError(
                f"The OBJ file {path} is damaged or cut short in line {number} ({error}): export "
                "it again."
            ) from error
    return reader.parts()


def _statements(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and words of every statement; a backslash continues a line."""
    if path.is_dir():
        raise UserError(f"The file {path} is a folder: give a file.")
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError as error:
        raise UserError(f"The file {path} does not exist: check the path.") from error
    except PermissionError as error:
        raise UserError(f"The file {path} may not be read: change its permissions.") from error
    if not text.strip():
        raise UserError(f"The file {path} is empty: give another file.")
    if "\0" in text:
        raise UserError(f"The file {path} is no text: export the asset as OBJ again.")
    held = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        words = (held + line).split("#", 1)[0].split()
        held = ""
        if words:
            yield number, words


class _Reader:
    """What has been read of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.positions: list[list[float]] = []
        self.colours: dict[int, list[float]] = {}
        self.textures: list[list[float]] = []
        self.normals: list[list[float]] = []
        self.looks: dict[str, _Look] = {}
        self.groups: dict[str, _Faces] = {}
        self.current = ""

    def take(self, words: list[str]) -> None:
        """One statement."""
        kind, rest = words[0], words[1:]
        if kind == "v":
            values = [float(word) for word in rest]
            if len(values) >= 6:
                self.colours[len(self.positions)] = values[3:6]
            self.positions.append(_first(values, 3))
        elif kind == "vt":
            self.textures.append(_first([*map(float, rest), 0.0][:2], 2))
        elif kind == "vn":
            self.normals.append(_first([float(word) for word in rest], 3))
        elif kind == "f":
            faces = self.groups.setdefault(self.current, _Faces())
            faces.corners += [self._corner(word) for word in rest]
            faces.sizes.append(len(rest))
        elif kind == "usemtl":
            self.current = " ".join(rest)
        elif kind == "mtllib":
            self.looks |= _read_materials(self.path, " ".join(rest))

    def _corner(self, word: str) -> tuple[int, int, int]:
        """Indices from 0 of a corner "v", "v/vt", "v//vn" or "v/vt/vn"."""
        pieces = [*word.split("/"), "", ""]
        known = (len(self.positions), len(self.textures), len(self.normals))
        found = []
        for piece, count in zip(pieces[:3], known, strict=True):
            if not piece:
                found.append(_NONE)
                continue
            number = int(piece)
            index = number - 1 if number > 0 else count + number
            if number == 0 or index < 0:
                raise ValueError(f"a face names number {number} of {count}")
            found.append(index)  # it may be defined further down
        if found[0] == _NONE:
            raise ValueError(f"a face has the corner {word!r}")
        return found[0], found[1], found[2]

    def parts(self) -> tuple[MeshPart, ...]:
        """All parts. Raises UserError."""
        try:
            made = [self._part(name, faces) for name, faces in self.groups.items()]
        except ValueError as error:
            raise UserError(
                f"The OBJ file {self.path} is damaged or cut short ({error}): export it again."
            ) from error
        found = tuple(part for part in made if part is not None)
        if not found:
            raise UserError(
                f"The OBJ file {self.path} has no faces (points and lines are not read): export a "
                "mesh."
            )
        return found

    def _part(self, name: str, faces: _Faces) -> MeshPart | None:
        corners = np.array(faces.corners, np.int64).reshape(-1, 3)
        positions = np.array(self.positions, np.float32).reshape(-1, 3)
        for column, known in ((0, positions), (1, self.textures), (2, self.normals)):
            if corners[:, column].max(initial=-1) >= len(known):
                worst = int(corners[:, column].max()) + 1
                raise ValueError(f"a face names number {worst} of {len(known)}")
        chosen = triangulate(positions, corners[:, 0], np.array(faces.sizes, np.int64))
        if len(chosen) == 0:
            return None
        # One vertex for every combination that occurs, in the order of the position's number.
        unique, inverse = np.unique(corners, axis=0, return_inverse=True)
        uv = normals = colours = None
        if (unique[:, 1] != _NONE).any():
            table = np.array([*self.textures, [0.0, 1.0]], np.float32)[unique[:, 1]]
            uv = np.stack([table[:, 0], 1.0 - table[:, 1]], axis=1)  # from the lower left corner
        if (unique[:, 2] != _NONE).all():
            normals = np.array(self.normals, np.float32)[unique[:, 2]]
        if self.colours:
            every = np.ones_like(positions)
            every[list(self.colours)] = np.array(list(self.colours.values()), np.float32)
            colours = every[unique[:, 0]]
        look = self.looks.get(name, _Look())
        texture = None
        if look.picture is not None and uv is not None:
            texture = look.picture.read_bytes()
        plain = name not in self.looks and colours is not None
        return MeshPart(
            name=name or self.path.stem,
            vertices=positions[unique[:, 0]],
            faces=inverse.reshape(-1)[chosen],
            normals=normals,
            uv=uv,
            colors=colours,
            texture=texture,
            base_color=(1.0, 1.0, 1.0, 1.0) if plain else (*look.colour, look.alpha),
            material=Material(double_sided=True),
        )


def _first(values: list[float], count: int) -> list[float]:
    if len(values) < count:
        raise ValueError(f"{len(values)} numbers instead of {count}")
    return values[:count]


def _read_materials(obj: Path, name: str) -> dict[str, _Look]:
    """The materials of an MTL file beside an OBJ file."""
    path = _beside(obj, name)
    if path is None:
        raise UserError(
            f"The OBJ file {obj} needs the material file {name}, which is missing: put it beside "
            "the OBJ, or delete the line that names it."
        )
    looks: dict[str, _Look] = {}
    look = _Look()
    for number, words in _statements(path):
        kind, rest = words[0].lower(), words[1:]
        try:
            if kind == "newmtl":
                look = looks.setdefault(" ".join(rest), _Look())
            elif kind == "kd":
                red, green, blue = (min(max(float(w), 0.0), 1.0) for w in [*rest, *rest, *rest][:3])
                look.colour = (red, green, blue)
            elif kind in ("d", "tr"):
                value = min(max(float(rest[-1]), 0.0), 1.0)
                look.alpha = value if kind == "d" else 1.0 - value
            elif kind == "map_kd":
                look.picture = _picture(path, rest)
        except _DAMAGE as error:
            raise UserError(
                f"The material file {path} is damaged in line {number} ({error}): export it again."
            ) from error
    for look in looks.values():
        # Exporters that give a texture often write black, or the viewer's grey, beside it.
        if look.picture is not None and look.colour in ((0.0, 0.0, 0.0), (0.8, 0.8, 0.8)):
            look.colour = (1.0, 1.0, 1.0)
    return looks


def _picture(mtl: Path, words: list[str]) -> Path:
    """The file of a texture statement, after its options."""
    words = list(words)
    while words and words[0] in _OPTIONS:
        most, words = _OPTIONS[words[0]], words[1:]
        for taken in range(most):
            if len(words) < 2 or (taken and not _is_number(words[0])):
                break
            words = words[1:]
    name = " ".join(words)
    found = _beside(mtl, name) if name else None
    if found is None:
        raise UserError(
            f"The material file {mtl} needs the texture {name!r}, which is missing: put it beside "
            "the asset."
        )
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _beside(path: Path, name: str) -> Path | None:
    """The file that `path` names: as given, else of that name in the same folder."""
    name = name.replace("\\", "/")
    for candidate in (path.parent / name, path.parent / name.rpartition("/")[2]):
        if os.path.isfile(candidate):
            return candidate
    return None
