"""Stage `evaluate`: a scene's folder in; scores beside trivial baselines, a verdict, costs out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import animate124
from animate124.kernels import warm
from animate124.media.files import write_json
from animate124.media.images import contact_sheet, read_image, write_png
from animate124.progress import Display
from animate124.settings.base import digest
from animate124.settings.evaluate import EvaluateSettings
from animate124.stages import evaluate_costs, evaluate_verdict
from animate124.stages.evaluate_judge import Critic
from animate124.stages.evaluate_scores import coverage, score
from animate124.stages.evaluate_subject import choose, open_subject, viewpoints
from animate124.stages.evaluate_views import (
    Alignment,
    Shown,
    Stand,
    copied,
    frozen,
    look,
    nothing,
    read_picture,
)
from animate124.stages.finished import Finished, alone, open_scene
from animate124.stages.models import Models
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    staged,
    work_folder,
    write_record,
)
from animate124.toybox.bundle import Bundle, read_bundle
from animate124.toybox.bundle_record import RECORD as BUNDLE

METRICS, SHEET = "metrics.json", "sheet.png"
OUTPUTS = (METRICS, SHEET, RECORD)
_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class _Standard:
    """What every row is compared with."""

    picture: Tensor
    alpha: Tensor
    truth: Shown | None
    critic: Critic | None
    loop: bool

    def row(self, shown: Shown) -> dict[str, Any]:
        row = score(shown, self.picture, self.alpha, self.loop, self.truth)
        return row | (self.critic.score(shown) if self.critic else {})


def evaluate(
    scene: Path,
    out: Path,
    settings: EvaluateSettings,
    models: Models,
    prompt: str,
    *,
    subject: str = "",
    truth: Path | None = None,
    field: str | None = None,
    work: Path | None = None,
) -> dict[str, Any]:
    """Score the scene in the folder `scene` and write OUTPUTS into `out`; returns the metrics.

    Args:
        prompt, subject: the motion sentence, and what of it is the subject.
        truth: truth bundle of the character that the picture shows.
        field: which stage's results are the scene; the last there are if None.
        work: folder that is held while it runs; beside `out` if None.

    Apart from what it tells of seconds and memory, metrics.json is the same every time.

    Raises:
        UserError: no picture, no results, damaged ones, a truth that is none, an absent
            embedder, or a folder that cannot be written.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS)
    chosen = choose(scene, field)
    subject_of = open_subject(scene, chosen)
    warm.ensure_compiled()
    wanted = subject_of.results if settings.ablation else subject_of.results[-1:]
    fields = {path.parent.name: open_scene(path.parent, models.device) for path in wanted}
    bundle = read_bundle(truth) if truth is not None else None
    size = settings.size if bundle is None else min(settings.size, bundle.record.height)
    picture, alpha = read_picture(subject_of.picture, size)
    with alone(work or work_folder(out)):
        critic = None
        if models.has("embedding"):
            critic = Critic(models, prompt, subject, picture, read_image(subject_of.picture))
        loop = fields[chosen].loop
        where, truth_shown, alignment = viewpoints(
            subject_of, loop, settings, bundle, picture, alpha
        )
        standard = _Standard(picture, alpha, truth_shown, critic, loop)
        pictures = 1 + len(where.sides) * len(where.times) + len(where.around)
        with (
            watch.part("pictures"),
            Display("evaluate", pictures * len(fields), unit="picture") as bar,
        ):
            count = _Counter(bar)
            shown = {
                name: look(scene_field, where, size, settings.supersample, count)
                for name, scene_field in fields.items()
            }
        with watch.part("scores"):
            results = {
                name: _result(standard, shown[name], fields[name], where, settings)
                for name in fields
            }
            table = {
                "result": results[chosen]["scores"],
                **{
                    name: standard.row(s) for name, s in _baselines(shown[chosen], standard).items()
                },
            }
        found = evaluate_costs.records(scene)
        metrics = {
            "scene": scene.resolve().name,
            "prompt": prompt,
            "subject": subject,
            "field": chosen,
            **{name: results[chosen][name] for name in ("verdict", "reason", "checks")},
            "scores": table,
            "ablation": results if settings.ablation else None,
            "embedding": critic.about() if critic else None,
            "truth": None if bundle is None else _about(bundle, alignment),
            "stages": evaluate_costs.costs(found),
            "licences": evaluate_costs.licences(found, models.used),
            "profile": models.profile.name,
            "settings_digest": digest(settings),
            "version": animate124.__version__,
        }
        inputs = {"picture": subject_of.picture} | {p.parent.name: p for p in wanted}
        if truth is not None:
            inputs["truth"] = truth / BUNDLE
        with staged(out, OUTPUTS) as place:
            write_json(place / METRICS, metrics)
            write_png(place / SHEET, _sheet(shown[chosen], standard, where))
            write_record(
                place,
                "evaluate",
                settings,
                watch,
                models.device,
                inputs=inputs,
                priors=models.used,
                profile=models.profile.name,
                verdict=metrics["verdict"],
            )
    return metrics


class _Counter:
    """Moves a bar on by what was rendered."""

    def __init__(self, bar: Display) -> None:
        self.bar, self.done = bar, 0

    def __call__(self, pictures: int) -> None:
        self.done += pictures
        self.bar.update(self.done)


def _result(
    standard: _Standard, shown: Shown, scene: Finished, where: Stand, settings: EvaluateSettings
) -> dict[str, Any]:
    """Scores, checks and verdict of one field."""
    row = standard.row(shown)
    found = evaluate_verdict.checks(
        row, coverage(shown), scene.touching(where.times), settings.verdict
    )
    verdict, reason = evaluate_verdict.judge(found)
    checks = {check.name: check.record() for check in found}
    return {"verdict": verdict, "reason": reason, "checks": checks, "scores": row}


def _baselines(shown: Shown, standard: _Standard) -> dict[str, Shown]:
    """What any result has to be read beside: itself frozen; the picture copied to every side;
    nothing; and the truth, which is the ceiling."""
    found = {
        "frozen": frozen(shown),
        "copy_picture": copied(standard.picture, standard.alpha, shown),
        "white": nothing(shown),
    }
    return found | ({"truth": standard.truth} if standard.truth else {})


def _about(bundle: Bundle, alignment: Alignment) -> dict[str, Any]:
    record = bundle.record
    return {
        "seed": record.seed,
        "split": record.split,
        "caption": record.caption,
        "views": len(record.cameras) - 1,
        "scale": round(alignment.scale, 4),
        "shift": [round(x, 4) + 0.0 for x in alignment.shift.tolist()],  # no −0
    }


def _sheet(shown: Shown, standard: _Standard, where: Stand) -> np.ndarray:
    """The picture and what the scene shows of it; below, each side over time, truth above."""
    frames = len(where.times)
    chosen = torch.linspace(0, frames - 1, min(_COLUMNS, frames)).round().long().tolist()
    rows = [[standard.picture.numpy(), shown.reference.numpy()]]
    labels = ["picture, scene"]
    for side in range(len(shown.sides)):
        if standard.truth is not None:
            rows.append([standard.truth.sides[side, f].numpy() for f in chosen])
            labels.append(f"truth {side + 1}")
        rows.append([shown.sides[side, f].numpy() for f in chosen])
        labels.append(f"scene {side + 1}")
    columns = [f"t = {where.times[f]:.2f}" for f in chosen]
    return contact_sheet(rows, labels, columns)
