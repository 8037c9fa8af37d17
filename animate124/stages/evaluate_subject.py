"""What a scene is scored against: the picture it started from, or the front view of its asset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from animate124.errors import UserError
from animate124.geometry.cameras import orbit
from animate124.settings.evaluate import EvaluateSettings
from animate124.stages.evaluate_views import (
    Alignment,
    Shown,
    Stand,
    align,
    look_at_truth,
    stand,
    stand_at,
)
from animate124.stages.finished_cloud import CLOUD
from animate124.stages.finished_mesh import MESH
from animate124.stages.multiview import read_views, view_name
from animate124.stages.outputs import FIELD, need_file, read_record
from animate124.stages.passing import passed_on
from animate124.stages.placement import read_placement
from animate124.toybox.bundle import Bundle

FROM_PICTURE = dict.fromkeys(("static", "dynamic", "refine"), FIELD)
FROM_ASSET = {**dict.fromkeys(("reconstruct", "polish"), CLOUD), "mesh": MESH}
"""The stages whose results can be scored, in the order of their routes, and the file of each."""


@dataclass(frozen=True, eq=False)
class Subject:
    """`picture`: the file; `pose` [4, 4] and `elevation` (degrees) of its camera; `results`: the
    files of the stages up to the chosen one; `placed`: how the truth stands in the scene, where
    that is known."""

    picture: Path
    pose: Tensor
    elevation: float
    results: tuple[Path, ...]
    placed: Alignment | None = None


def open_subject(scene: Path, chosen: str) -> Subject:
    """What the results of the stage `chosen` in a scene's folder are scored against.

    Raises UserError: what the route begins with is missing or damaged.
    """
    if chosen in FROM_PICTURE:
        path = need_file(
            scene / "preprocess" / "rgba.png",
            "give the folder of a scene, in which the stage preprocess has run",
        )
        elevation = float(read_record(scene / chosen).get("elevation", 0.0))
        return Subject(path, orbit(0.0, elevation), elevation, _files(scene, chosen, FROM_PICTURE))
    views = read_views(scene / "views")
    path = need_file(views.folder / view_name(0), "run `animate124 views` into it again")
    placement = read_placement(scene / "intake")
    turn = torch.from_numpy(placement.rotation).float()
    shift = -placement.scale * turn @ torch.from_numpy(placement.centre).float()
    return Subject(
        path,
        views.cameras(8).c2w[0],
        float(views.elevation[0]),
        _files(scene, chosen, FROM_ASSET),
        Alignment(placement.scale, shift, turn),
    )


def choose(scene: Path, stage: str | None) -> str:
    """The stage whose results are scored: `stage`, or the last that is there and did anything.

    Raises UserError if there is none.
    """
    known = FROM_PICTURE | FROM_ASSET
    if stage is not None:
        if stage not in known:
            raise UserError(f"There is no field '{stage}': choose one of {', '.join(known)}.")
        need_file(scene / stage / known[stage], f"run `animate124 {stage}` into it first")
        return stage
    there = [
        name
        for name, file in known.items()
        if (scene / name / file).is_file() and not passed_on(scene / name)
    ]
    if not there:
        raise UserError(
            f"There is no field in {scene}: run the stages static, dynamic and refine first, or, "
            "of an asset, reconstruct, polish and mesh."
        )
    return there[-1]


def _files(scene: Path, chosen: str, route: dict[str, str]) -> tuple[Path, ...]:
    """The results up to those of `chosen`, without what a stage only passed on."""
    order = list(route)
    names = [name for name in order[: order.index(chosen)] if not passed_on(scene / name)]
    return tuple(p for name in (*names, chosen) if (p := scene / name / route[name]).is_file())


def viewpoints(
    subject: Subject, loop: bool, settings: EvaluateSettings, truth: Bundle | None,
    picture: Tensor, alpha: Tensor,
) -> tuple[Stand, Shown | None, Alignment | None]:  # fmt: skip
    """Where to look from; what the truth shows from there, and how it is placed in the scene.

    picture [S, S, 3] over white and its coverage alpha [S, S].
    """
    if truth is None:
        return stand(subject.pose, loop, subject.elevation, settings.frames), None, None
    placed = subject.placed
    if placed is None:
        start = int(truth.fit_frames[0])
        placed = align(truth.rgba[0, start, ..., 3].float() / 255, alpha, subject.elevation)
    where, frames = stand_at(subject.pose, truth, placed, settings.frames)
    shown = look_at_truth(truth, frames, len(picture))
    if subject.placed is not None:  # the truth was not looked at from where the view was taken
        shown = replace(shown, reference=picture, reference_alpha=alpha)
    return where, shown, placed
