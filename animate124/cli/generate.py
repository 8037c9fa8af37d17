"""`animate124 generate`: multi-view clips of an asset from its still views and a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def generate(
    views: Annotated[Path, typer.Argument(help="Folder written by `animate124 views`.")],
    prompt: Annotated[str, typer.Option(help='What it is and does, such as "a robot is waving".')],
    out: stage.Out,
    profile: stage.Profile = "nano",
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    work: stage.Work = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("generate", "GenerateSettings")] = False,
) -> None:
    """Let an asset move: a clip from each of its views' cameras, all of one motion.

    Writes into OUT: frames/view_V_frame_KK.png (RGBA, frame 0 the view itself), clips.mp4 (the
    views side by side), sheet.png, and, last, stage.json.

    Killed or interrupted, the same command goes on after the last finished candidate.

    Example: animate124 generate results/robot/views --prompt "a robot is waving"
    --out results/robot/generate
    """
    from animate124.settings.generate import GenerateSettings

    resolved = stage.resolve(GenerateSettings, config, settings, settings_json)

    from animate124.stages.generate import generate as run
    from animate124.stages.models import Models

    models = Models(profile, stage.choose_device(device))
    record = run(views, out, resolved, models, prompt, work=work)
    best = record["candidates"][record["chosen"]]
    print(
        f"{out}: {record['views']} views of {record['frames']} frames, candidate "
        f"{record['chosen'] + 1} of {len(record['candidates'])}, amplitude {best['amplitude']}, "
        f"agreement {best['agreement']}, {record['seconds']:.0f} s."
    )
