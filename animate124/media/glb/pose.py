"""Where a model's parts stand at a moment: keys, morph targets, skins, node transforms."""

from dataclasses import replace

import numpy as np

from animate124.media.glb.model import Channel, MeshPart, Model, Node
from animate124.media.glb.skin import vertex_matrices


def posed_nodes(model: Model, seconds: float | None, animation: int = 0) -> tuple[Node, ...]:
    """The nodes with translation, rotation, scale and weights of one moment; None: at rest.

    Before the first key the first value holds, after the last key the last one. A model without
    animations is at rest at every time.
    """
    nodes = list(model.nodes)
    moving = seconds is not None and model.animations
    channels = model.animations[animation].channels if moving else ()
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


def posed_parts(
    model: Model, seconds: float | None = None, animation: int = 0
) -> tuple[MeshPart, ...]:
    """All meshes of one moment in world space: morph targets, skins and node transforms applied.

    seconds: None poses the model at rest, by its nodes' own transforms and weights.

    Normals are transformed by the cofactors (inverse transpose up to length) and renormalised; a
    mirroring transform turns the faces so that they stay counter-clockwise. The parts carry neither
    morph targets nor joints any more.
    """
    nodes = posed_nodes(model, seconds, animation)
    world = world_matrices(nodes)
    posed = []
    for node, matrix in zip(nodes, world, strict=True):
        for part in node.parts:
            vertices = _morphed(part.vertices, part.morphs, node.weights)
            matrices = matrix[None, :3]
            if node.skin is not None and part.joints is not None:
                skin = model.skins[node.skin]
                matrices = vertex_matrices(skin, world, part.joints, part.weights)
            linear = matrices[:, :, :3]
            normals, faces = part.normals, part.faces
            if normals is not None:
                normals = _morphed(normals, part.morph_normals, node.weights)
                normals = np.einsum("vij,vj->vi", _broadcast(_cofactors(linear), normals), normals)
                length = np.linalg.norm(normals, axis=1, keepdims=True)
                normals = (normals / np.maximum(length, 1e-30)).astype(np.float32)
            if np.median(np.linalg.det(linear)) < 0:
                faces = faces[:, ::-1]
                normals = None if normals is None else -normals
            moved = np.einsum("vij,vj->vi", _broadcast(linear, vertices), vertices)
            posed.append(
                replace(
                    part,
                    vertices=(moved + matrices[:, :, 3]).astype(np.float32),
                    faces=faces,
                    normals=normals,
                    morphs=None,
                    morph_normals=None,
                    joints=None,
                    weights=None,
                )
            )
    return tuple(posed)


def _broadcast(matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[V, 3, 3] of [V, 3, 3] or [1, 3, 3]."""
    return np.broadcast_to(matrices, (len(rows), 3, 3))


def _cofactors(linear: np.ndarray) -> np.ndarray:
    """det · inverse transpose of [V, 3, 3], which exists for flattening matrices too."""
    rows = [np.cross(linear[:, (k + 1) % 3], linear[:, (k + 2) % 3]) for k in range(3)]
    return np.stack(rows, axis=1)


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
