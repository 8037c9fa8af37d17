"""What the stages' commands share: their options, and how settings and device are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from animate124.settings.base import Settings

    Model = TypeVar("Model", bound=Settings)

Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Work = Annotated[
    Path | None,
    typer.Option(help="Folder for checkpoint, log and previews; .OUT.work beside OUT if left out."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
Config = Annotated[Path | None, typer.Option(help="YAML or JSON file of settings.")]
SettingsJson = Annotated[
    str | None, typer.Option(metavar="JSON", help="Settings as JSON text, as the workflow gives.")
]
Profile = Annotated[
    str, typer.Option(help="Priors profile: a name (`animate124 priors list`) or a YAML file.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; the best there is if left out.")
]


def listing(module: str, name: str) -> Callable[[bool], None]:
    """The callback of --list-settings for the settings class `name` of a settings module."""

    def show(wanted: bool) -> None:
        if wanted:
            from importlib import import_module

            from animate124.settings.base import describe

            print("\n".join(describe(getattr(import_module(module), name))))
            raise typer.Exit

    return show


def list_option(module: str, name: str) -> object:
    """The option --list-settings of a stage."""
    return typer.Option(
        "--list-settings",
        callback=listing(f"animate124.settings.{module}", name),
        is_eager=True,
        help="Print every setting with its default and unit.",
    )


def resolve(
    model: type[Model],
    config: Path | None,
    changes: Sequence[str] | None,
    settings_json: str | None = None,
) -> Model:
    """Settings from the class's defaults, a file, JSON text and "key=value" texts, in this order.

    Raises UserError as `settings.base.parse`, and for text that is not a JSON object.
    """
    from animate124.settings.base import parse

    given = [_mapping(settings_json)] if settings_json else []
    return parse(model, *([config] if config else []), *given, list(changes or ()))


def _mapping(text: str) -> dict[str, Any]:
    """A JSON object from the command line."""
    import json

    from animate124.errors import UserError

    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"--settings-json is not valid JSON ({error}).") from None
    if not isinstance(found, dict):
        raise UserError('--settings-json must be an object, such as {"train": {"steps": 5}}.')
    return found


def choose_device(wanted: str | None) -> str:
    """The device to run on. Raises UserError for one that is not there."""
    from animate124.runtime import best_device

    if wanted is None:
        return best_device()
    import torch

    from animate124.errors import UserError

    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, ImportError):
        raise UserError(
            f"There is no device '{wanted}' here: leave --device out, or give cpu; "
            "`animate124 doctor` lists the devices."
        ) from None
    return wanted


def warn(warnings: Sequence[str]) -> None:
    """Print what the user should know, a line each, where errors are printed."""
    import sys

    for sentence in warnings:
        print(f"warning: {sentence}", file=sys.stderr)
