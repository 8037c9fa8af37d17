"""`animate124 views`: pictures of an asset from all sides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def views(
    asset: Annotated[Path, typer.Argument(help="Folder written by `animate124 intake`.")],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("views", "ViewsSettings")] = False,
) -> None:
    """Render the views of an asset that the multi-view video prior starts from.

    Writes into OUT: view_0.png and so on (RGBA, straight alpha), cameras.json, sheet.png, and,
    last, stage.json.

    Example: animate124 views results/fox/intake --out results/fox/views --set count=4
    """
    from animate124.settings.views import ViewsSettings

    resolved = stage.resolve(ViewsSettings, config, settings, settings_json)

    from animate124.stages import views as stages

    record = stages.views(asset, out, resolved, stage.choose_device(device), work)
    print(
        f"{out}: {record['views']} views of {resolved.size} pixels, "
        f"{record['milliseconds_per_view']:.0f} ms each."
    )
