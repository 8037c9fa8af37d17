"""The stages of a scene, in order: their code, their settings, the roles whose models they use.

Four routes lead from what is given to a moving scene: "animate124" from a picture, "animate3d" from
a mesh, "splats" from Gaussians, and "bridge" from a picture by way of a mesh that is made of it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
            (
                *("multi-view-video", "matting", "text-to-video", "novel-view"),
                *("embedding", "action-recognition"),
            ),
        ),
        Stage("refine", "refine", "refine.RefineSettings", ("tile-control", "embedding")),
        Stage("surface", "export", "export.ExportSettings"),
        Stage("intake", "intake", "intake.IntakeSettings"),
        Stage("views", "views", "views.ViewsSettings"),
        Stage(
            "generate",
            "generate",
            "generate.GenerateSettings",
            ("multi-view-video", "matting", "embedding", "action-recognition"),
        ),
        Stage("reconstruct", "reconstruct", "reconstruct.ReconstructSettings"),
        Stage("polish", "polish", "polish.PolishSettings", ("multi-view-video", "embedding")),
        Stage("mesh", "animate_mesh", "animate_mesh.AnimateMeshSettings"),
        Stage("render", "render_video", "render.RenderSettings"),
        Stage("export", "export", "export.ExportSettings"),
        Stage(
            "evaluate",
            "evaluate",
            "evaluate.EvaluateSettings",
            ("embedding", "action-recognition"),
        ),
    )
}

_FROM_PICTURE = ("preprocess", "invert", "static")
_TO_MOTION = ("intake", "views", "generate", "reconstruct", "polish")
ROUTES: dict[str, tuple[str, ...]] = {
    "animate124": (*_FROM_PICTURE, "dynamic", "refine", "render", "export", "evaluate"),
    "animate3d": (*_TO_MOTION, "mesh", "render", "evaluate"),
    "splats": (*_TO_MOTION, "render", "evaluate"),
    "bridge": (*_FROM_PICTURE, "surface", *_TO_MOTION, "mesh", "render", "evaluate"),
}
"""The stages of each route, in order."""

OPTIONAL = ("invert",)
"""Stages of a route that are left out where no other uses what they make."""

SHOWN = {"animate124": "refine", "animate3d": "mesh", "splats": "polish", "bridge": "mesh"}
"""The stage of each route whose results are rendered."""

RESULTS = {
    "preprocess": "rgba.png",
    **dict.fromkeys(("static", "dynamic", "refine"), "field.safetensors"),
    **dict.fromkeys(("reconstruct", "polish"), "gaussians.safetensors"),
    **dict.fromkeys(("surface", "mesh", "export"), "animated.glb"),
}
"""The file in a stage's folder that later stages read, beside its record."""

MESHES = {"animate124": "export", "animate3d": "mesh", "bridge": "mesh"}
"""The stage of each route that leaves animated.glb; Gaussians have no mesh."""


def begun(folder: Path, stage: str) -> bool:
    """Whether there are any traces of a stage in a scene's folder."""
    return (folder / stage).is_dir() or (folder / "logs" / f"{stage}.log").is_file()


def way_of(folder: Path) -> str:
    """Which of ROUTES the results in a scene's folder were made on, as far as they tell."""
    if begun(folder, "surface"):
        return "bridge"
    if not begun(folder, "intake"):
        return "animate124"
    return "splats" if (folder / "intake" / "gaussians.ply").is_file() else "animate3d"


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
