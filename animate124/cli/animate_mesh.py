"""`animate124 animate-mesh`: the asset's own mesh, carried by a motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def animate_mesh(
    asset: Annotated[Path, typer.Argument(help="Folder written by `animate124 intake`.")],
    motion: Annotated[
        Path, typer.Option(help="Folder written by `animate124 reconstruct` or `polish`.")
    ],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[
        bool, stage.list_option("animate_mesh", "AnimateMeshSettings")
    ] = False,
) -> None:
    """Animate an asset's own mesh: its triangles, texture and materials stay as they are.

    Writes into OUT: animated.glb (a morph target for every moment; opens in Blender, three.js,
    Windows and macOS viewers), sheet.png, and, last, stage.json. With --set original=true it
    stands where the asset stood before intake; with --set fbx=true, and Blender installed, also
    animated.fbx.

    Example: animate124 animate-mesh results/fox/intake --motion results/fox/polish
    --out results/fox/mesh
    """
    from animate124.settings.animate_mesh import AnimateMeshSettings

    resolved = stage.resolve(AnimateMeshSettings, config, settings, settings_json)

    from animate124.stages import animate_mesh as stages

    record = stages.animate_mesh(asset, motion, out, resolved, stage.choose_device(device), work)
    print(
        f"{out / stages.GLB}: {record['vertices']} vertices, {record['frames']} moments, "
        f"{record['bytes'] / 1e6:.1f} MB ({record['packing']}); edges change by "
        f"{record['edge_mean']:.1%} on average; {record['seconds']:.1f} s."
    )
