"""`animate124 intake`: a static 3D asset, centred, scaled and set upright."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def intake(
    asset: Annotated[
        Path, typer.Argument(help="GLB, glTF, OBJ or PLY mesh, or a PLY of 3D Gaussians.")
    ],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("intake", "IntakeSettings")] = False,
) -> None:
    """Bring a static 3D asset into the world of the later stages.

    It is centred, scaled and set upright by itself; an animated one gives its rest pose. Writes
    into OUT: asset.glb (or gaussians.ply), normalise.json (how it was placed, to undo it),
    sheet.png (eight sides: look whether it stands upright and faces 0°), and, last, stage.json.

    Example: animate124 intake fox.glb --out results/fox/intake --set front=90
    """
    from animate124.settings.intake import IntakeSettings

    resolved = stage.resolve(IntakeSettings, config, settings, settings_json)

    from animate124.stages import intake as stages

    record = stages.intake(asset, out, resolved, stage.choose_device(device), work)
    counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in record["counts"].items())
    print(f"{out}: {counts}; up is {record['up']}; {record['seconds']:.1f} s.")
