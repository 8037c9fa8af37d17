"""What a GLB file holds, as plain arrays, and where its parts stand at a moment.

World as everywhere (right-handed, +y up, the subject faces +z), which is glTF's own. Times are in
seconds, quaternions are (x, y, z, w), colours are sRGB in [0, 1] (glTF stores them linear; the
writer and the reader convert), texture coordinate (0, 0) is the top left corner of the picture.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class MeshPart:
    """One triangle mesh with one material.

    vertices [V, 3]; faces [F, 3] integers, counter-clockwise seen from outside; normals [V, 3];
    uv [V, 2]; colors [V, 3] or [V, 4] sRGB; texture: PNG or JPEG bytes, needs uv; base_color sRGB
    with alpha, multiplies colours and texture; unlit: show the colours as they are, because they
    already hold their light; morphs [M, V, 3] vertex displacements and
    morph_normals [M, V, 3] normal displacements, one per morph target.

    Raises:
        ValueError: arrays that do not fit together, or values that are not finite.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    uv: np.ndarray | None = None
    colors: np.ndarray | None = None
    texture: bytes | None = None
    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    unlit: bool = False
    morphs: np.ndarray | None = None
    morph_normals: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.vertices)
        targets = 0 if self.morphs is None else len(self.morphs)
        shapes = {
            "vertices": ((count, 3),),
            "normals": ((count, 3),),
            "uv": ((count, 2),),
            "colors": ((count, 3), (count, 4)),
            "morphs": ((targets, count, 3),),
            "morph_normals": ((targets, count, 3),),
        }
        for field, allowed in shapes.items():
            value = getattr(self, field)
            if value is None:
                continue
            if np.shape(value) not in allowed:
                raise ValueError(
                    f"{self.name}: {field} must be {allowed[0]}, got {np.shape(value)}"
                )
            if not np.isfinite(value).all():
                raise ValueError(f"{self.name}: {field} holds NaN or infinity")
        if np.ndim(self.faces) != 2 or np.shape(self.faces)[1] != 3 or len(self.faces) == 0:
            raise ValueError(f"{self.name}: faces must be [F, 3], got {np.shape(self.faces)}")
        if np.min(self.faces) < 0 or np.max(self.faces) >= count:
            raise ValueError(f"{self.name}: a face names a vertex outside 0 to {count - 1}")
        if self.texture is not None and self.uv is None:
            raise ValueError(f"{self.name}: a texture needs uv coordinates")


@dataclass(frozen=True)
class Node:
    """One joint of a hierarchy, optionally with meshes in its own space.

    `parent` is the index of the parent in the list of nodes (parents come before their children),
    None for a root. A point moves by scale, then rotation, then translation, then the parent's.

    For `write_node_animation` each of translation, rotation and scale is either constant ([3], [4],
    [3]) or given at every time ([T, 3], [T, 4], [T, 3]); nodes that were read hold the rest values.
    `weights` [M] are the rest weights of the parts' morph targets.
    """

    name: str
    parent: int | None = None
    parts: tuple[MeshPart, ...] = ()
    translation: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0)
    rotation: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    scale: np.ndarray | tuple[float, ...] = (1.0, 1.0, 1.0)
    weights: np.ndarray | tuple[float, ...] = ()


@dataclass(frozen=True)
class Channel:
    """How one property of one node runs in time.

    `path` is "translation", "rotation", "scale" or "weights"; times [T] seconds, increasing;
    values [T, C] (with CUBICSPLINE [T, 3, C]: in-tangent, value, out-tangent); `interpolation` is
    "LINEAR" (rotations along the great circle), "STEP" or "CUBICSPLINE".
    """

    node: int
    path: str
    times: np.ndarray
    values: np.ndarray
    interpolation: str = "LINEAR"


@dataclass(frozen=True)
class Animation:
    """A named set of channels; `duration` is its last key time in seconds."""

    name: str
    channels: tuple[Channel, ...]

    @property
    def duration(self) -> float:
        return max((float(channel.times[-1]) for channel in self.channels), default=0.0)


@dataclass(frozen=True)
class Model:
    """Everything read from a file: nodes at rest (parents first) and animations."""

    nodes: tuple[Node, ...]
    animations: tuple[Animation, ...] = ()


