"""Write GLB files (glTF 2.0 binary) that the Khronos validator passes without a warning."""

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from animate124.media.files import write_bytes
from animate124.media.glb.model import MeshPart, Node
from animate124.media.images import srgb_to_linear

_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_COMPONENTS = {np.dtype("<f4"): 5126, np.dtype("<u2"): 5123, np.dtype("<u4"): 5125}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


def write_static(path: str | os.PathLike, parts: Sequence[MeshPart]) -> None:
    """Write meshes that do not move, one node each, atomically.

    Raises:
        ValueError: no parts. UserError: the file cannot be written.
    """
    if not parts:
        raise ValueError("a GLB needs at least one mesh part")
    writer = _Writer()
    writer.add_nodes([Node(part.name, parts=(part,)) for part in parts])
    writer.save(path)


def write_node_animation(
    path: str | os.PathLike,
    nodes: Sequence[Node],
    times: Sequence[float],
    loop: bool = False,
    name: str = "motion",
) -> None:
    """Write a hierarchy of nodes that move, turn and scale, atomically.

    Args:
        nodes: parents before children; translation, rotation and scale of each are constant or have
            one row per time (see `Node`). The meshes' vertices are in their node's own space.
        times: [T] seconds, strictly increasing from ≥ 0. Between them values run linearly,
            rotations along the shorter great circle.
        loop: add a last key equal to the first, one mean interval after the last time, so that a
            player which starts again shows no jump (for frames at k/F of a period).

    Raises:
        ValueError: wrong shapes, times or parents, no moving node, a quaternion of length zero.
        UserError: the file cannot be written.
    """
    times = _key_times(times, loop)
    frames = len(times) - 1 if loop else len(times)
    writer = _Writer()
    clock = writer.add_times(times)
    rest, channels = [], []
    for i, node in enumerate(nodes):
        still = {}
        for path_name, size in (("translation", 3), ("rotation", 4), ("scale", 3)):
            values = np.asarray(getattr(node, path_name), np.float32)
            if values.shape not in ((size,), (frames, size)):
                raise ValueError(
                    f"{node.name}: {path_name} must be [{size}] or [{frames}, {size}], got "
                    f"{values.shape}"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"{node.name}: {path_name} holds NaN or infinity")
            if path_name == "rotation":
                values = _unit_quaternions(values, node.name)
            still[path_name] = values if values.ndim == 1 else values[0]
            if values.ndim == 2:
                keys = np.concatenate((values, values[:1])) if loop else values
                if path_name == "rotation":
                    keys = _shortest(keys)
                channels.append((i, path_name, writer.add_array(keys)))
        rest.append(replace(node, **still))
    if not channels:
        raise ValueError("no node moves: use write_static")
    writer.add_nodes(rest)
    writer.add_animation(name, clock, channels)
    writer.save(path)


def write_morph_animation(
    path: str | os.PathLike,
    part: MeshPart,
    frames: np.ndarray,
    times: Sequence[float],
    loop: bool = False,
    normal_frames: np.ndarray | None = None,
    name: str = "motion",
) -> None:
    """Write one mesh whose vertices move freely, as morph targets with linear weights, atomically.

    Args:
        part: the mesh at rest, without morph targets of its own.
        frames: [F, V, 3] vertex positions at the times; between them every vertex runs straight.
            A frame equal to the rest mesh needs no morph target and gets none.
        times, loop: as in `write_node_animation`, F of them.
        normal_frames: [F, V, 3] normals at the times; needs `part.normals`.

    Raises:
        ValueError: wrong shapes or times, every frame equal to the rest mesh.
        UserError: the file cannot be written.
    """
    frames = np.asarray(frames, np.float32)
    base = np.asarray(part.vertices, np.float32)
    if frames.shape != (len(times), *base.shape):
        raise ValueError(f"frames must be {(len(times), *base.shape)}, got {frames.shape}")
    if normal_frames is not None and part.normals is None:
        raise ValueError("normal_frames need a part with normals")
    times = _key_times(times, loop)
    moved = np.flatnonzero((frames != base).any(axis=(1, 2)))
    if len(moved) == 0:
        raise ValueError("no frame differs from the rest mesh: use write_static")
    morph_normals = None
    if normal_frames is not None:
        normals = _unit_normals(np.asarray(normal_frames, np.float32)[moved])
        morph_normals = normals - _unit_normals(np.asarray(part.normals, np.float32))
    weights = np.zeros((len(frames), len(moved)), np.float32)
    weights[moved, np.arange(len(moved))] = 1.0
    if loop:
        weights = np.concatenate((weights, weights[:1]))
    morphing = replace(part, morphs=frames[moved] - base, morph_normals=morph_normals)

    writer = _Writer()
    node = Node(part.name, parts=(morphing,), weights=weights[0])
    writer.add_nodes([node])
    channel = (0, "weights", writer.add_array(weights.reshape(-1, 1)))
    writer.add_animation(name, writer.add_times(times), [channel])
    writer.save(path)


