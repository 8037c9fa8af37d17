"""Stage `export`: a finished field in; one animated mesh of constant topology out."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from animate124.kernels import warm
from animate124.media.files import write_bytes
from animate124.media.glb import MeshPart, write_morph_animation, write_static
from animate124.media.images import write_png
from animate124.media.ply import write_mesh
from animate124.settings.export import ExportSettings
from animate124.stages.export_check import compare
from animate124.stages.export_mesh import extract, fitting_level, vertex_normals
from animate124.stages.export_motion import along, best_base, motion, slice_paths, slice_times
from animate124.stages.finished import alone
from animate124.stages.finished_field import open_field
from animate124.stages.outputs import (
    FIELD,
    RECORD,
    Stopwatch,
    check_target,
    staged,
    work_folder,
    write_record,
)

GLB, MESH, SHEET, FRAMES = "animated.glb", "mesh.ply", "sheet.png", "frames.zip"


def outputs(settings: ExportSettings) -> tuple[str, ...]:
    """Names of the files the stage writes, the record last."""
    return (GLB, MESH, SHEET, *([FRAMES] if settings.frames_ply else []), RECORD)


def export(
    folder: Path,
    out: Path,
    settings: ExportSettings,
    device: str = "cpu",
    work: Path | None = None,
) -> dict:
    """Write the field in `folder` as an animated mesh into `out`; returns the record.

    animated.glb: one mesh with vertex colours, which hold their light and are shown as they are
    (unlit); its vertices follow the motion of the field as morph targets. A field that stands still
    gives a mesh without animation. mesh.ply: the mesh at t = 0. sheet.png: field and mesh side by
    side. frames.zip, if asked for: a PLY for every moment.

    Raises:
        UserError: no finished field in `folder`, a field that shows nothing, or an output folder
            that cannot be written.
    """
    watch = Stopwatch()
    check_target(out, (*outputs(settings), FRAMES))
    warm.ensure_compiled()
    scene = open_field(folder, device)
    with alone(work or work_folder(out)):
        with watch.part("motion"):
            level, agreement = fitting_level(scene)
            flow = motion(scene)
            base = best_base(scene, flow, level) if flow else 0
        with watch.part("surface"):
            surface = extract(scene, settings, slice_times(scene)[base], level)
            keys = slice_paths(scene, flow, surface.vertices, base)
            paths = along(keys, scene.times(settings.frames).numpy(), scene.loop)
        with watch.part("check"):
            scores, sheet = compare(scene, surface, paths)
        mesh = MeshPart(
            "subject",
            paths[0].astype(np.float32),
            surface.faces,
            colors=surface.colours,
            unlit=True,
        )
        moves = bool((paths.astype(np.float32) != mesh.vertices).any())
        with staged(out, outputs(settings)) as place:
            _glb(
                place / GLB, mesh, paths, scene.times(settings.frames).numpy(), scene.loop, settings
            )
            normals = vertex_normals(paths[0], surface.faces)
            write_mesh(place / MESH, replace(mesh, normals=normals.astype(np.float32)))
            write_png(place / SHEET, sheet)
            if settings.frames_ply:
                _frames(place / FRAMES, mesh, paths)
            record = write_record(
                place,
                "export",
                settings,
                watch,
                device,
                inputs={"field": folder / FIELD},
                vertices=len(mesh.vertices),
                faces=len(mesh.faces),
                density_level=round(level, 3),
                silhouette_iou_of_level=round(agreement, 4),
                surface_of_slice=base,
                mesh_against_field=scores,
                moves=moves,
                loop=scene.loop,
                bytes={name: (place / name).stat().st_size for name in outputs(settings)[:-1]},
            )
        if not settings.frames_ply:
            (out / FRAMES).unlink(missing_ok=True)  # of an earlier run, of another mesh
    return record


def _glb(
    path: Path,
    mesh: MeshPart,
    paths: np.ndarray,
    times: np.ndarray,
    loop: bool,
    settings: ExportSettings,
) -> None:
    frames = paths.astype(np.float32)
    if not (frames != mesh.vertices).any():
        write_static(path, [mesh])
        return
    write_morph_animation(path, mesh, frames, times * settings.seconds, loop)


def _frames(path: Path, mesh: MeshPart, paths: np.ndarray) -> None:
    """A PLY for every moment, in one archive whose bytes depend on nothing else."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, vertices in enumerate(paths):
            posed = replace(
                mesh,
                vertices=vertices.astype(np.float32),
                normals=vertex_normals(vertices, mesh.faces).astype(np.float32),
            )
            name = f"frame_{k:03d}.ply"
            write_mesh(path.parent / name, posed)
            entry = zipfile.ZipInfo(name)  # dated 1980, always
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (path.parent / name).read_bytes())
            (path.parent / name).unlink()
    write_bytes(path, packed.getvalue())
