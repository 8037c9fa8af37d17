"""Stage `animate_mesh`: an asset and a motion in; the asset's own mesh, animated, as one GLB out.

Topology, texture coordinates, textures and materials stay as they are. The published route moves
every vertex by itself, splits seams open and leaves the normals behind (spec §13.2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from animate124.errors import UserError
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.kernels import warm
from animate124.media.glb import (
    MeshPart,
    Moving,
    Node,
    posed_parts,
    read,
    write_morphs,
    write_static,
)
from animate124.media.images import contact_sheet, write_png
from animate124.render.mesh import prepare, render_mesh
from animate124.settings.animate_mesh import AnimateMeshSettings
from animate124.stages import blender
from animate124.stages.animate_mesh_carry import bind, carry
from animate124.stages.animate_mesh_check import stacked, statistics
from animate124.stages.animate_mesh_motion import FoundMotion, read_motion
from animate124.stages.asset import open_asset
from animate124.stages.finished import alone
from animate124.stages.moving_mesh import in_our_world
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    staged,
    work_folder,
    write_record,
)
from animate124.stages.placement import PLACEMENT, Placement, read_placement
from animate124.stages.welding import Welded, split, weld_parts

GLB, FBX, SHEET = "animated.glb", "animated.fbx", "sheet.png"
_AZIMUTHS, _MOMENTS, _ELEVATION = (0.0, 120.0, 240.0), 6, 15.0


def outputs(settings: AnimateMeshSettings) -> tuple[str, ...]:
    """Names of the files the stage writes, the record last."""
    return (GLB, *([FBX] if settings.fbx else []), SHEET, RECORD)


def animate_mesh(
    folder: Path,
    motion: Path,
    out: Path,
    settings: AnimateMeshSettings,
    device: str = "cpu",
    work: Path | None = None,
) -> dict:
    """Animate the asset in `folder` by the motion in `motion`; returns the record.

    animated.glb: the asset's parts with a morph target for every moment. Its first moment is the
    asset, to the last bit. sheet.png: three sides over time, from that file.

    Raises:
        UserError: no finished intake or motion, an asset of Gaussians, FBX wished for without
            Blender, or an output folder that cannot be written.
    """
    watch = Stopwatch()
    names = outputs(settings)
    check_target(out, (*names, FBX))
    if settings.fbx:
        blender.need()
    warm.ensure_compiled()
    with alone(work or work_folder(out)):
        asset = open_asset(folder)
        if asset.cloud is not None:
            raise UserError(
                f"The asset in {folder} is made of Gaussians and has no mesh to animate: its "
                "motion is in the folder of reconstruct or polish."
            )
        placement = read_placement(folder)
        with watch.part("motion"):
            found = read_motion(motion, settings, device)
        with watch.part("carry"):
            welded = weld_parts(asset.parts)
            frames, normals = _carried(asset.parts, welded, found, settings)
        with staged(out, names) as place:
            with watch.part("write"):
                packed = _write(
                    place / GLB, asset.parts, frames, normals, found, settings, placement
                )
            with watch.part("check"):
                decoded = _decoded(place / GLB, found)
                positions = stacked(decoded, "vertices")
                radius = float(np.linalg.norm(welded.points, axis=1).max())
                scores = statistics(positions, frames, welded, radius)
            with watch.part("sheet"):
                write_png(place / SHEET, _sheet(decoded, settings.preview))
            if settings.fbx:
                with watch.part("fbx"):
                    blender.convert(place / GLB, place / FBX)
            record = write_record(
                place,
                "animate_mesh",
                settings,
                watch,
                device,
                inputs={
                    "asset": asset.path,
                    "placement": folder / PLACEMENT,
                    "motion": found.path,
                },
                frames=len(found.times),
                fps=found.fps,
                loop=found.loop,
                moves=packed is not None,
                vertices=len(welded.index),
                welded_vertices=len(welded.points),
                triangles=len(welded.faces),
                gaussians=found.carriers.positions.shape[1],
                packing=packed or "static",
                bytes=(place / GLB).stat().st_size,
                **scores,
            )
        if not settings.fbx:
            (out / FBX).unlink(missing_ok=True)  # of an earlier run, of another motion
    return record


def _carried(
    parts: tuple[MeshPart, ...], welded: Welded, found: FoundMotion, settings: AnimateMeshSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and normals of all vertices in a row, float32 [T, V, 3] each.

    A vertex goes exactly where its point goes; its normal turns as its point does, so that hard
    edges stay hard. Normals of parts without any are 0.
    """
    rest = np.concatenate(
        [np.zeros_like(p.vertices) if p.normals is None else p.normals for p in parts]
    )
    outward = np.zeros_like(welded.points)
    np.add.at(outward, welded.index, rest)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-12)
    binding = bind(
        welded.points, found.carriers, settings.neighbours, outward, settings.normal_weight
    )
    moved, turns = carry(welded.points, found.carriers, binding)
    normals = np.einsum("tvij,vj->tvi", turns[:, welded.index], rest)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    frames = moved.astype(np.float32)[:, welded.index]
    frames[0] = np.concatenate([part.vertices for part in parts])
    return frames, normals.astype(np.float32)


def _write(
    path: Path,
    parts: tuple[MeshPart, ...],
    frames: np.ndarray,
    normals: np.ndarray,
    found: FoundMotion,
    settings: AnimateMeshSettings,
    placement: Placement,
) -> str | None:
    """Write the GLB; returns how its morph targets are packed, None if nothing moves."""
    root = None
    if settings.original:
        turn = Rotation.from_matrix(placement.rotation.T).as_quat()
        scale = (1.0 / placement.scale,) * 3
        root = Node("original", translation=placement.centre, rotation=turn, scale=scale)
    moving = [
        Moving(part, shapes, None if part.normals is None else directions)
        for part, shapes, directions in zip(
            parts, split(frames, parts), split(normals, parts), strict=True
        )
    ]
    if (frames == frames[0]).all():
        write_static(path, parts, root)
        return None
    radius = float(np.linalg.norm(frames[0], axis=1).max())
    times = np.arange(len(frames)) / found.fps
    return write_morphs(
        path, moving, times, found.loop, "motion", settings.tolerance * radius, root
    ).packing


def _decoded(path: Path, found: FoundMotion) -> list[tuple[MeshPart, ...]]:
    """The parts of the file in our world at every moment, as any reader finds them."""
    still = in_our_world(read(path))
    times = (np.arange(len(found.times)) / found.fps).astype(np.float32)  # as they are stored
    return [posed_parts(still, float(t)) for t in times]


def _sheet(decoded: list[tuple[MeshPart, ...]], size: int) -> np.ndarray:
    """Three sides at six moments."""
    count = min(_MOMENTS, len(decoded))
    chosen = [k * len(decoded) // count for k in range(count)]
    cameras = Cameras(orbit(torch.tensor(_AZIMUTHS), _ELEVATION), DEFAULT_FOV_Y, size, size)
    columns = [render_mesh(prepare(decoded[k]), cameras, 2, "studio") for k in chosen]
    rows = [[column[v] for column in columns] for v in range(len(_AZIMUTHS))]
    labels = [f"frame {k}" for k in chosen]
    return contact_sheet(rows, [f"{a:.0f}°" for a in _AZIMUTHS], labels)
