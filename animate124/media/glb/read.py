"""Read GLB files (glTF 2.0 binary): meshes, textures, hierarchy, animations, morph targets."""

import json
import os
import struct
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.glb.model import Animation, Channel, MeshPart, Model, Node
from animate124.media.images import linear_to_srgb

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# What a damaged or untrue file makes the code below raise; each becomes one sentence.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, struct.error)


def read(path: str | os.PathLike) -> Model:
    """Read the default scene of a GLB file.

    Read are triangle meshes (positions, normals, first texture coordinates, vertex colours, base
    colour factor and texture), node hierarchies, translation/rotation/scale/weights animations and
    morph targets, sparse and normalised arrays included. Cameras, lights and other material
    properties are left out.

    Raises:
        UserError: missing, empty, damaged or cut short, not a GLB of version 2, without a mesh, or
            in need of something that is not read: skins, compression, outside files, points, lines.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"The GLB file {path} does not exist: check the path.")
    try:
        data = path.read_bytes()
    except PermissionError as error:
        raise UserError(f"The GLB file {path} may not be read: change its permissions.") from error
    tree, binary = _split(path, data)
    _refuse_unsupported(path, tree)
    try:
        model = _Reader(path, tree, binary).model()
    except _DAMAGE as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not any(node.parts for node in model.nodes):
        raise UserError(f"The GLB file {path} holds no mesh: export it again with its meshes.")
    return model


def _split(path: Path, data: bytes) -> tuple[dict, bytes]:
    """The JSON tree and the binary chunk of a GLB container."""
    if not data:
        raise UserError(f"The GLB file {path} is empty: give another file.")
    if data[:4] != b"glTF":
        raise UserError(
            f"The file {path} is not a GLB file: export the asset as glTF binary (.glb)."
        )
    if len(data) < 20:
        raise _damaged(path, "the header is cut short")
    version, total = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise UserError(f"The GLB file {path} has glTF version {version}: export it as version 2.")
    if total > len(data):
        raise _damaged(path, f"{len(data)} bytes of {total}")
    chunks: dict[int, bytes] = {}
    position = 12
    while position + 8 <= total:
        length, kind = struct.unpack_from("<II", data, position)
        if position + 8 + length > total:
            raise _damaged(path, "a chunk is longer than the file")
        chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length
    try:
        tree = json.loads(chunks[0x4E4F534A])
    except (KeyError, ValueError, RecursionError) as error:
        raise _damaged(path, "no valid JSON chunk") from error
    if not isinstance(tree, dict):
        raise _damaged(path, "the JSON chunk is no object")
    return tree, chunks.get(0x004E4942, b"")


def _refuse_unsupported(path: Path, tree: dict) -> None:
    for name in tree.get("extensionsRequired", ()):
        if name != "KHR_mesh_quantization" and not str(name).startswith("KHR_materials_"):
            raise UserError(
                f"The GLB file {path} needs the extension {name}, which is not read: export it "
                "without compression or texture extensions."
            )
    if tree.get("skins"):
        raise UserError(
            f"The GLB file {path} has a skeleton (skin), which is not read: export it with the "
            "skin applied to the mesh."
        )
    for kind in ("buffers", "images"):
        if any("uri" in entry for entry in tree.get(kind, ()) if isinstance(entry, dict)):
            raise UserError(
                f"The GLB file {path} keeps {kind} outside the file: export it with everything "
                "embedded."
            )


class _Reader:
    """One glTF tree with its binary chunk; every method reads one kind of object."""

    def __init__(self, path: Path, tree: dict, binary: bytes) -> None:
        self.path, self.tree, self.binary = path, tree, binary

    def model(self) -> Model:
        nodes = self.tree.get("nodes", [])
        scenes = self.tree.get("scenes", [])
        roots = scenes[self.tree.get("scene", 0)].get("nodes", []) if scenes else []
        order: list[int] = []
        place: dict[int, int] = {}
        parents: dict[int, int | None] = dict.fromkeys(roots)
        waiting = list(reversed(roots))
        while waiting:
            index = waiting.pop()
            if index in place:
                raise ValueError(f"node {index} has two parents")
            place[index] = len(order)
            order.append(index)
            children = nodes[index].get("children", [])
            for child in children:
                parents[child] = index
            waiting.extend(reversed(children))
        read_nodes = []
        for index in order:
            parent = parents[index]
            read_nodes.append(self.node(nodes[index], None if parent is None else place[parent]))
        animations = [self.animation(a, place) for a in self.tree.get("animations", [])]
        return Model(tuple(read_nodes), tuple(a for a in animations if a.channels))

    def node(self, entry: dict, parent: int | None) -> Node:
        parts: tuple[MeshPart, ...] = ()
        weights = np.zeros(0)
        name = str(entry.get("name", ""))
        if "mesh" in entry:
            mesh = self.tree["meshes"][entry["mesh"]]
            mesh_name = str(mesh.get("name", name))
            alone = len(mesh["primitives"]) == 1
            parts = tuple(
                self.part(p, mesh_name if alone else self.material_name(p, mesh_name))
                for p in mesh["primitives"]
            )
            targets = len(mesh["primitives"][0].get("targets", []))
            stated = entry.get("weights", mesh.get("weights", [0.0] * targets))
            weights = np.array(stated, np.float32)
        if "matrix" in entry:
            matrix = np.array(entry["matrix"], float).reshape(4, 4).T
            translation, rotation, scale = _decompose(matrix)
        else:
            translation = np.array(entry.get("translation", (0, 0, 0)), np.float32)
            rotation = np.array(entry.get("rotation", (0, 0, 0, 1)), np.float32)
            scale = np.array(entry.get("scale", (1, 1, 1)), np.float32)
        if (translation.shape, rotation.shape, scale.shape) != ((3,), (4,), (3,)):
            raise ValueError(f"node {name!r} has a malformed transform")
        return Node(name, parent, parts, translation, rotation, scale, weights)

    def part(self, primitive: dict, name: str) -> MeshPart:
        if primitive.get("mode", 4) != 4:
            raise UserError(
                f"The GLB file {self.path} holds points, lines or strips in {name!r}: export "
                "triangle meshes only."
            )
        attributes = primitive["attributes"]
        vertices = self.array(attributes["POSITION"])
        if "indices" in primitive:
            indices = self.array(primitive["indices"], raw=True)[:, 0].astype(np.int64)
        else:
            indices = np.arange(len(vertices))

        def optional(attribute: str) -> np.ndarray | None:
            return self.array(attributes[attribute]) if attribute in attributes else None

        colors = optional("COLOR_0")
        if colors is not None:
            colors = np.clip(colors, 0.0, 1.0)
            colors[:, :3] = linear_to_srgb(colors[:, :3])
        base_color, texture, unlit = self.material(primitive)
        uv = optional("TEXCOORD_0")
        targets = primitive.get("targets", [])
        moving = [t for t in targets if "POSITION" in t]
        turning = [t for t in targets if "NORMAL" in t]
        if len(moving) not in (0, len(targets)) or len(turning) not in (0, len(targets)):
            raise ValueError(f"the morph targets of {name!r} do not hold the same attributes")
        return MeshPart(
            name=name,
            vertices=vertices,
            faces=indices.reshape(-1, 3),
            normals=optional("NORMAL"),
            uv=uv,
            colors=colors,
            texture=texture if uv is not None else None,
            base_color=base_color,
            unlit=unlit,
            morphs=np.stack([self.array(t["POSITION"]) for t in moving]) if moving else None,
            morph_normals=np.stack([self.array(t["NORMAL"]) for t in turning]) if turning else None,
        )

    def material_name(self, primitive: dict, otherwise: str) -> str:
        """The parts of one mesh are told apart by their materials' names."""
        if "material" not in primitive:
            return otherwise
        return str(self.tree["materials"][primitive["material"]].get("name", otherwise))

    def material(
        self, primitive: dict
    ) -> tuple[tuple[float, float, float, float], bytes | None, bool]:
        """Base colour (sRGB, alpha), the bytes of the base colour texture, and whether unlit."""
        if "material" not in primitive:
            return (1.0, 1.0, 1.0, 1.0), None, False
        material = self.tree["materials"][primitive["material"]]
        surface = material.get("pbrMetallicRoughness", {})
        factor = np.array(surface.get("baseColorFactor", (1, 1, 1, 1)), np.float32)
        red, green, blue = (float(c) for c in linear_to_srgb(np.clip(factor[:3], 0, 1)))
        texture = None
        if "baseColorTexture" in surface:
            slot = surface["baseColorTexture"]
            if slot.get("texCoord", 0) != 0:
                raise UserError(
                    f"The GLB file {self.path} uses a second set of texture coordinates: export it "
                    "with one."
                )
            image = self.tree["images"][self.tree["textures"][slot["index"]]["source"]]
            texture = self.view(image["bufferView"])
        unlit = "KHR_materials_unlit" in material.get("extensions", {})
        return (red, green, blue, float(factor[3])), texture, unlit

    def animation(self, entry: dict, place: dict[int, int]) -> Animation:
        channels = []
        for channel in entry["channels"]:
            target = channel["target"]
            if target.get("node") not in place:  # it moves something outside the default scene
                continue
            sampler = entry["samplers"][channel["sampler"]]
            times = self.array(sampler["input"])[:, 0]
            values = self.array(sampler["output"])
            kind = sampler.get("interpolation", "LINEAR")
            if len(times) == 0 or (np.diff(times) <= 0).any():
                raise ValueError("animation times must increase")
            keyed = (len(times), 3) if kind == "CUBICSPLINE" else (len(times),)
            values = values.reshape(*keyed, values.size // int(np.prod(keyed)))
            width = {"translation": 3, "scale": 3, "rotation": 4}.get(target["path"])
            if width is not None and values.shape[-1] != width:
                raise ValueError(f"a {target['path']} channel has {values.shape[-1]} columns")
            channels.append(Channel(place[target["node"]], target["path"], times, values, kind))
        return Animation(str(entry.get("name", "")), tuple(channels))

    def view(self, index: int) -> bytes:
        view = self.tree["bufferViews"][index]
        start, length = view.get("byteOffset", 0), view["byteLength"]
        if view.get("buffer", 0) != 0 or start < 0 or start + length > len(self.binary):
            raise ValueError(f"buffer view {index} lies outside the file")
        return self.binary[start : start + length]

    def array(self, index: int, raw: bool = False) -> np.ndarray:
        """Accessor as float32 [N, C] (normalised integers decoded), or `raw` as it is stored."""
        accessor = self.tree["accessors"][index]
        count, width = accessor["count"], _WIDTHS[accessor["type"]]
        dtype = np.dtype(_DTYPES[accessor["componentType"]])
        if "bufferView" in accessor:
            offset = accessor.get("byteOffset", 0)
            stride = self.tree["bufferViews"][accessor["bufferView"]].get("byteStride")
            values = self.elements(accessor["bufferView"], offset, dtype, count, width, stride)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            where, what, some = sparse["indices"], sparse["values"], sparse["count"]
            kind = np.dtype(_DTYPES[where["componentType"]])
            rows = self.elements(where["bufferView"], where.get("byteOffset", 0), kind, some, 1)
            values = values.copy()
            values[rows[:, 0]] = self.elements(
                what["bufferView"], what.get("byteOffset", 0), dtype, some, width
            )
        if raw:
            return values
        floats = values.astype(np.float32)
        if accessor.get("normalized", False):
            floats = np.maximum(floats / np.float32(np.iinfo(dtype).max), -1.0)
        if not np.isfinite(floats).all():
            raise ValueError(f"accessor {index} holds NaN or infinity")
        return floats

    def elements(
        self,
        view: int,
        offset: int,
        dtype: np.dtype,
        count: int,
        width: int,
        stride: int | None = None,
    ) -> np.ndarray:
        """[count, width] items of a buffer view, `stride` bytes apart (packed when None)."""
        data = self.view(view)
        size = dtype.itemsize * width
        step = stride or size
        if count < 1 or offset < 0 or step < size or offset + step * (count - 1) + size > len(data):
            raise ValueError(f"an accessor reaches outside buffer view {view}")
        return np.ndarray((count, width), dtype, data, offset, (step, dtype.itemsize))


def _decompose(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation, quaternion (x, y, z, w) and scale of a node matrix [4, 4] without shear."""
    from scipy.spatial.transform import Rotation  # slow to import and seldom needed

    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    if (scale == 0).any():
        raise ValueError("a node matrix has no inverse")
    if np.linalg.det(matrix[:3, :3]) < 0:
        scale[0] = -scale[0]
    quaternion = Rotation.from_matrix(matrix[:3, :3] / scale).as_quat()
    return tuple(np.asarray(v, np.float32) for v in (matrix[:3, 3], quaternion, scale))


def _damaged(path: Path, detail: str) -> UserError:
    return UserError(
        f"The GLB file {path} is damaged or cut short ({detail}): export it again or give another."
    )