def posed_nodes(model: Model, seconds: float, animation: int = 0) -> tuple[Node, ...]:
    """The nodes with translation, rotation, scale and weights of one moment.

    Before the first key the first value holds, after the last key the last one. A model without
    animations is at rest at every time.
    """
    nodes = list(model.nodes)
    channels = model.animations[animation].channels if model.animations else ()
    for channel in channels:
        nodes[channel.node] = replace(
            nodes[channel.node], **{channel.path: _sample(channel, seconds)}
        )
    return tuple(nodes)


def world_matrices(nodes: tuple[Node, ...]) -> np.ndarray:
    """Node-to-world matrices, float64 [N, 4, 4], of nodes with constant properties."""
    matrices = np.zeros((len(nodes), 4, 4))
    for i, node in enumerate(nodes):
        local = np.eye(4)
        local[:3, :3] = _rotation_matrix(np.asarray(node.rotation, float)) * np.asarray(node.scale)
        local[:3, 3] = node.translation
        matrices[i] = local if node.parent is None else matrices[node.parent] @ local
    return matrices


def posed_parts(model: Model, seconds: float = 0.0, animation: int = 0) -> tuple[MeshPart, ...]:
    """All meshes of one moment in world space: morph targets applied, node transforms applied.

    Normals are transformed by the inverse transpose and renormalised; a mirroring transform turns
    the faces so that they stay counter-clockwise. The parts carry no morph targets any more.
    """
    nodes = posed_nodes(model, seconds, animation)
    posed = []
    for node, matrix in zip(nodes, world_matrices(nodes), strict=True):
        linear = matrix[:3, :3]
        for part in node.parts:
            vertices = _morphed(part.vertices, part.morphs, node.weights)
            normals, faces = part.normals, part.faces
            if normals is not None:
                normals = _morphed(normals, part.morph_normals, node.weights)
                normals = normals @ np.linalg.pinv(linear)
                length = np.linalg.norm(normals, axis=1, keepdims=True)
                normals = (normals / np.maximum(length, 1e-12)).astype(np.float32)
            if np.linalg.det(linear) < 0:
                faces = faces[:, ::-1]
            posed.append(
                replace(
                    part,
                    vertices=(vertices @ linear.T + matrix[:3, 3]).astype(np.float32),
                    faces=faces,
                    normals=normals,
                    morphs=None,
                    morph_normals=None,
                )
            )
    return tuple(posed)


def _morphed(base: np.ndarray, displacements: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
    """base [V, 3] + Σ weights [M] · displacements [M, V, 3]."""
    if displacements is None or len(weights) == 0:
        return base
    return base + np.tensordot(np.asarray(weights, float), displacements, axes=1)


def _sample(channel: Channel, seconds: float) -> np.ndarray:
    """Value [C] of a channel at a time (glTF 2.0 specification, appendix C)."""
    times, values = channel.times, channel.values
    cubic = channel.interpolation == "CUBICSPLINE"
    after = int(np.searchsorted(times, seconds, side="right"))
    if after == 0 or after == len(times):
        key = values[0 if after == 0 else -1]
        return key[1] if cubic else key
    step = float(times[after] - times[after - 1])
    u = (seconds - float(times[after - 1])) / step
    before, behind = values[after - 1], values[after]
    if channel.interpolation == "STEP":
        return before
    if cubic:
        value = (
            (2 * u**3 - 3 * u**2 + 1) * before[1]
            + step * (u**3 - 2 * u**2 + u) * before[2]
            + (3 * u**2 - 2 * u**3) * behind[1]
            + step * (u**3 - u**2) * behind[0]
        )
        return value / np.linalg.norm(value) if channel.path == "rotation" else value
    if channel.path == "rotation":
        return _slerp(before, behind, u)
    return (1 - u) * before + u * behind


def _slerp(a: np.ndarray, b: np.ndarray, u: float) -> np.ndarray:
    """Unit quaternion [4] at share u of the shorter great arc from a to b."""
    cosine = float(np.dot(a, b))
    if cosine < 0:
        b, cosine = -b, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:  # too close to divide by its sine; the chord is the arc here
        value = (1 - u) * a + u * b
    else:
        value = (np.sin((1 - u) * angle) * a + np.sin(u * angle) * b) / np.sin(angle)
    return value / np.linalg.norm(value)


def _rotation_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation [3, 3] of a unit quaternion (x, y, z, w)."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
