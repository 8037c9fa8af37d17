"""Everything the Snakefile asks: the scenes, and what each stage of a scene depends on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import animate124
from animate124.errors import UserError
from animate124.media.ply import holds_gaussians
from animate124.priors.profiles import load_profile
from animate124.priors.sizes import image_size
from animate124.scenes import fingerprint, prompts
from animate124.scenes.chain import OPTIONAL, ROUTES, STAGES, known
from animate124.scenes.config import read_config
from animate124.scenes.prompts import Prompts
from animate124.scenes.resolve import Layer, as_text, place, read_layer, resolve
from animate124.scenes.table import Scene, read_table
from animate124.settings.base import Settings, parse, setting
from animate124.stages.needless import why_not_refine

TRUTH = "animate124.toybox.bundle"  # the module that draws it


class TruthSettings(Settings):
    """The toybox character that a scene's picture shows: how to draw it again."""

    seed: int = setting(..., "Seed of the character", None, ge=0)
    species: str = setting(..., "Its species", None, min_length=1)
    motion: str = setting(..., "What it does", None, min_length=1)


class Plan:
    """A configuration with its scenes, presets and recipes.

    Files are looked for in the working directory, then in the checkout, so the workflow also runs
    from an empty folder.

    Args:
        config: Snakemake's configuration. root: the checkout that holds package and workflow.

    Raises:
        UserError: anything wrong in the configuration, the table, or a scene's settings.
    """

    def __init__(self, config: Mapping[str, Any], root: Path) -> None:
        self.root = root
        self.config = read_config(config)
        self._layers: dict[tuple[str, str], Layer] = {}
        self._codes: dict[str, str] = {}
        self._overrides = Layer("the configuration", self.config.stages)
        load_profile(self.config.profile)
        for stage in STAGES:
            resolve(stage, self._common(stage, None))
        for scene in self.scenes.values():
            for stage in scene.settings:
                self.settings(stage, scene.scene)

    @cached_property
    def scenes(self) -> dict[str, Scene]:
        """The rows of the table by name."""
        return read_table(self.find(self.config.scenes))

    def scene(self, name: str) -> Scene:
        """A row of the table. Raises UserError for an unknown one, naming the known."""
        return self.scenes[known(name, self.scenes, "scene")]

    def find(self, path: str) -> Path:
        """A file of the working directory or, if it is only there, of the checkout."""
        inside = self.root / path
        return inside if inside.exists() and not os.path.exists(path) else Path(path)

    def way(self, name: str) -> str:
        """Which of `chain.ROUTES` a scene takes. Raises UserError if its asset is not there."""
        way = self.scene(name).way
        if way == "animate3d" and holds_gaussians(Path(self._source("asset", name))):
            return "splats"
        return way

    def stages(self, name: str) -> tuple[str, ...]:
        """The stages of a scene, in order, without optional ones that nothing needs."""
        route = ROUTES[self.way(name)]
        learnt = any(s in route and self.uses_word(s, name) for s in ("static", "refine"))
        return tuple(stage for stage in route if learnt or stage not in OPTIONAL)

    def uses_word(self, stage: str, name: str) -> bool:
        """Whether `stage`, static or refine, of a scene uses the word that `invert` learns."""
        settings = self.settings(stage, name)
        if stage == "static":
            return settings.text > 0
        if not settings.tile:
            return False
        return not why_not_refine(settings, _picture_size(self.profile(name)))

    def image(self, name: str) -> str:
        """The picture of a scene. Raises UserError if there is none."""
        return self._source("image", name)

    def asset(self, name: str) -> str:
        """The 3D asset of a scene: its own, or what is made of its picture on the way.

        Raises UserError if there is none.
        """
        if self.way(name) == "bridge":
            return f"results/{name}/surface/animated.glb"
        return self._source("asset", name)

    def _source(self, column: str, name: str) -> str:
        named = getattr(self.scene(name), column)
        if named is None:
            raise UserError(
                f"The scene '{name}' has no {column}: give one in {self.config.scenes}, or ask for "
                "what is made of what it has."
            )
        path = self.find(named)
        if not os.path.isfile(path):
            raise UserError(
                f"The {column} {path} of the scene '{name}' is not there: put it there, or correct "
                f"the column '{column}' in {self.config.scenes}."
            )
        return str(path)

    def prompts(self, name: str) -> Prompts:
        """What the stages of a scene are told."""
        scene = self.scene(name)
        return prompts.derive(scene.prompt, scene.subject, scene.word, scene.token_prompt)

    def profile(self, name: str) -> str:
        """The priors profile of a scene."""
        return self.scene(name).profile or self.config.profile

    def settings(self, stage: str, name: str) -> Settings:
        """All settings of a stage for a scene. Raises UserError for a wrong key or value."""
        scene = self.scene(name)
        own = Layer(f"{self.config.scenes}, scene '{name}'", scene.settings)
        whole = place(stage, {"elevation": scene.elevation, "seed": scene.seed})
        row = Layer(own.source, {stage: whole})
        return resolve(stage, [*self._common(stage, scene), row, own])

    def settings_text(self, stage: str, name: str) -> str:
        """`settings` as one line of JSON."""
        return as_text(self.settings(stage, name))

    def code(self, stage: str) -> str:
        """What changes when a stage has to run again because of the program itself.

        `stage` may also be "truth". Looked at once: a program that changes during a run is not
        noticed by it.
        """
        if self.config.code_tracking == "off":
            return ""
        if self.config.code_tracking == "version":
            return animate124.__version__
        if stage not in self._codes:
            module, roles = TRUTH, ()
            if stage != "truth":
                module, roles = STAGES[stage].module, STAGES[stage].roles
            self._codes[stage] = fingerprint.code_digest(module, roles, self.root)
        return self._codes[stage]

    def models(self, stage: str, name: str) -> str:
        """What changes when a model that a stage of a scene may use changes."""
        return fingerprint.models_digest(stage, self.profile(name))

    def truth(self, name: str) -> TruthSettings | None:
        """How to draw the truth of a scene, if it has any. Raises UserError for a bad file."""
        path = self.truth_file(name)
        if path is None:
            return None
        try:
            return parse(TruthSettings, Path(path))
        except UserError as error:
            raise UserError(f"In {path}, the truth of the scene '{name}': {error}") from None

    def truth_file(self, name: str) -> str | None:
        """The file that says how to draw the truth of a scene, if it has any.

        Raises UserError if it is named and not there.
        """
        named = self.scene(name).truth
        if named is not None and not os.path.isfile(self.find(named)):
            raise UserError(
                f"The file {named} of the scene '{name}' is not there: put it there, or leave the "
                f"column 'truth' in {self.config.scenes} empty."
            )
        return None if named is None else str(self.find(named))

    def _common(self, stage: str, scene: Scene | None) -> list[Layer]:
        """What holds for a stage before a scene's own settings."""
        recipe = (scene and scene.recipe) or self.config.recipe
        preset = (scene and scene.preset) or self.config.preset
        seed = {stage: place(stage, {"seed": self.config.seed})}
        return [
            self._layer("recipe", recipe),
            self._layer("preset", preset),
            Layer("the configuration", seed),
            self._overrides,
        ]

    def _layer(self, kind: str, name: str) -> Layer:
        if (kind, name) not in self._layers:
            self._layers[kind, name] = read_layer(kind, name, [Path(), self.root])
        return self._layers[kind, name]


@cache
def _picture_size(profile: str) -> int | None:
    """Edge of the pictures that a profile's tile ControlNet knows, pixels."""
    return image_size(load_profile(profile), "tile-control")
