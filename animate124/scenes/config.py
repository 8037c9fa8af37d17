"""The workflow's configuration: what `config/config.yaml` and `--config` may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from animate124.errors import UserError
from animate124.scenes.chain import by_stage
from animate124.settings.base import Settings, known_keys, parse, setting


class WorkflowSettings(Settings):
    """The workflow's configuration (`config/config.yaml`, `snakemake --config key=value`)."""

    scenes: str = setting("config/scenes.tsv", "Table of scenes, one row each", None, min_length=1)
    profile: str = setting("nano", "Priors profile (`animate124 priors list`)", None, min_length=1)
    recipe: str = setting(
        "default", "How scenes are made: a file of config/recipes", None, min_length=1
    )
    preset: str = setting(
        "draft", "How much is spent on a scene: a file of config/presets", None, min_length=1
    )
    device: str = setting(
        "auto", "auto (the best there is), cpu (asks SLURM for no GPU), cuda or cuda:N", None,
        min_length=1,
    )  # fmt: skip
    seed: int = setting(0, "Seed of every random choice", None, ge=0, lt=2**63)
    threads: int = setting(
        1,
        "CPU threads a stage may use; --cores is the upper limit. More than one pays for large "
        "models only: nano ones are fastest with one, and --cores then runs stages side by side",
        "threads",
        ge=1,
    )
    code_tracking: Literal["source", "version", "off"] = setting(
        "source",
        "What of the program makes a stage run again: a change of the code it runs (not of comments"
        " or layout), of the package's version, or nothing; choosing another runs everything again",
        None,
    )
    stages: dict[str, dict[str, Any]] = setting(
        {}, "Settings of stages, such as {dynamic: {train: {steps: 300}}}, for all scenes", None
    )
    zoo_steps: int | None = setting(
        None, "Target zoo: training steps of every nano model (none: the model's own)", "steps",
        ge=0,
    )  # fmt: skip
    zoo_characters: int = setting(
        58, "Target zoo: characters of the test split to score on", "characters", ge=1
    )


def read_config(values: Mapping[str, Any]) -> WorkflowSettings:
    """Check what Snakemake read; texts are read as the key's type, since `--config` gives texts.

    Raises UserError: an unknown key or stage (naming the nearest), or a bad value.
    """
    given = {key: value for key, value in values.items() if value is not None}
    try:
        if "stages" in given:
            given["stages"] = by_stage(given["stages"])
        return parse(WorkflowSettings, *as_sources(WorkflowSettings, given))
    except UserError as error:
        raise UserError(f"In the configuration: {error}") from None


def as_sources(model: type[Settings], values: Mapping[str, Any]) -> list[Any]:
    """Sources for `settings.base.parse` from a mapping in which numbers may have become texts."""
    leaves = set(known_keys(model))
    texts, others = [], {}
    for key, value in _flattened(values, leaves, ""):
        if isinstance(value, str):
            texts.append(f"{key}={value}")
        else:
            others[key] = value
    return [others, texts]


def _flattened(values: Mapping[str, Any], leaves: set[str], prefix: str) -> Iterator:
    """(dotted key, value); what stands at a key of `leaves` is a value, even if it is a mapping."""
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        inside = any(leaf.startswith(f"{dotted}.") for leaf in leaves)
        if isinstance(value, Mapping) and inside:
            yield from _flattened(value, leaves, f"{dotted}.")
        else:
            yield dotted, value
