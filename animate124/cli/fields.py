"""`animate124 static`, `dynamic` and `refine`: from a matted picture to a moving field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli.stage import (
    Config,
    Device,
    Out,
    Profile,
    Set,
    SettingsJson,
    Work,
    choose_device,
    list_option,
    resolve,
)

_Subject = Annotated[Path, typer.Option(help="Folder written by `animate124 preprocess`.")]
_Token = Annotated[
    Path | None, typer.Option(help="Folder written by `animate124 invert`: the learnt word.")
]


def static(
    subject: Annotated[
        Path, typer.Argument(help="Folder of the matted picture (from `animate124 preprocess`).")
    ],
    out: Out,
    prompt: Annotated[
        str, typer.Option(help="What it is; counts where the setting text is not 0.")
    ] = "",
    token: _Token = None,
    profile: Profile = "nano",
    settings: Set = None,
    config: Config = None,
    settings_json: SettingsJson = None,
    work: Work = None,
    device: Device = None,
    list_settings: Annotated[bool, list_option("static", "StaticSettings")] = False,
) -> None:
    """Turn one matted picture into a static 3D scene.

    The picture is matched from where it was taken; all other sides come from the novel-view prior
    and, if the setting text is not 0, the text-to-image prior. Writes into OUT: field.safetensors,
    views.png (eight sides), and, last, stage.json.

    Killed or interrupted, the same command goes on where it stopped; checkpoint, log and previews
    lie beside OUT, in .OUT.work.

    Example: animate124 static results/panda/preprocess --prompt "a panda"
    --out results/panda/static
    """
    from animate124.settings.static import StaticSettings

    resolved = resolve(StaticSettings, config, settings, settings_json)

    from animate124.stages.models import Models
    from animate124.stages.static import static as stage

    models = Models(profile, choose_device(device))
    _report(out, stage(subject, out, resolved, models, prompt, token=token, work=work))


def dynamic(
    scene: Annotated[Path, typer.Argument(help="Folder written by `animate124 static`.")],
    subject: _Subject,
    prompt: Annotated[str, typer.Option(help="What it does: the motion sentence.")],
    out: Out,
    profile: Profile = "nano",
    settings: Set = None,
    config: Config = None,
    settings_json: SettingsJson = None,
    work: Work = None,
    device: Device = None,
    list_settings: Annotated[bool, list_option("dynamic", "DynamicSettings")] = False,
) -> None:
    """Make a static scene move as a sentence says.

    The multi-view video prior makes clips of the static scene, from all sides at once; the motion
    of its surface is found in them, and time slices of the field learn the scene as it is carried
    along. With --set source=video, or where the profile has no such prior, the text-to-video prior
    moves the slices, one side after the other, and the novel-view prior keeps the sides in
    agreement. The picture holds t = 0 in place. Writes into OUT: field.safetensors, sheet.png
    (three sides over time), and, last, stage.json.

    Killed or interrupted, the same command goes on where it stopped.

    Example: animate124 dynamic results/panda/static --subject results/panda/preprocess
    --prompt "a panda is dancing" --out results/panda/dynamic
    """
    from animate124.settings.dynamic import DynamicSettings

    resolved = resolve(DynamicSettings, config, settings, settings_json)

    from animate124.stages.dynamic import dynamic as stage
    from animate124.stages.models import Models

    models = Models(profile, choose_device(device))
    _report(out, stage(scene, subject, out, resolved, models, prompt, work=work))


def refine(
    scene: Annotated[Path, typer.Argument(help="Folder written by `animate124 dynamic`.")],
    subject: _Subject,
    prompt: Annotated[
        str, typer.Option(help="The motion sentence, with the learnt word if --token is given.")
    ],
    out: Out,
    token: _Token = None,
    profile: Profile = "nano",
    settings: Set = None,
    config: Config = None,
    settings_json: SettingsJson = None,
    work: Work = None,
    device: Device = None,
    list_settings: Annotated[bool, list_option("refine", "RefineSettings")] = False,
) -> None:
    """Sharpen a moving scene with a tile ControlNet.

    Views of the coarse scene are rendered once; the ControlNet, told the sentence with the learnt
    word, denoises what the scene shows of them, and the scene follows. Writes into OUT:
    field.safetensors, sheet.png (three sides over time), and, last, stage.json.

    Killed or interrupted, the same command goes on where it stopped.

    Example: animate124 refine results/panda/dynamic --subject results/panda/preprocess
    --token results/panda/invert --prompt "a <subject> is dancing" --out results/panda/refine
    """
    from animate124.settings.refine import RefineSettings

    resolved = resolve(RefineSettings, config, settings, settings_json)

    from animate124.stages.models import Models
    from animate124.stages.refine import refine as stage

    models = Models(profile, choose_device(device))
    _report(out, stage(scene, subject, out, resolved, models, prompt, token=token, work=work))


def _report(out: Path, record: dict) -> None:
    print(f"{out}: {record['steps']} steps, {record['seconds']:.0f} s in all.")
