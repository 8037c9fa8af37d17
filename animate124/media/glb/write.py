"""Write GLB files (glTF 2.0 binary) that the Khronos validator passes without a warning."""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from animate124.media.glb.build import Writer, below, key_times
from animate124.media.glb.model import MeshPart, Node


def write_static(
    path: str | os.PathLike, parts: Sequence[MeshPart], root: Node | None = None
) -> None:
    """Write meshes that do not move, one node each, atomically.

    root: a node above them all, whose transform moves them; None for none.

    Raises:
        ValueError: no parts. UserError: the file cannot be written.
    """
    if not parts:
        raise ValueError("a GLB needs at least one mesh part")
    writer = Writer()
    writer.add_nodes(below(root, [Node(part.name, parts=(part,)) for part in parts]))
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
    times = key_times(times, loop)
    frames = len(times) - 1 if loop else len(times)
    writer = Writer()
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
