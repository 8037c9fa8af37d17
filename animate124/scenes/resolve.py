"""Settings of one stage for one scene: the class's defaults, recipe, preset, configuration, row.

A recipe or preset is a YAML file in `config/recipes` or `config/presets`: stage to settings. The
working directory's are looked at first, then the checkout's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from animate124.errors import UserError
from animate124.scenes.chain import STAGES, by_stage, known
from animate124.scenes.config import as_sources
from animate124.settings.base import Settings, known_keys, parse


@dataclass(frozen=True)
class Layer:
    """Settings of stages from one place; `source` says in words which."""

    source: str
    stages: Mapping[str, Mapping[str, Any]]


def read_layer(kind: str, name: str, folders: Sequence[Path]) -> Layer:
    """The recipe or preset `name`: `kind` is "recipe" or "preset", `folders` hold `config`.

    Raises UserError: no such file (naming the nearest), not YAML, or an unknown stage.
    """
    places = [folder / "config" / f"{kind}s" for folder in folders]
    there = sorted({path.stem for place in places for path in place.glob("*.yaml")})
    known(name, there, kind)
    path = next(p for place in places if (p := place / f"{name}.yaml").is_file())
    return Layer(f"the {kind} {path}", _read(path))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        return by_stage(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from None
    except UserError as error:
        raise UserError(f"In {path}: {error}") from None


def place(stage: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of what concerns a whole scene (seed, elevation), what a stage has a setting for."""
    given = {name: value for name, value in values.items() if value is not None}
    return {key: given[name] for name in given for key in _homes(stage, name)}


@cache
def _homes(stage: str, name: str) -> list[str]:
    """Where a stage keeps a setting of this name: itself, or for its training."""
    keys = known_keys(STAGES[stage].model)
    return [key for key in (name, f"train.{name}") if key in keys]


def resolve(stage: str, layers: Sequence[Layer]) -> Settings:
    """The settings of a stage; a later layer overrides an earlier one, key by key.

    Raises UserError, which names the layer, for an unknown key or a bad value.
    """
    model = STAGES[stage].model
    given = [(layer.source, layer.stages[stage]) for layer in layers if layer.stages.get(stage)]
    text = json.dumps([values for _, values in given], sort_keys=True, default=str)
    try:
        return _resolved(model, text)
    except UserError:
        _blame(stage, model, given)
        raise


@cache
def _resolved(model: type[Settings], layers: str) -> Settings:
    sources = [source for values in json.loads(layers) for source in as_sources(model, values)]
    return parse(model, *sources)


def _blame(stage: str, model: type[Settings], given: Sequence[tuple[str, Mapping]]) -> None:
    """Raise the first layer's error again, with where it comes from."""
    sources: list[Any] = []
    for source, values in given:
        sources += as_sources(model, values)
        try:
            parse(model, *sources)
        except UserError as error:
            raise UserError(f"In {source}, stage {stage}: {error}") from None


def as_text(settings: Settings) -> str:
    """Canonical JSON, for a command line, and for Snakemake to compare."""
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
