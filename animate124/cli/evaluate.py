"""`animate124 evaluate`: scores, baselines, a verdict and the costs of a finished scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage


def evaluate(
    scene: Annotated[Path, typer.Argument(help="Folder of the scene, with its stages' folders.")],
    prompt: Annotated[str, typer.Option(help="What it does: the motion sentence.")],
    out: stage.Out,
    subject: Annotated[str, typer.Option(help="What of the sentence is the subject.")] = "",
    truth: Annotated[
        Path | None,
        typer.Option(help="Truth bundle of the character (from `animate124 toybox render`)."),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            help="Stage whose results are scored: static, dynamic or refine; of an asset "
            "reconstruct, polish or mesh. The last there are if left out."
        ),
    ] = None,
    profile: stage.Profile = "nano",
    work: stage.Work = None,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    device: stage.Device = None,
    list_settings: Annotated[bool, stage.list_option("evaluate", "EvaluateSettings")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Score a finished scene beside trivial baselines, and say in one word what became of it.

    Writes into OUT: metrics.json (scores of the scene, of each stage and of the baselines;
    verdict ok, static, exploded or drifted with its reason; seconds, memory and licences),
    sheet.png (unseen sides over time, with the truth where there is one), and, last, stage.json.

    Example: animate124 evaluate results/panda --prompt "a panda is dancing" --subject "a panda"
    --truth results/panda/truth --out results/panda/evaluate
    """
    from animate124.settings.evaluate import EvaluateSettings

    resolved = stage.resolve(EvaluateSettings, config, settings, settings_json)

    from animate124.stages import evaluate as stages
    from animate124.stages.models import Models

    models = Models(profile, stage.choose_device(device))
    metrics = stages.evaluate(
        scene,
        out,
        resolved,
        models,
        prompt,
        subject=subject,
        truth=truth,
        field=field,
        work=work,
    )
    if as_json:
        print(json.dumps(metrics))
        return
    print(f"{out / stages.METRICS}: {metrics['verdict']}. {metrics['reason']}")
