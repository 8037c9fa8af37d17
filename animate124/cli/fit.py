"""`animate124 fit`: a 4D field from a truth bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def _list(wanted: bool) -> None:
    if wanted:
        from animate124.settings.base import describe
        from animate124.settings.fit import FitSettings

        print("\n".join(describe(FitSettings)))
        raise typer.Exit


def fit(
    bundle: Annotated[Path, typer.Argument(help="Truth bundle (from `animate124 toybox render`).")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    frame: Annotated[
        int | None, typer.Option(min=0, help="Fit only this fit frame: a static scene.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Optimisation steps.")] = None,
    list_settings: Annotated[
        bool,
        typer.Option(
            "--list-settings",
            callback=_list,
            is_eager=True,
            help="Print every setting with its default and unit.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Fit a 4D radiance field to a multi-view truth bundle and score what it did not see.

    Only the bundle's fit views at its fit times are used; the scores are of its held-out views at
    its held-out times. Writes into OUT: field.safetensors, video.mp4 (an orbit while time runs),
    turntable.mp4 (an orbit at t = 0), sheet.png (truth above result), settings.json, and, last,
    metrics.json with the trivial baselines beside the result.

    Killed or interrupted, the same command goes on where it stopped; checkpoint, log and previews
    lie beside OUT, in .OUT.work.

    Example: animate124 toybox render --seed 18 --size 64 --out truth/18 &&
    animate124 fit truth/18 --out results/fit-18
    """
    from animate124.settings.base import parse
    from animate124.settings.fit import FitSettings

    extra = [*(settings or [])]
    if frame is not None:
        extra.append(f"frame={frame}")
    if steps is not None:
        extra.append(f"train.steps={steps}")
    resolved = parse(FitSettings, *([config] if config else []), extra)

    from animate124.runtime import best_device
    from animate124.stages import fit as stage

    metrics = stage.fit(bundle, out, resolved, best_device())
    if as_json:
        print(json.dumps(metrics))
        return
    rival = "nearest_view" if resolved.frame is not None else "static_own_view"
    unseen = "views" if resolved.frame is not None else "views and times"
    print(
        f"{out}: {metrics['psnr_fg']:.1f} dB on unseen {unseen} ({rival.replace('_', ' ')}: "
        f"{metrics['baselines'][rival]['psnr_fg']:.1f} dB), "
        f"{metrics['seconds']:.0f} s, {metrics['peak_memory_mib']:.0f} MiB."
    )
