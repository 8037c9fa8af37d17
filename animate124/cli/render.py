"""`animate124 render`: videos, a contact sheet and a poster of a finished field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def render(
    field: Annotated[
        Path, typer.Argument(help="Folder of a finished stage: static, dynamic or refine.")
    ],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("render", "RenderSettings")] = False,
) -> None:
    """Render videos, a contact sheet and a poster of a finished scene.

    Writes into OUT: video.mp4 (the reference view, then once around, while the subject moves),
    turntable.mp4 (once around at t = 0), front.mp4, side.mp4 and back.mp4 (fixed views), sheet.png
    (four sides over time), poster.png, and, last, stage.json.

    Example: animate124 render results/panda/refine --out results/panda/render --set size=256
    """
    from animate124.settings.render import RenderSettings

    resolved = stage.resolve(RenderSettings, config, settings, settings_json)

    from animate124.stages import render_video

    record = render_video.render(field, out, resolved, stage.choose_device(device), work)
    print(
        f"{out / 'video.mp4'}: {resolved.size} pixels; {record['frames']} pictures in all, "
        f"{record['milliseconds_per_frame']:.0f} ms each, {record['seconds']:.0f} s."
    )
