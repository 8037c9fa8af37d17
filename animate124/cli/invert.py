"""`animate124 invert`: a word of its own for the subject of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def invert(
    subject: Annotated[
        Path, typer.Argument(help="Folder of the matted picture (from `animate124 preprocess`).")
    ],
    word: Annotated[
        str, typer.Option(help="A known word for the kind of thing it is: where learning starts.")
    ],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    profile: stage.Profile = "nano",
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("invert", "InversionSettings")] = False,
) -> None:
    """Teach the text-to-image model a word for the subject of one picture (textual inversion).

    The word is written <subject> in sentences, unless the setting token says otherwise. Writes into
    OUT: token.safetensors, samples.png (the subject, then what the model draws for its word), and,
    last, stage.json.

    Killed or interrupted, the same command goes on where it stopped; checkpoint, log and previews
    lie beside OUT, in .OUT.work.

    Example: animate124 invert results/panda/preprocess --word panda --out results/panda/invert
    """
    from animate124.settings.invert import InversionSettings

    resolved = stage.resolve(InversionSettings, config, settings, settings_json)

    from animate124.stages.invert import invert as run
    from animate124.stages.models import Models

    models = Models(profile, stage.choose_device(device))
    record = run(subject, out, resolved, models, word, work=work)
    stage.warn(record["warnings"])
    print(
        f"{out / 'token.safetensors'}: {resolved.token}, from '{record['start']}', "
        f"{record['steps']} steps, {record['seconds']:.0f} s."
    )
