"""`animate124 zoo`: train, score and describe the nano models that are shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The nano models: train them on the toybox, score them, read their cards.",
)

_Role = Annotated[
    str,
    typer.Argument(
        help="autoencoder, embedding, action-recognition, text-to-image, novel-view, "
        "tile-control, multi-view-video, depth or matting."
    ),
]
_Models = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the models, one folder a role; that of the shipped ones if left out."
    ),
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]


def _list(wanted: bool) -> None:
    if wanted:
        from animate124.settings.base import describe
        from animate124.settings.zoo import ZooSettings

        print("\n".join(describe(ZooSettings)))
        raise typer.Exit


@app.command()
def train(
    role: _Role,
    models: _Models = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder for checkpoint, log and previews.")
    ] = None,
    settings: _Set = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Optimisation steps.")] = None,
    reached: Annotated[
        bool, typer.Option("--reached", help="Only write what an unfinished training has reached.")
    ] = False,
    list_settings: Annotated[
        bool,
        typer.Option(
            "--list-settings",
            callback=_list,
            is_eager=True,
            help="Print every setting with its default and unit; roles have their own defaults.",
        ),
    ] = False,
) -> None:
    """Train one nano model on renderings of the toybox and write it, with its card.

    Killed or interrupted, the same command goes on where it stopped. The order is: autoencoder,
    embedding, text-to-image, then the others; matting and action-recognition stand alone.
    `--set start=shipped` goes on from the weights that are there (of the autoencoder only the
    decoder: other models have learnt its latents). `snakemake zoo` trains everything from scratch.

    Example: animate124 zoo train depth --models results/zoo/models
    """
    from animate124.runtime import best_device
    from animate124.settings.base import parse
    from animate124.settings.zoo import ZooSettings
    from animate124.zoo import cards, roles
    from animate124.zoo import train as zoo

    defaults = roles.module_of(role).DEFAULTS.model_dump()
    extra = [*(settings or []), *([] if steps is None else [f"train.steps={steps}"])]
    resolved = parse(ZooSettings, defaults, extra)
    run = zoo.export_reached if reached else zoo.train
    place = models or roles.NANO
    card = run(role, resolved, place, work or Path("results/zoo/work") / role, best_device())
    print(cards.text(card))


@app.command()
def evaluate(
    role: _Role,
    models: _Models = None,
    split: Annotated[str, typer.Option(help="dev or test.")] = "test",
    count: Annotated[int, typer.Option(min=1, help="Characters to score on.")] = 58,
    sheet: Annotated[Path | None, typer.Option(help="Write the sheet to look at here.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the scores into the card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a nano model on characters it never saw, with trivial baselines beside it.

    Example: animate124 zoo evaluate novel-view --sheet results/novel-view.png
    """
    from animate124.media.images import write_png
    from animate124.zoo import cards, roles

    place = models or roles.NANO
    scorer = roles.scores_of(role)
    described = cards.read(place / role) if write else {}  # before the minutes of scoring
    scores = scorer.evaluate(place, split, count)
    figures = {"split": split, "characters": count, **scores.figures}
    if sheet is not None and scores.sheet is not None:
        write_png(sheet, scores.sheet)
    if write:
        cards.write(place / role, described | {"scores": figures})
    print(
        json.dumps(figures)
        if as_json
        else "\n".join(f"{key}: {value}" for key, value in figures.items())
    )


@app.command()
def card(
    role: Annotated[str | None, typer.Argument(help="A role; all of them if left out.")] = None,
    models: _Models = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell where a nano model comes from and how good it is.

    Example: animate124 zoo card novel-view
    """
    from animate124.zoo import cards, roles

    names = list(roles.MODULES) if role is None else [roles.known(role)]
    found = [cards.read((models or roles.NANO) / name) for name in names]
    print(
        json.dumps(found if role is None else found[0], indent=2)
        if as_json
        else "\n\n".join(cards.text(one) for one in found)
    )
