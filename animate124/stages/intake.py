"""Stage `intake`: a static 3D asset in; one GLB, or Gaussian PLY, of our world out.

The published route has the user type rotations and a scale by hand, three times (spec §13.4). Here
the asset is centred, scaled and set upright by itself, and how is written down, to be undone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from animate124.errors import UserError
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras
from animate124.geometry.trajectories import orbit_views
from animate124.kernels import warm
from animate124.media.files import write_json
from animate124.media.glb import write_static
from animate124.media.images import contact_sheet, write_png
from animate124.media.ply import write_gaussians
from animate124.settings.intake import IntakeSettings
from animate124.stages.asset import GAUSSIANS, MESH, open_file, pictures
from animate124.stages.finished import alone
from animate124.stages.intake_parts import placed_gaussians, placed_parts, visible
from animate124.stages.intake_read import Asset, read_asset
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    staged,
    work_folder,
    write_record,
)
from animate124.stages.placement import PLACEMENT, Placement, place
from animate124.stages.welding import weld_parts

SHEET = "sheet.png"
ELEVATION = 15.0
_VIEWS, _SAMPLES = 8, 2


def outputs(kind: str) -> tuple[str, ...]:
    """Names of the files the stage writes for a "mesh" or for "gaussians", the record last."""
    return ({"mesh": MESH, "gaussians": GAUSSIANS}[kind], PLACEMENT, SHEET, RECORD)


def intake(
    asset: Path,
    out: Path,
    settings: IntakeSettings,
    device: str = "cpu",
    work: Path | None = None,
) -> dict:
    """Bring the asset into our world and write it into `out`; returns the record.

    asset.glb: all meshes at rest, nodes flattened, one part per material, textures embedded; or
    gaussians.ply. normalise.json: the similarity there and back. sheet.png: eight sides.

    Raises:
        UserError: an asset that cannot be used, or an output folder that cannot be written.
    """
    watch = Stopwatch()
    check_target(out, (MESH, *outputs("gaussians")))
    warm.ensure_compiled()
    with alone(work or work_folder(out)):
        with watch.part("read"):
            found = read_asset(asset, settings)
        placement, up = _placement(asset, found, settings)
        kind = "mesh" if found.gaussians is None else "gaussians"
        names = outputs(kind)
        with staged(out, names) as folder:
            with watch.part("place"):
                counts = _write(folder, found, placement, settings)
            with watch.part("sheet"):
                write_png(folder / SHEET, _sheet(folder / names[0], settings.preview))
            facts = {"kind": kind, "up": up, "front": settings.front, "radius": settings.radius}
            facts |= {"source": asset.name, "counts": counts}
            write_json(folder / PLACEMENT, placement.record() | facts)
            record = write_record(
                folder,
                "intake",
                settings,
                watch,
                device,
                inputs={"asset": asset},
                **facts,
                own_motion_left_out=found.moving,
                bytes=(folder / names[0]).stat().st_size,
            )
        other = GAUSSIANS if kind == "mesh" else MESH
        (out / other).unlink(missing_ok=True)  # of an earlier run, of another asset
    return record


def _placement(path: Path, asset: Asset, settings: IntakeSettings) -> tuple[Placement, str]:
    """How the asset is placed, and which of its axes was taken to point up."""
    up = asset.up if settings.up == "auto" else settings.up
    points = asset.points
    if asset.gaussians is not None:
        points = points[visible(asset.gaussians)]
    try:
        return place(points, up, settings.front, settings.radius), up
    except ValueError as error:
        raise UserError(f"The asset {path} cannot be placed ({error}): export it again.") from None


def _write(
    folder: Path, asset: Asset, placement: Placement, settings: IntakeSettings
) -> dict[str, int]:
    """Write the asset in our world; returns what it has how many of."""
    if asset.gaussians is not None:
        kept = placed_gaussians(asset.gaussians, placement, settings.radius)
        write_gaussians(folder / GAUSSIANS, kept)
        left_out = len(asset.gaussians.positions) - len(kept.positions)
        return {"gaussians": len(kept.positions), "gaussians_left_out": left_out}
    parts = placed_parts(asset.parts, placement)
    write_static(folder / MESH, parts)
    return {
        "parts": len(parts),
        "vertices": sum(len(part.vertices) for part in parts),
        "welded_vertices": len(weld_parts(parts).points),
        "triangles": sum(len(part.faces) for part in parts),
        "textures": len({p.texture for p in parts if p.texture is not None}),
    }


def _sheet(path: Path, size: int) -> np.ndarray:
    """Eight sides of the asset, four a row."""
    cameras = Cameras(orbit_views(_VIEWS, ELEVATION), DEFAULT_FOV_Y, size, size)
    with torch.no_grad():
        seen = pictures(open_file(path), cameras, _SAMPLES, "studio")
    azimuths = [f"{360 * k / _VIEWS:.0f}°" for k in range(_VIEWS)]
    half = _VIEWS // 2
    rows = [list(seen[:half]), list(seen[half:])]
    return contact_sheet(rows, [f"from {azimuths[0]}", f"from {azimuths[half]}"], azimuths[:half])
