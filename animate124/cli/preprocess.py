"""`animate124 preprocess`: the subject of a picture, cut out, centred and square."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def preprocess(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP, with or without alpha.")],
    out: stage.Out,
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    profile: stage.Profile = "nano",
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("preprocess", "PreprocessSettings")] = False,
) -> None:
    """Cut the subject out of a picture, centre it in a square, and estimate its shape.

    An alpha channel is taken as it is; without one the profile's matting model finds the subject.
    Writes into OUT: rgba.png, mask.png, depth.png and normal.png where the profile's depth model is
    there, and, last, stage.json. Nothing is kept between runs, so --work is not used.

    Example: animate124 preprocess config/inputs/panda.png --out results/panda/preprocess
    """
    from animate124.settings.preprocess import PreprocessSettings

    resolved = stage.resolve(PreprocessSettings, config, settings, settings_json)

    from animate124.stages.models import Models
    from animate124.stages.preprocess import preprocess as run

    record = run(image, out, resolved, Models(profile, stage.choose_device(device)))
    stage.warn(record["warnings"])
    print(
        f"{out / 'rgba.png'}: the subject takes {record['subject']:.0%} of the edge "
        f"(matte: {record['matte']}; depth: {record['depth']}), {record['seconds']:.0f} s."
    )
