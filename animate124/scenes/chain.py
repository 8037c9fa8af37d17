"""The stages of a scene, in order: their code, their settings, the roles whose models they use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from animate124.errors import UserError
from animate124.settings.base import Settings


@dataclass(frozen=True)
class Stage:
    """One stage: `code` is its module within `animate124.stages`, `settings` is "module.Class"
    within `animate124.settings`, `roles` are those of the priors it may use
    (`priors.profiles.ROLES`)."""

    name: str
    code: str
    settings: str
    roles: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The dotted name of the module that runs."""
        return f"animate124.stages.{self.code}"

    @property
    def model(self) -> type[Settings]:
        """The class of its settings."""
        module, _, name = self.settings.partition(".")
        return getattr(importlib.import_module(f"animate124.settings.{module}"), name)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("preprocess", "preprocess", "preprocess.PreprocessSettings", ("matting", "depth")),
        Stage("invert", "invert", "invert.InversionSettings", ("text-to-image", "embedding")),
        Stage(
            "static",
            "static",
            "static.StaticSettings",
            ("novel-view", "text-to-image", "embedding"),
        ),
        Stage(
            "dynamic",
            "dynamic",
            "dynamic.DynamicSettings",
            ("text-to-video", "novel-view", "embedding"),
        ),
        Stage("refine", "refine", "refine.RefineSettings", ("tile-control", "embedding")),
        Stage("render", "render_video", "render.RenderSettings"),
        Stage("export", "export", "export.ExportSettings"),
        Stage("evaluate", "evaluate", "evaluate.EvaluateSettings", ("embedding",)),
    )
}


def known(name: str, among: Iterable[str], what: str) -> str:
    """`name` if it is one of `among`; else a UserError with the nearest, or with all there are."""
    among = list(among)
    if name in among:
        return name
    near = difflib.get_close_matches(name, among, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(among) or 'none'}."
    raise UserError(f"There is no {what} '{name}': {hint}")


def by_stage(values: Any) -> dict[str, dict[str, Any]]:
    """Settings by stage, as YAML or a command line gave them; nothing at all is none.

    Raises UserError for what is not of this form, and for an unknown stage, naming the nearest.
    """
    values = {} if values is None else values
    if isinstance(values, Mapping):
        for stage in values:
            known(str(stage), STAGES, "stage")
        found = {stage: {} if inner is None else inner for stage, inner in values.items()}
        if all(isinstance(inner, Mapping) for inner in found.values()):
            return {stage: dict(inner) for stage, inner in found.items()}
    raise UserError(
        f"settings by stage are of the form {{static: {{train: {{steps: 50}}}}}}, not {values!r}."
    )
