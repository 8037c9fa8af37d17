"""Write meshes whose vertices move freely, as morph targets, as small as they may be."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from animate124.media.files import write_bytes
from animate124.media.glb.build import POSITION_STEP, Writer, below, key_times, unit_normals
from animate124.media.glb.model import MeshPart, Node

# A packing that is read by fewer programs is taken where the file is at least this much smaller.
WORTH = 0.25
_LEAST_LENGTH = 0.25  # of a normal that is shortened so that its displacement can be quantised


@dataclass(frozen=True, eq=False)
class Moving:
    """A part at rest and where it goes: frames [F, V, 3], normal_frames [F, V, 3] or None."""

    part: MeshPart
    frames: np.ndarray
    normal_frames: np.ndarray | None = None


@dataclass(frozen=True)
class Packed:
    """How morph targets were stored: "plain", "sparse" or "quantised", the file's bytes so, and
    those that it would have had with plain ones."""

    packing: str
    bytes: int
    plain_bytes: int


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
    write_morphs(path, [Moving(part, frames, normal_frames)], times, loop, name, tolerance=0.0)


def write_morphs(
    path: str | os.PathLike,
    moving: Sequence[Moving],
    times: Sequence[float],
    loop: bool = False,
    name: str = "motion",
    tolerance: float = 0.0,
    root: Node | None = None,
) -> Packed:
    """Write several meshes that move together, as morph targets, atomically.

    Args:
        times, loop, name: as in `write_morph_animation`.
        tolerance: largest error of a position, in the file's units. With 0 displacements are plain
            floats; else they are sparse, or 16-bit integers, where the file is then smaller by at
            least a quarter and no position is further off than this.
        root: a node above all parts, whose transform moves them; None for none.

    Raises: as `write_morph_animation`.
    """
    frames = [np.asarray(m.frames, np.float32) for m in moving]
    bases = [np.asarray(m.part.vertices, np.float32) for m in moving]
    for m, found, base in zip(moving, frames, bases, strict=True):
        if found.shape != (len(times), *base.shape):
            raise ValueError(f"frames must be {(len(times), *base.shape)}, got {found.shape}")
        if m.normal_frames is not None and m.part.normals is None:
            raise ValueError("normal_frames need a part with normals")
    clock = key_times(times, loop)
    differs = [(found != base).any(axis=(1, 2)) for found, base in zip(frames, bases, strict=True)]
    moved = np.flatnonzero(np.any(differs, axis=0))
    if len(moved) == 0:
        raise ValueError("no frame differs from the rest mesh: use write_static")
    weights = np.zeros((len(times), len(moved)), np.float32)
    weights[moved, np.arange(len(moved))] = 1.0
    if loop:
        weights = np.concatenate((weights, weights[:1]))
    displacements = [found[moved] - base for found, base in zip(frames, bases, strict=True)]

    def encoded(packing: str) -> bytes:
        writer = Writer(packing)
        nodes = []
        for m, deltas, changes in zip(moving, displacements, differs, strict=True):
            part = replace(m.part, morphs=None, morph_normals=None)
            if changes.any():
                turns = _normal_deltas(m, moved, packing == "quantised")
                part = replace(part, morphs=deltas, morph_normals=turns)
            start = weights[0] if changes.any() else ()
            nodes.append(Node(part.name, parts=(part,), weights=start))
        writer.add_nodes(below(root, nodes))
        values = writer.add_array(weights.reshape(-1, 1))
        first = 0 if root is None else 1
        channels = [(first + i, "weights", values) for i, d in enumerate(differs) if d.any()]
        writer.add_animation(name, writer.add_times(clock), channels)
        return writer.encode()

    best = encoded("plain")
    chosen, plain = "plain", len(best)
    if tolerance > 0:
        reach = max(float(np.abs(d).max()) for d in displacements)
        fits = reach <= 1.0 and tolerance >= POSITION_STEP / 2
        for packing in ("sparse", "quantised") if fits else ("sparse",):
            found = encoded(packing)
            if len(found) <= (1 - WORTH) * len(best):
                best, chosen = found, packing
    write_bytes(path, best)
    return Packed(chosen, len(best), plain)


def _normal_deltas(m: Moving, moved: np.ndarray, bounded: bool) -> np.ndarray | None:
    """Displacements of the normals [M, V, 3]; `bounded`: within [-1, 1] in frames where it can be.

    A player brings the sum to length one, so a normal that turned far may be met with a shorter
    vector in its direction: the longest one whose displacement fits. About a right angle there is
    none; a frame that has such a normal keeps its displacements as they are.
    """
    if m.normal_frames is None:
        return None
    rest = unit_normals(np.asarray(m.part.normals, np.float32))
    normals = unit_normals(np.asarray(m.normal_frames, np.float32)[moved])
    if bounded:
        # λn − r within ±1 on each axis: λ ≤ (1 + r·sign(n)) / |n|.
        room = (1.0 + rest * np.sign(normals)) / np.maximum(np.abs(normals), 1e-9)
        length = np.minimum(room.min(axis=-1, keepdims=True), 1.0)
        fits = length.min(axis=(1, 2), keepdims=True) >= _LEAST_LENGTH
        normals = np.where(fits, length, 1.0) * normals
        return np.where(fits, np.clip(normals - rest, -1.0, 1.0), normals - rest)
    return normals - rest
