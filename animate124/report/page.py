"""The page: a table of all scenes, the chain of stages, then each scene with its players."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import animate124
from animate124.media.files import write_text
from animate124.report.markup import NONE, badge, data_url, image, number, table, text
from animate124.report.pipeline import draw, routes
from animate124.report.results import SceneResults, find
from animate124.report.style import CSS

# Key of a scored row, heading, digits.
_SCORES = (
    ("reference_psnr", "PSNR to the picture, t = 0 (dB)", 1),
    ("reference_iou", "IoU with the picture, t = 0", 2),
    ("novel_psnr", "PSNR to the truth, other views (dB)", 1),
    ("novel_ssim", "SSIM to the truth, other views", 3),
    ("novel_iou", "IoU with the truth, other views", 2),
    ("species_top1", "Species recognised", 2),
    ("motion_top1", "Motion recognised", 2),
    ("text_cosine", "Cosine to the sentence", 3),
    ("image_cosine", "Cosine to the picture", 3),
    ("amplitude_of_subject", "Amplitude", 3),
    ("amplitude_ratio", "Amplitude over the truth's", 2),
    ("flicker", "Flicker score", 3),
    ("jitter", "Jitter", 3),
    ("seam", "Loop seam", 2),
)
_OVERVIEW = (
    "reference_psnr", "reference_iou", "novel_psnr", "novel_iou", "species_top1", "motion_top1",
    "amplitude_of_subject", "flicker",
)  # fmt: skip
_ROWS = {
    "result": "the scene",
    "frozen": "the scene, frozen",
    "copy_picture": "the picture from all sides",
    "white": "nothing",
    "truth": "the truth",
}
_PRIOR = ("role", "model", "licence")
# Whatever else a page may do, this one asks nobody for anything.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def write_report(results: Path, out: Path, names: Sequence[str] = ()) -> list[SceneResults]:
    """Write the page about the named scenes below `results` (all, if none is named) to `out`.

    A scene that failed stands there with its reason. Returns what was found of each scene.

    Raises:
        UserError: no folder `results`, no scene in it, or a page that cannot be written.
    """
    scenes = find(results, names)
    write_text(out, page(scenes))
    return scenes


def page(scenes: Sequence[SceneResults]) -> str:
    """The whole page as text."""
    done = sum(scene.outcome["status"] == "done" for scene in scenes)
    said = f"{done} of {len(scenes)} scenes are done."
    seconds = _mean_seconds(scenes)
    chains = "".join(
        f'<div class="wide" role="region" tabindex="0" aria-label="Chain of stages, {route}">'
        f"{draw(route, seconds)}</div>"
        for route in routes(scene.way for scene in scenes)
    )
    articles = "".join(_article(scene) for scene in scenes)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Animate124: {text(said)}</title><style>{CSS}</style></head><body>"
        f"<header><h1>Animate124: scenes</h1><p>{text(said)} Made with version "
        f"{text(animate124.__version__)}.</p></header><main>{_overview(scenes)}"
        f"<section><h2>How a scene is made</h2>{chains}</section>"
        f"{articles}</main></body></html>\n"
    )


def _overview(scenes: Sequence[SceneResults]) -> str:
    labels = {key: (label, digits) for key, label, digits in _SCORES}
    head = ["Scene", "Verdict", *(labels[key][0] for key in _OVERVIEW), "Seconds", "Peak MiB"]
    rows = []
    for scene in scenes:
        row = scene.metrics.get("scores", {}).get("result", {})
        cells = [f"<td>{badge(scene.verdict)}</td>"]
        cells += [number(row.get(key), labels[key][1]) for key in _OVERVIEW]
        peaks = [c.get("peak_memory_mib") for c in scene.metrics.get("stages", {}).values()]
        known = [peak for peak in peaks if isinstance(peak, (int, float))]
        cells += [number(scene.outcome["seconds"], 0), number(max(known, default=None), 0)]
        rows.append((f'<a href="#{text(scene.name)}">{text(scene.name)}</a>', cells))
    return f"<section><h2>All scenes</h2>{table('Scores of all scenes', head, rows)}</section>"


def _article(scene: SceneResults) -> str:
    metrics = scene.metrics
    prompt = f"<p><q>{text(metrics['prompt'])}</q></p>" if metrics.get("prompt") else ""
    return (
        f'<article id="{text(scene.name)}"><h2>{text(scene.name)}</h2>{prompt}'
        f"<p>{badge(scene.verdict)} {text(scene.reason)}</p>{_media(scene)}"
        f"{_scores(metrics)}{_ablation(metrics)}{_costs(metrics)}{_licences(metrics)}</article>"
    )


def _media(scene: SceneResults) -> str:
    parts = []
    if scene.video:
        poster = f' poster="{data_url(scene.poster, "image/png")}"' if scene.poster else ""
        parts.append(
            f'<figure class="clip"><video autoplay loop muted playsinline controls{poster} '
            f'aria-label="{text(scene.name)}, seen from the picture\'s side and then from around" '
            f'src="{data_url(scene.video, "video/mp4")}"></video>'
            "<figcaption>First as in the picture, then once around.</figcaption></figure>"
        )
    if scene.sheet:
        picture = image(scene.sheet, f"{scene.name} from four sides (rows) over time (columns)")
        parts.append(f"<figure>{picture}<figcaption>Four sides over time.</figcaption></figure>")
    media = f'<div class="media">{"".join(parts)}</div>' if parts else ""
    if scene.compared:
        picture = image(scene.compared, f"The pictures that {scene.name} was scored on")
        media += f"<details><summary>What was compared</summary>{picture}</details>"
    return media


def _scores(metrics: dict[str, Any]) -> str:
    rows = metrics.get("scores")
    if not rows:
        return ""
    named = [(_ROWS.get(name, name), row) for name, row in rows.items()]
    return (
        _score_table("The scene beside trivial results", named) + "<p>Smoothness counts only "
        "beside the amplitude: what is frozen has the best flicker score and no jitter. "
        f"{_embedder(metrics)}</p>"
    )


def _embedder(metrics: dict[str, Any]) -> str:
    about = metrics.get("embedding")
    if not about:
        return "No image-text model was there to score with."
    moving = about.get("motion_model")
    motions = f", motions by {text(moving)}" if moving else ""
    return (
        f"Cosines and species are by {text(about.get('model', '?'))}, told "
        f"<q>{text(about.get('sentence', ''))}</q>{motions}; scores of different models do not "
        "compare."
    )


def _ablation(metrics: dict[str, Any]) -> str:
    found = metrics.get("ablation") or {}
    if len(found) < 2:
        return ""
    rows = [(f"{name} ({entry['verdict']})", entry["scores"]) for name, entry in found.items()]
    return _score_table("What each stage adds", rows)


def _score_table(caption: str, rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    shown = [s for s in _SCORES if any(row.get(s[0]) is not None for _, row in rows)]
    cells = [
        (text(name), [number(row.get(key), digits) for key, _, digits in shown])
        for name, row in rows
    ]
    return table(caption, ["", *(label for _, label, _ in shown)], cells)


def _costs(metrics: dict[str, Any]) -> str:
    stages = metrics.get("stages") or {}
    longest = max((entry.get("seconds") or 0.0 for entry in stages.values()), default=0.0)
    if not longest:
        return ""
    rows = []
    for name, entry in stages.items():
        seconds = entry.get("seconds") or 0.0
        bar = f'<span class="bar" style="width:{100 * seconds / longest:.1f}%"></span>'
        device = entry.get("device")
        rows.append(
            (
                text(name),
                [
                    number(seconds, 1),
                    f'<td class="bars" aria-hidden="true">{bar}</td>',
                    number(entry.get("peak_memory_mib"), 0),
                    NONE if device is None else f"<td>{text(device)}</td>",
                ],
            )
        )
    return table("What it cost", ["Stage", "Seconds", "", "Peak MiB", "Device"], rows)


def _licences(metrics: dict[str, Any]) -> str:
    found = metrics.get("licences")
    if not found:
        return ""
    weights = "".join(
        f"<li>{text(', '.join(str(entry.get(key, '?')) for key in _PRIOR))}</li>"
        for entry in found.get("weights", ())
    )
    return (
        f"<details><summary>Licences</summary><p>Code: {text(found.get('code', '?'))}.</p>"
        f"<ul>{weights}</ul></details>"
    )


def _mean_seconds(scenes: Sequence[SceneResults]) -> dict[str, float]:
    """Mean seconds of each stage over the scenes that have it."""
    spent: dict[str, list[float]] = {}
    for scene in scenes:
        for name, entry in (scene.metrics.get("stages") or {}).items():
            if isinstance(entry.get("seconds"), (int, float)):
                spent.setdefault(name, []).append(entry["seconds"])
    return {name: sum(values) / len(values) for name, values in spent.items()}
