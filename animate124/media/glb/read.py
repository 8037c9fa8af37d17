"""Read glTF 2.0 files: meshes, textures, hierarchy, skins, animations, morph targets."""

import os
import struct
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.glb.accessors import read_array
from animate124.media.glb.container import Source, damaged
from animate124.media.glb.material import Look, read_look
from animate124.media.glb.model import Animation, Channel, MeshPart, Model, Node
from animate124.media.glb.skin import Skin
from animate124.media.glb.topology import FAN, STRIP, TRIANGLES, triangles
from animate124.media.images import linear_to_srgb

# What a damaged or untrue file makes the code below raise; each becomes one sentence.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, struct.error, MemoryError)


def read(path: str | os.PathLike) -> Model:
    """Read the default scene of a GLB file, or of a glTF file with what it keeps beside it.

    Read are triangle meshes (lists, strips and fans: positions, normals, one set of texture
    coordinates, vertex colours, materials with their textures), node hierarchies, skins,
    translation/rotation/scale/weights animations and morph targets, sparse and normalised arrays
    included. Points and lines beside triangles, cameras and lights are left out.

    Raises:
        UserError: missing, empty, damaged or cut short, not glTF of version 2, without triangles,
            with a file missing, or in need of something that is not read (compression).
    """
    path = Path(path)
    try:
        reader = _Reader(Source(path))
        model = reader.model()
    except _DAMAGE as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if not any(node.parts for node in model.nodes):
        if reader.left_out:
            raise UserError(
                f"The GLB file {path} holds only points or lines: export triangle meshes."
            )
        raise UserError(f"The GLB file {path} holds no mesh: export it again with its meshes.")
    return model


