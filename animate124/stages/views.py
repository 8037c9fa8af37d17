"""Stage `views`: an asset in; the views that the multi-view video prior starts from out.

They show the textured surface itself; the published route renders one Gaussian per vertex, and its
prior sees a blurred object (spec §13.2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS, Cameras, orbit
from animate124.kernels import warm
from animate124.media.files import write_json
from animate124.media.images import contact_sheet, write_png
from animate124.settings.views import ViewsSettings
from animate124.stages.asset import open_asset, pictures
from animate124.stages.finished import alone
from animate124.stages.multiview import CAMERAS, view_name
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    staged,
    work_folder,
    write_record,
)

SHEET = "sheet.png"


def outputs(settings: ViewsSettings) -> tuple[str, ...]:
    """Names of the files the stage writes, the record last."""
    return (*(view_name(k) for k in range(settings.count)), CAMERAS, SHEET, RECORD)


def views(
    folder: Path,
    out: Path,
    settings: ViewsSettings,
    device: str = "cpu",
    work: Path | None = None,
) -> dict:
    """Render the asset in `folder` from all sides into `out`; returns the record.

    view_K.png: square RGBA with straight alpha. cameras.json: azimuth and elevation [count]
    degrees, radius in world units, fov_y in degrees, size in pixels, and the grey level of the
    background that the prior was trained on.

    Raises:
        UserError: no finished intake in `folder`, or an output folder that cannot be written.
    """
    watch = Stopwatch()
    names = outputs(settings)
    earlier = [p.name for p in out.glob("view_*.png")] if out.is_dir() else []
    check_target(out, (*names, *earlier))
    warm.ensure_compiled()
    with alone(work or work_folder(out)):
        asset = open_asset(folder)
        azimuth = (settings.azimuth + 360.0 * np.arange(settings.count) / settings.count) % 360.0
        poses = orbit(torch.from_numpy(azimuth), settings.elevation)
        cameras = Cameras(poses, DEFAULT_FOV_Y, settings.size, settings.size)
        with watch.part("render"):
            seen = pictures(asset, cameras, settings.supersample, settings.light)
        with staged(out, names) as place:
            for index, image in enumerate(seen):
                write_png(place / view_name(index), image)
            sheet = contact_sheet([list(seen)], [], [f"{a:.0f}°" for a in azimuth])
            write_png(place / SHEET, sheet)
            facts = {
                "azimuth": azimuth.tolist(),
                "elevation": [settings.elevation] * settings.count,
                "radius": DEFAULT_RADIUS,
                "fov_y": DEFAULT_FOV_Y,
                "size": settings.size,
                "background": settings.background,
            }
            write_json(place / CAMERAS, {"version": 1, **facts})
            record = write_record(
                place,
                "views",
                settings,
                watch,
                device,
                inputs={"asset": asset.path},
                views=settings.count,
                light=settings.light if asset.cloud is None else None,
                milliseconds_per_view=round(1000 * watch.parts["render"] / settings.count, 1),
                coverage=round(float(seen[..., 3].mean()), 4),
            )
        for name in set(earlier) - set(names):
            (out / name).unlink(missing_ok=True)  # of an earlier run with more views
    return record