class _Writer:
    """A glTF tree in the making: the JSON side in `tree`, the binary side in `binary`."""

    def __init__(self) -> None:
        self.tree: dict = {
            "asset": {"version": "2.0", "generator": "animate124"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": [],
        }
        self.binary = bytearray()

    def add_nodes(self, nodes: Sequence[Node]) -> None:
        for i, node in enumerate(nodes):
            entry: dict = {"name": node.name}
            neutral = Node("")
            for field in ("translation", "rotation", "scale"):
                value = np.asarray(getattr(node, field), np.float32)
                if not np.array_equal(value, np.asarray(getattr(neutral, field), np.float32)):
                    entry[field] = value.tolist()
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
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.tree, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.binary) + bytes(-len(self.binary) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        head = struct.pack("<4sIIII", b"glTF", 2, total, len(text), 0x4E4F534A)
        middle = struct.pack("<II", len(binary), 0x004E4942)
        write_bytes(path, head + text + middle + binary)

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
            attributes["NORMAL"] = vertex_data(_unit_normals(np.asarray(part.normals, np.float32)))
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
            primitive["targets"] = [{"POSITION": vertex_data(m, bounds=True)} for m in part.morphs]
            if part.morph_normals is not None:
                for entry, normals in zip(primitive["targets"], part.morph_normals, strict=True):
                    entry["NORMAL"] = vertex_data(normals)
        return primitive

    def _add_material(self, part: MeshPart) -> int:
        colour = np.array(part.base_color, np.float32)
        colour[:3] = srgb_to_linear(colour[:3])
        surface: dict = {
            "baseColorFactor": colour.tolist(),
            "metallicFactor": 0.0,
            "roughnessFactor": 1.0,
        }
        material: dict = {"name": part.name, "pbrMetallicRoughness": surface}
        faded = part.colors is not None and np.min(np.asarray(part.colors)[:, 3:], initial=1.0) < 1
        if part.base_color[3] < 1.0 or faded:
            material["alphaMode"] = "BLEND"
        if part.unlit:
            material["extensions"] = {"KHR_materials_unlit": {}}
            self.tree["extensionsUsed"] = ["KHR_materials_unlit"]
        if part.texture is not None:
            kind = "image/png" if part.texture.startswith(b"\x89PNG") else "image/jpeg"
            image = {"bufferView": self._add_view(part.texture), "mimeType": kind}
            texture = {"source": self._append("images", image)}
            surface["baseColorTexture"] = {"index": self._append("textures", texture)}
        return self._append("materials", material)


def _key_times(times: Sequence[float], loop: bool) -> np.ndarray:
    """Checked key times, float32 [T] or, with the closing key of a loop, [T + 1]."""
    times = np.asarray(times, np.float32)
    if times.ndim != 1 or len(times) < 2 or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError("times must be two or more strictly increasing seconds from 0")
    if not loop:
        return times
    return np.append(times, times[-1] + (times[-1] - times[0]) / (len(times) - 1)).astype("<f4")


def _unit_quaternions(quaternions: np.ndarray, name: str) -> np.ndarray:
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    if (length < 1e-6).any():
        raise ValueError(f"{name}: a rotation quaternion has length zero")
    return quaternions / length


def _shortest(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations [T, 4] with signs such that no step takes the longer way round."""
    dots = (quaternions[1:] * quaternions[:-1]).sum(axis=1)
    signs = np.cumprod(np.concatenate(([1.0], np.where(dots < 0, -1.0, 1.0))))
    return (quaternions * signs[:, None]).astype(np.float32)


def _unit_normals(normals: np.ndarray) -> np.ndarray:
    """Normals of length one; a vertex without one (in no face of any size) gets +y."""
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0], np.float32)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), up).astype(np.float32)
