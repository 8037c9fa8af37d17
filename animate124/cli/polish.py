"""`animate124 polish`: a motion refined by the multi-view video prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def polish(
    scene: Annotated[Path, typer.Argument(help="Folder written by `animate124 reconstruct`.")],
    views: Annotated[Path, typer.Option(help="Folder written by `animate124 views`.")],
    prompt: Annotated[str, typer.Option(help="What it does: the motion sentence.")],
    out: stage.Out,
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder written by `animate124 generate`, to follow its clips besides."),
    ] = None,
    profile: stage.Profile = "nano",
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    work: stage.Work = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("polish", "PolishSettings")] = False,
) -> None:
    """Refine a motion so that the multi-view video prior finds it likely.

    All views are judged together, from all sides, over the whole clip. The motion stays stiff and
    may not fade. Writes into OUT what reconstruct writes: gaussians.safetensors, sheet.png, and,
    last, stage.json.

    Killed or interrupted, the same command goes on where it stopped.

    Example: animate124 polish results/fox/reconstruct --views results/fox/views
    --videos results/fox/generate --prompt "a fox is waving" --out results/fox/polish
    """
    from animate124.settings.polish import PolishSettings

    resolved = stage.resolve(PolishSettings, config, settings, settings_json)

    from animate124.stages.models import Models
    from animate124.stages.polish import polish as run

    models = Models(profile, stage.choose_device(device))
    record = run(scene, views, out, resolved, models, prompt, videos=videos, work=work)
    print(
        f"{out}: {record['steps']} steps, {record['seconds']:.0f} s in all; the motion's amplitude "
        f"was {record['amplitude_before']} and is {record['amplitude']} world units."
    )
