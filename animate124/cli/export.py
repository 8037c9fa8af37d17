"""`animate124 export`: a finished scene as one animated GLB."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def export(
    field: Annotated[
        Path, typer.Argument(help="Folder of a finished stage: static, dynamic or refine.")
    ],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("export", "ExportSettings")] = False,
) -> None:
    """Write a finished scene as an animated mesh with vertex colours.

    Writes into OUT: animated.glb (one mesh whose vertices follow the motion; opens in Blender,
    three.js, Windows and macOS viewers), mesh.ply (t = 0), sheet.png (the field above the mesh),
    and, last, stage.json. With --set frames_ply=true also frames.zip, a PLY for every moment.

    Example: animate124 export results/panda/refine --out results/panda/export
    """
    from animate124.settings.export import ExportSettings

    resolved = stage.resolve(ExportSettings, config, settings, settings_json)

    from animate124.stages import export as stages

    record = stages.export(field, out, resolved, stage.choose_device(device), work)
    iou = record["mesh_against_field"]["silhouette_iou"]
    print(
        f"{out / stages.GLB}: {record['vertices']} vertices, {record['faces']} faces, "
        f"{record['bytes'][stages.GLB] / 1e6:.1f} MB; its silhouettes share {iou:.0%} with the "
        f"field's; {record['seconds']:.0f} s."
    )