class _Reader:
    """One glTF tree with its buffers; every method reads one kind of object."""

    def __init__(self, source: Source) -> None:
        self.source, self.path, self.tree = source, source.path, source.tree
        self.left_out = 0  # primitives of points or lines
        self._looks: dict[int, Look] = {}

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
        used = sorted({nodes[i]["skin"] for i in order if "skin" in nodes[i]})
        skins = tuple(self.skin(self.tree["skins"][index], place) for index in used)
        read_nodes = []
        for index in order:
            entry, parent = nodes[index], parents[index]
            skin = used.index(entry["skin"]) if "skin" in entry else None
            node = self.node(entry, None if parent is None else place[parent], skin)
            if skin is not None:
                self.check_joints(node, skins[skin])
            read_nodes.append(node)
        animations = [self.animation(a, place) for a in self.tree.get("animations", [])]
        return Model(tuple(read_nodes), tuple(a for a in animations if a.channels), skins)

    def node(self, entry: dict, parent: int | None, skin: int | None) -> Node:
        parts: tuple[MeshPart, ...] = ()
        weights = np.zeros(0)
        name = str(entry.get("name", ""))
        if "mesh" in entry:
            mesh = self.tree["meshes"][entry["mesh"]]
            mesh_name = str(mesh.get("name", name))
            drawn = [p for p in mesh["primitives"] if p.get("mode", 4) in (TRIANGLES, STRIP, FAN)]
            self.left_out += len(mesh["primitives"]) - len(drawn)
            alone = len(drawn) == 1
            found = [
                self.part(p, mesh_name if alone and mesh_name else self.material_name(p, mesh_name))
                for p in drawn
            ]
            parts = tuple(part for part in found if part is not None)
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
        return Node(name, parent, parts, translation, rotation, scale, weights, skin)

    def part(self, primitive: dict, name: str) -> MeshPart | None:
        """One primitive as a part; None where it has no triangle at all."""
        if "KHR_draco_mesh_compression" in primitive.get("extensions", {}) and (
            "bufferView" not in self.tree["accessors"][primitive["attributes"]["POSITION"]]
        ):
            raise UserError(
                f"The GLB file {self.path} has Draco compression, which is not read: export it "
                "without compression."
            )
        attributes = primitive["attributes"]
        vertices = self.array(attributes["POSITION"])
        if "indices" in primitive:
            indices = self.array(primitive["indices"], raw=True)[:, 0].astype(np.int64)
        else:
            indices = np.arange(len(vertices))
        faces = triangles(indices, primitive.get("mode", 4))
        if len(faces) == 0:
            return None

        def optional(attribute: str) -> np.ndarray | None:
            return self.array(attributes[attribute]) if attribute in attributes else None

        colors = optional("COLOR_0")
        if colors is not None:
            colors = np.clip(colors, 0.0, 1.0)
            colors[:, :3] = linear_to_srgb(colors[:, :3])
        look = self.look(primitive)
        uv = optional(f"TEXCOORD_{look.uv_set}")
        if uv is not None and look.uv_matrix is not None:
            uv = (uv @ look.uv_matrix[:, :2].T + look.uv_matrix[:, 2]).astype(np.float32)
        targets = primitive.get("targets", [])
        moving = [t for t in targets if "POSITION" in t]
        turning = [t for t in targets if "NORMAL" in t]
        if len(moving) not in (0, len(targets)) or len(turning) not in (0, len(targets)):
            raise ValueError(f"the morph targets of {name!r} do not hold the same attributes")
        joints, weights = self.joints(attributes)
        return MeshPart(
            name=name,
            vertices=vertices,
            faces=faces,
            normals=optional("NORMAL"),
            uv=uv,
            colors=colors,
            texture=look.texture if uv is not None else None,
            base_color=look.base_color,
            unlit=look.unlit,
            material=look.material,
            morphs=np.stack([self.array(t["POSITION"]) for t in moving]) if moving else None,
            morph_normals=np.stack([self.array(t["NORMAL"]) for t in turning]) if turning else None,
            joints=joints,
            weights=weights,
        )

    def joints(self, attributes: dict) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Joints and weights [V, 4·sets] of a primitive, None where it has none."""
        sets = 0
        while f"JOINTS_{sets}" in attributes:
            sets += 1
        if sets == 0:
            return None, None
        found = [self.array(attributes[f"JOINTS_{k}"], raw=True) for k in range(sets)]
        weights = [self.array(attributes[f"WEIGHTS_{k}"]) for k in range(sets)]
        joints = np.concatenate(found, axis=1).astype(np.int64)
        return joints, np.maximum(np.concatenate(weights, axis=1), 0.0)

    def skin(self, entry: dict, place: dict[int, int]) -> Skin:
        joints = entry.get("joints", [])
        if not joints:
            raise UserError(
                f"The GLB file {self.path} has a skeleton (skin) without joints: export it again, "
                "or with the skin applied to the mesh."
            )
        bind = np.tile(np.eye(4), (len(joints), 1, 1))
        if "inverseBindMatrices" in entry:
            stored = self.array(entry["inverseBindMatrices"]).reshape(-1, 4, 4)
            bind = stored[: len(joints)].transpose(0, 2, 1).astype(float)  # columns are stored
        return Skin(np.array([place[joint] for joint in joints]), bind)

    def check_joints(self, node: Node, skin: Skin) -> None:
        """Every part of a skinned node names joints, and joints that there are."""
        for part in node.parts:
            if part.joints is None:
                raise UserError(
                    f"The GLB file {self.path} has a skeleton (skin), but the mesh {part.name!r} "
                    "names no joints: export it again, or with the skin applied to the mesh."
                )
            if part.joints.max(initial=0) >= len(skin.joints):
                raise ValueError(f"{part.name!r} names a joint outside its skin")

    def material_name(self, primitive: dict, otherwise: str) -> str:
        """The parts of one mesh are told apart by their materials' names."""
        if "material" not in primitive:
            return otherwise
        return str(self.tree["materials"][primitive["material"]].get("name", otherwise))

    def look(self, primitive: dict) -> Look:
        index = primitive.get("material")
        if index is None:
            return Look()
        if index not in self._looks:
            self._looks[index] = read_look(self.source, index)
        return self._looks[index]

    def animation(self, entry: dict, place: dict[int, int]) -> Animation:
        channels = []
        for channel in entry["channels"]:
            target = channel["target"]
            if target.get("node") not in place:  # it moves something outside the default scene
                continue
            if target["path"] not in ("translation", "rotation", "scale", "weights"):
                continue  # an extension's
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

    def array(self, index: int, raw: bool = False) -> np.ndarray:
        return read_array(self.source, index, raw)


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
