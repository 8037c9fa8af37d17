"""A glTF tree in the making, as the writers fill it."""

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from animate124.media.files import write_bytes
from animate124.media.glb.material import FURTHER, REPEAT, Material
from animate124.media.glb.model import MeshPart, Node
from animate124.media.images import srgb_to_linear

_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_COMPONENTS = {
    np.dtype("i1"): 5120,
    np.dtype("<i2"): 5122,
    np.dtype("<u2"): 5123,
    np.dtype("<u4"): 5125,
    np.dtype("<f4"): 5126,
}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
POSITION_STEP = 1.0 / 32767.0


class Writer:
    """A glTF tree in the making: the JSON side in `tree`, the binary side in `binary`.

    packing: of the morph targets. "plain" holds every displacement as three floats, "sparse" only
    those that are not zero where that is smaller, "quantised" as 16-bit integers (normals 8-bit,
    KHR_mesh_quantization), sparse where that is smaller; those of a target that reach beyond
    [-1, 1] stay floats. The error of a quantised position is at most `POSITION_STEP` / 2.
    """

    def __init__(self, packing: str = "plain") -> None:
        self.packing = packing
        self.tree: dict = {
            "asset": {"version": "2.0", "generator": "animate124"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": [],
        }
        self.binary = bytearray()
        self._textures: dict[tuple, int] = {}

    def add_nodes(self, nodes: Sequence[Node]) -> None:
        for i, node in enumerate(nodes):
            entry: dict = {"name": node.name}
            neutral = Node("")
            for field in ("translation", "rotation", "scale"):
                value = np.asarray(getattr(node, field), np.float32)
                if not np.array_equal(value, np.asarray(getattr(neutral, field), np.float32)):
                    entry[field] = np.asarray(getattr(node, field), float).tolist()
            if node.parts:
                entry["mesh"] = self._add_mesh(node)
            if node.parent is None:
                self.tree["scenes"][0]["nodes"].append(i)
            elif 0 <= node.parent < i:
                self.tree["nodes"][node.parent].setdefault("children", []).append(i)
            else:
                raise ValueError(f"{node.name}: parent {node.parent} must come before node {i}")
            self.tree["nodes"].append(entry)

    def add_times(self, times: np.ndarray) -> int:
        return self.add_array(times.reshape(-1, 1), bounds=True)

    def add_animation(self, name: str, clock: int, channels: list[tuple[int, str, int]]) -> None:
        """One animation; channels are (node, path, accessor of the values), keyed at `clock`."""
        animation = {
            "name": name,
            "samplers": [{"input": clock, "output": output} for _, _, output in channels],
            "channels": [
                {"sampler": i, "target": {"node": node, "path": path}}
                for i, (node, path, _) in enumerate(channels)
            ],
        }
        self.tree.setdefault("animations", []).append(animation)

    def add_array(
        self,
        array: np.ndarray,
        target: int | None = None,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Store [N, C] as a buffer view and an accessor; returns the accessor's index."""
        columns = array.shape[1]
        stride = array.itemsize * columns
        data = array
        if target == _ARRAY_BUFFER and stride % 4:  # vertex data must lie on 4-byte steps
            spare = (4 - stride % 4) // array.itemsize
            data = np.pad(array, ((0, 0), (0, spare)))
        view = self._add_view(np.ascontiguousarray(data).tobytes(), target)
        if data is not array:
            self.tree["bufferViews"][view]["byteStride"] = data.shape[1] * array.itemsize
        accessor: dict = {
            "bufferView": view,
            "componentType": _COMPONENTS[array.dtype],
            "count": len(array),
            "type": _TYPES[columns],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"] = array.min(axis=0).tolist()
            accessor["max"] = array.max(axis=0).tolist()
        return self._append("accessors", accessor)

    def save(self, path: str | os.PathLike) -> None:
        """Write the file atomically. Raises UserError."""
        write_bytes(path, self.encode())

    def encode(self) -> bytes:
        """The file's bytes; nothing may be added after this."""
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.tree, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.binary) + bytes(-len(self.binary) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        head = struct.pack("<4sIIII", b"glTF", 2, total, len(text), 0x4E4F534A)
        middle = struct.pack("<II", len(binary), 0x004E4942)
        return head + text + middle + binary

    def _append(self, kind: str, entry: dict) -> int:
        entries = self.tree.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def _add_view(self, data: bytes, target: int | None = None) -> int:
        self.binary.extend(bytes(-len(self.binary) % 4))
        view: dict = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.binary.extend(data)
        return self._append("bufferViews", view)

    def _add_mesh(self, node: Node) -> int:
        mesh: dict = {
            "name": node.parts[0].name if len(node.parts) == 1 else node.name,
            "primitives": [self._add_primitive(part) for part in node.parts],
        }
        if len(node.weights):
            mesh["weights"] = np.asarray(node.weights, float).tolist()
            mesh["extras"] = {"targetNames": [f"frame{i}" for i in range(len(node.weights))]}
        return self._append("meshes", mesh)

    def _add_primitive(self, part: MeshPart) -> dict:
        def vertex_data(array: np.ndarray, **options: bool) -> int:
            return self.add_array(np.asarray(array, "<f4"), _ARRAY_BUFFER, **options)

        attributes = {"POSITION": vertex_data(part.vertices, bounds=True)}
        if part.normals is not None:
            attributes["NORMAL"] = vertex_data(unit_normals(np.asarray(part.normals, np.float32)))
        if part.uv is not None:
            attributes["TEXCOORD_0"] = vertex_data(part.uv)
        if part.colors is not None:
            linear = np.array(np.clip(part.colors, 0.0, 1.0), np.float32)
            linear[:, :3] = srgb_to_linear(linear[:, :3])
            # 16 bits: eight would band in the dark, where linear light needs fine steps.
            words = np.rint(linear * 65535).astype("<u2")
            attributes["COLOR_0"] = self.add_array(words, _ARRAY_BUFFER, normalized=True)
        # The highest value of an index type is reserved (primitive restart).
        index_type = "<u2" if len(part.vertices) <= 65535 else "<u4"
        indices = np.asarray(part.faces).astype(index_type).reshape(-1, 1)
        primitive: dict = {
            "attributes": attributes,
            "indices": self.add_array(indices, _ELEMENT_BUFFER),
            "material": self._add_material(part),
        }
        if part.morphs is not None:
            targets = [{"POSITION": self._add_deltas(m, "<i2", True)} for m in part.morphs]
            if part.morph_normals is not None:
                for entry, normals in zip(targets, part.morph_normals, strict=True):
                    entry["NORMAL"] = self._add_deltas(normals, "i1", False)
            primitive["targets"] = targets
        return primitive

    def _add_deltas(self, deltas: np.ndarray, integer: str, bounds: bool) -> int:
        """One morph target's displacements [V, 3], packed as `packing` says."""
        values = np.asarray(deltas, "<f4")
        quantised = self.packing == "quantised" and np.abs(values).max(initial=0.0) <= 1.0
        if quantised:
            values = np.rint(values * np.iinfo(integer).max).astype(integer)
            self._extension("KHR_mesh_quantization", required=True)
        rows = np.flatnonzero(values.any(axis=1))
        index_type = np.dtype("<u2" if len(values) <= 65535 else "<u4")
        dense = len(values) * -(-3 * values.itemsize // 4) * 4
        thin = len(rows) * (3 * values.itemsize + index_type.itemsize)
        # A sparse accessor costs about 150 bytes more of JSON.
        if self.packing == "plain" or len(rows) == 0 or thin + 150 >= dense:
            return self.add_array(values, _ARRAY_BUFFER, bounds=bounds, normalized=quantised)
        accessor: dict = {
            "componentType": _COMPONENTS[values.dtype],
            "count": len(values),
            "type": "VEC3",
            "sparse": {
                "count": len(rows),
                "indices": {
                    "bufferView": self._add_view(rows.astype(index_type).tobytes()),
                    "componentType": _COMPONENTS[index_type],
                },
                "values": {"bufferView": self._add_view(values[rows].tobytes())},
            },
        }
        if quantised:
            accessor["normalized"] = True
        if bounds:
            accessor["min"] = values.min(axis=0).tolist()
            accessor["max"] = values.max(axis=0).tolist()
        return self._append("accessors", accessor)

    def _extension(self, name: str, required: bool = False) -> None:
        for kind in ("extensionsUsed", *(["extensionsRequired"] if required else [])):
            known = self.tree.setdefault(kind, [])
            if name not in known:
                known.append(name)

    def _add_material(self, part: MeshPart) -> int:
        colour = np.array(part.base_color, np.float32)
        colour[:3] = srgb_to_linear(colour[:3])
        look = part.material
        surface: dict = {
            "baseColorFactor": colour.tolist(),
            "metallicFactor": look.metallic,
            "roughnessFactor": look.roughness,
        }
        material: dict = {"name": part.name, "pbrMetallicRoughness": surface}
        faded = part.colors is not None and np.min(np.asarray(part.colors)[:, 3:], initial=1.0) < 1
        mode = look.alpha_mode or ("BLEND" if part.base_color[3] < 1.0 or faded else "OPAQUE")
        if mode != "OPAQUE":
            material["alphaMode"] = mode
        if mode == "MASK":
            material["alphaCutoff"] = look.alpha_cutoff
        if look.double_sided:
            material["doubleSided"] = True
        if any(look.emissive):
            material["emissiveFactor"] = list(look.emissive)
        if part.unlit:
            material["extensions"] = {"KHR_materials_unlit": {}}
            self._extension("KHR_materials_unlit")
        if part.texture is not None:
            surface["baseColorTexture"] = {"index": self._texture(part.texture, look)}
        if part.uv is not None:
            for name, data in look.textures.items():
                slot: dict = {"index": self._texture(data, look)}
                if name in look.strengths:
                    slot[FURTHER[name]] = look.strengths[name]
                (surface if name == "metallicRoughnessTexture" else material)[name] = slot
        return self._append("materials", material)

    def _texture(self, data: bytes, look: Material) -> int:
        """The texture of an image's bytes; each image is stored once."""
        key = (data, look.wrap)
        if key not in self._textures:
            kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
            image = {"bufferView": self._add_view(data), "mimeType": kind}
            texture = {"source": self._append("images", image)}
            if look.wrap != (REPEAT, REPEAT):
                sampler = {"wrapS": look.wrap[0], "wrapT": look.wrap[1]}
                texture["sampler"] = self._append("samplers", sampler)
            self._textures[key] = self._append("textures", texture)
        return self._textures[key]


def below(root: Node | None, nodes: Sequence[Node]) -> list[Node]:
    """The nodes (without parents), preceded by `root` as the parent of them all if there is one."""
    if root is None:
        return list(nodes)
    return [root, *(replace(node, parent=0) for node in nodes)]


def key_times(times: Sequence[float], loop: bool) -> np.ndarray:
    """Checked key times, float32 [T] or, with the closing key of a loop, [T + 1]."""
    times = np.asarray(times, np.float32)
    if times.ndim != 1 or len(times) < 2 or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError("times must be two or more strictly increasing seconds from 0")
    if not loop:
        return times
    return np.append(times, times[-1] + (times[-1] - times[0]) / (len(times) - 1)).astype("<f4")


def unit_normals(normals: np.ndarray) -> np.ndarray:
    """Normals of length one; a vertex without one (in no face of any size) gets +y."""
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0], np.float32)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), up).astype(np.float32)
