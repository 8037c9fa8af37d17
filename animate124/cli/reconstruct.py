"""`animate124 reconstruct`: the motion of an asset from clips of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def reconstruct(
    asset: Annotated[Path, typer.Argument(help="Folder written by `animate124 intake`.")],
    views: Annotated[Path, typer.Option(help="Folder written by `animate124 views`.")],
    videos: Annotated[Path, typer.Option(help="Folder written by `animate124 generate`.")],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("reconstruct", "ReconstructSettings")] = False,
) -> None:
    """Find the motion that clips from several sides show of an asset.

    The asset becomes a cloud of Gaussians, carried by control nodes that follow the clips and stay
    as stiff as they can; at t = 0 it is the asset at rest. Writes into OUT: gaussians.safetensors,
    sheet.png (targets, results, and a side that no clip shows, over time), and, last, stage.json.

    Killed or interrupted, the same command goes on where it stopped.

    Example: animate124 reconstruct results/fox/intake --views results/fox/views
    --videos results/fox/generate --out results/fox/reconstruct
    """
    from animate124.settings.reconstruct import ReconstructSettings

    resolved = stage.resolve(ReconstructSettings, config, settings, settings_json)

    from animate124.stages.reconstruct import reconstruct as run

    record = run(asset, views, videos, out, resolved, stage.choose_device(device), work=work)
    print(
        f"{out}: {record['gaussians']} Gaussians move by {record['amplitude']:.3f} world units; "
        f"{record['steps']} steps, {record['seconds']:.0f} s in all."
    )
