"""What of a scene's folder goes onto the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animate124.errors import UserError
from animate124.scenes.chain import STAGES, way_of
from animate124.scenes.summary import outcome


@dataclass(frozen=True)
class SceneResults:
    """One scene: its way (of `scenes.chain.ROUTES`), what became of it (`scenes.summary.outcome`),
    its metrics and files if there."""

    name: str
    way: str
    outcome: dict[str, Any]
    metrics: dict[str, Any]
    video: Path | None
    poster: Path | None
    sheet: Path | None
    compared: Path | None

    @property
    def verdict(self) -> str:
        """ok, static, exploded or drifted; failed or missing where a stage has no results."""
        status = self.outcome["status"]
        return self.metrics.get("verdict", "done") if status == "done" else status

    @property
    def reason(self) -> str:
        """Why, as one sentence."""
        if self.outcome["status"] == "done":
            return self.metrics.get("reason", "")
        return f"{self.outcome['stage']}: {self.outcome['why']}"


def find(results: Path, names: Sequence[str]) -> list[SceneResults]:
    """The named scenes, or all below `results`, in order.

    Raises:
        UserError: no such folder, or no scene in it.
    """
    if not results.is_dir():
        raise UserError(f"There is no folder {results}: give the one with the scenes' results.")
    if not names:
        folders = sorted(p for p in results.iterdir() if p.is_dir())
        names = [p.name for p in folders if any((p / stage).is_dir() for stage in STAGES)]
    if not names:
        raise UserError(f"There are no scenes in {results}: run some first.")
    return [_read(results / name) for name in names]


def _read(folder: Path) -> SceneResults:
    return SceneResults(
        folder.name,
        way_of(folder),
        outcome(folder),
        _metrics(folder / "evaluate" / "metrics.json"),
        _there(folder / "render" / "video.mp4"),
        _there(folder / "render" / "poster.png"),
        _there(folder / "render" / "sheet.png"),
        _there(folder / "evaluate" / "sheet.png"),
    )


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _metrics(path: Path) -> dict[str, Any]:
    """The metrics; none where they are missing or damaged, which the outcome tells."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
