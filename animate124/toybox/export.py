"""Clips as GLB assets, static or animated, with the paint (without light) baked to textures."""

import os
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from animate124.media.glb import (
    MeshPart,
    Node,
    write_morph_animation,
    write_node_animation,
    write_static,
)
from animate124.media.images import encode_png
from animate124.toybox.atlas import bake_atlas
from animate124.toybox.clip import Clip
from animate124.toybox.meshes import FINE, Mesh, clip_mesh
from animate124.toybox.posing import pose_mesh
from animate124.toybox.rig import JointPose


def export_static_glb(
    clip: Clip, path: str | os.PathLike, time: float = 0.0, tolerance: float = FINE
) -> None:
    """Write the character as it stands at `time` in [0, 1]: one mesh, one baked texture.

    tolerance: largest distance of the mesh from the true surface, world units (`meshes.FINE`).

    Raises:
        UserError: the file cannot be written.
    """
    mesh = clip_mesh(clip, tolerance)
    posed = pose_mesh(clip, mesh, np.array([time]))
    every = np.ones(len(mesh.rest), bool)
    part = _textured(clip, mesh, every, posed.world(mesh, 0), posed.world_normals(mesh, 0))
    write_static(path, [part])


def export_animated_glb(
    clip: Clip, path: str | os.PathLike, fps: float = 24.0, seconds: float = 2.0
) -> None:
    """Write the whole clip, t = 0 to 1 in `seconds`, with `fps` keys per second.

    A rigid clip becomes a hierarchy of moving nodes, one per joint; a clip that deforms becomes one
    mesh with a morph target per key. Vertices at the keys are those of the clip; a loop closes.

    Raises:
        ValueError: fewer than two keys, or a deforming clip that never changes.
        UserError: the file cannot be written.
    """
    count = round(fps * seconds) + (0 if clip.loop else 1)
    if count < 2:
        raise ValueError(f"{fps} keys per second for {seconds} s give fewer than two keys")
    times = clip.times(count)
    mesh = clip_mesh(clip)
    if clip.deform is None:
        nodes = _nodes(clip, mesh, times)
        if all(np.ndim(v) == 1 for n in nodes for v in (n.translation, n.rotation, n.scale)):
            # A still clip keeps its duration: its root gets keys that are all equal.
            root = np.tile(nodes[0].translation, (count, 1))
            nodes[0] = replace(nodes[0], translation=root)
        write_node_animation(path, nodes, times * seconds, loop=clip.loop, name=clip.motion)
        return
    posed = pose_mesh(clip, mesh, times)
    every = np.ones(len(mesh.rest), bool)
    first = _textured(clip, mesh, every, posed.world(mesh, 0), posed.world_normals(mesh, 0))
    write_morph_animation(
        path,
        first,
        np.stack([posed.world(mesh, k) for k in range(count)]),
        times * seconds,
        loop=clip.loop,
        normal_frames=np.stack([posed.world_normals(mesh, k) for k in range(count)]),
        name=clip.motion,
    )


def _textured(
    clip: Clip, mesh: Mesh, chosen: np.ndarray, vertices: np.ndarray, normals: np.ndarray
) -> MeshPart:
    """The vertices `chosen` [V] (whole parts) as one mesh with its own texture.

    `vertices` and `normals` are [V, 3] of the whole mesh.
    """
    parts = np.unique(mesh.part[chosen])
    atlas = bake_atlas(clip.rig, mesh, [int(p) for p in parts])
    renumber = np.cumsum(chosen) - 1
    name = clip.rig.parts[parts[0]].joint if len(parts) < len(clip.rig.parts) else clip.species
    return MeshPart(
        name=name,
        vertices=vertices[chosen].astype(np.float32),
        faces=renumber[mesh.faces[chosen[mesh.faces[:, 0]]]].astype(np.int32),
        normals=normals[chosen].astype(np.float32),
        uv=atlas.uv[chosen].astype(np.float32),
        texture=encode_png(atlas.texture),
    )


def _nodes(clip: Clip, mesh: Mesh, times: np.ndarray) -> list[Node]:
    """One node per joint, its origin at the joint's pivot, with its parts and its motion [T, ·].

    About the pivot p of a joint and q of its parent, `joint_matrices` composes the same product as
    the nodes do: translate by p − q + translation, rotate, scale.
    """
    rest = JointPose()
    poses = [clip.pose(float(t)) for t in times]
    nodes = []
    for index, joint in enumerate(clip.rig.joints):
        changes = [pose.joints.get(joint.name, rest) for pose in poses]
        parent = None if joint.parent is None else clip.rig.index(joint.parent)
        origin = np.zeros(3) if parent is None else np.asarray(clip.rig.joints[parent].pivot)
        offset = np.asarray(joint.pivot) - origin
        chosen = mesh.joint == index
        parts: tuple[MeshPart, ...] = ()
        if chosen.any():
            local = mesh.rest - np.asarray(joint.pivot)
            parts = (_textured(clip, mesh, chosen, local, mesh.normals),)
        angles = np.array([change.rotation for change in changes], float)
        turns = Rotation.from_euler("xyz", angles, degrees=True).as_quat()
        nodes.append(
            Node(
                name=joint.name,
                parent=parent,
                parts=parts,
                translation=_still_or_moving(
                    offset + np.array([change.translation for change in changes])
                ),
                rotation=_still_or_moving(turns),
                scale=_still_or_moving(np.array([change.scale for change in changes], float)),
            )
        )
    return nodes


def _still_or_moving(values: np.ndarray) -> np.ndarray:
    """[T, C], or [C] when all rows are equal, so that resting joints get no keys."""
    return values[0] if (values == values[0]).all() else values
