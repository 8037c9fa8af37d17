"""The table of scenes: a row is an image or a 3D asset, and a sentence; the rest is optional."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from animate124.errors import UserError
from animate124.scenes.chain import by_stage, known
from animate124.settings.base import Settings, parse, setting

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RESERVED = ("zoo", "logs", "benchmarks")  # folders of results that are no scene's
REQUIRED = ("scene", "prompt")


class Scene(Settings):
    """One row of the table; a column that is left out, or empty, is derived or the default."""

    scene: str = setting(
        ...,
        "Name: small letters, digits, - and _; the results lie in results/NAME",
        None,
    )
    image: str | None = setting(
        None,
        "Picture of the subject: PNG, JPEG or WebP, with alpha or without (or give `asset`)",
        None,
        min_length=1,
    )
    asset: str | None = setting(
        None,
        "3D asset that is to move: GLB, glTF, OBJ, PLY mesh or PLY Gaussians (or give `image`)",
        None,
        min_length=1,
    )
    route: Literal["animate124", "animate3d"] | None = setting(
        None,
        "How it comes to move: an asset by animate3d; an image by animate124 or, after it was made "
        "an asset, by animate3d",
        None,
    )
    prompt: str = setting(..., "What it does, such as 'a panda is dancing'", None, min_length=1)
    subject: str | None = setting(
        None, "The subject without the motion (derived: 'a panda')", None, min_length=1
    )
    word: str | None = setting(
        None,
        "The known word that textual inversion starts from (derived: 'panda')",
        None,
        min_length=1,
    )
    token_prompt: str | None = setting(
        None,
        "The sentence with <subject> for the subject (derived: 'a <subject> is dancing')",
        None,
        min_length=1,
    )
    elevation: float | None = setting(
        None, "Elevation the picture is seen from", "degrees", gt=-90, lt=90
    )
    seed: int | None = setting(None, "Seed of this scene", None, ge=0, lt=2**63)
    truth: str | None = setting(
        None,
        "YAML file of the toybox character that the picture shows, to be scored against",
        None,
        min_length=1,
    )
    profile: str | None = setting(None, "Priors profile of this scene", None, min_length=1)
    preset: str | None = setting(None, "Preset of this scene", None, min_length=1)
    recipe: str | None = setting(None, "Recipe of this scene", None, min_length=1)
    settings: dict[str, dict[str, Any]] = setting(
        {}, "Settings of stages for this scene, such as {static: {train: {steps: 50}}}", None
    )

    @field_validator("scene")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("small letters, digits, - and _, with a letter or digit first")
        if value in RESERVED:
            raise ValueError(f"results/{value} is taken by something else")
        return value

    @model_validator(mode="after")
    def _has_one_source(self) -> Scene:
        if (self.image is None) == (self.asset is None):
            given = "neither" if self.image is None else "both"
            raise ValueError(f"a scene has an image or an asset, and this one has {given}")
        if self.asset is not None and self.route == "animate124":
            raise ValueError("the route animate124 starts from an image, not from an asset")
        return self

    @property
    def way(self) -> str:
        """Which of `chain.ROUTES` it takes."""
        if self.asset is not None:
            return "animate3d"
        return "bridge" if self.route == "animate3d" else "animate124"


COLUMNS = tuple(Scene.model_fields)


def read_table(path: Path) -> dict[str, Scene]:
    """The scenes of a tab-separated table by name, in its order.

    Empty lines and lines that begin with # are skipped. Raises UserError, with the line: the table
    is missing or empty, a column is unknown (naming the nearest) or missing, a cell is missing, is
    one too many or holds a bad value, or two rows have one name.
    """
    lines = [(number, cells) for number, cells in _lines(path) if any(cells)]
    if not lines:
        raise UserError(f"The table {path} is empty: its first line names the columns.")
    (_, columns), *rows = lines
    _check_columns(path, columns)
    scenes: dict[str, Scene] = {}
    for number, cells in rows:
        try:
            scene = _scene(columns, cells)
            if scene.scene in scenes:
                raise UserError(f"the scene '{scene.scene}' is there already: rename one of them.")
        except UserError as error:
            raise UserError(f"In {path}, line {number}: {error}") from None
        scenes[scene.scene] = scene
    return scenes


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"There is no table of scenes {path}: write one, or name another with "
            "--config scenes=FILE."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The table of scenes {path} cannot be read ({error}).") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            (cells,) = csv.reader([line], delimiter="\t") if line else ([],)
            found.append((number, [cell.strip() for cell in cells]))
    return found


def _check_columns(path: Path, columns: list[str]) -> None:
    try:
        if len(columns) == 1:
            raise UserError("columns are separated by tabs, and there is only one.")
        for column in columns:
            known(column, COLUMNS, "column")
        for column in REQUIRED:
            if column not in columns:
                raise UserError(f"the column '{column}' is missing.")
        for column in columns:
            if columns.count(column) > 1:
                raise UserError(f"the column '{column}' is there twice.")
    except UserError as error:
        raise UserError(f"In {path}: {error}") from None


def _scene(columns: list[str], cells: list[str]) -> Scene:
    if len(cells) > len(columns):
        raise UserError(
            f"there are {len(cells)} cells and {len(columns)} columns: cells are separated by one "
            "tab each."
        )
    given = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
    for column in REQUIRED:
        if column not in given:
            raise UserError(f"the cell '{column}' is empty.")
    scene = parse(
        Scene, [f"{column}={cell}" for column, cell in given.items() if column != "settings"]
    )
    return scene.model_copy(update={"settings": _settings(given.get("settings", ""))})


def _settings(cell: str) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        return by_stage(yaml.safe_load(cell))
    except yaml.YAMLError:
        raise UserError(f"the cell 'settings' is not valid YAML: {cell}") from None
