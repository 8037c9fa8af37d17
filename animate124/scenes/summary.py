"""What became of each scene of a batch: `python -m animate124.scenes.summary SCENE …`."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from animate124.media.files import write_json, write_text
from animate124.scenes.chain import OPTIONAL, ROUTES, begun, way_of

_ROOM = 1 << 20  # bytes: with less a disk is as good as full
COLUMNS = ("scene", "status", "stage", "why", "verdict", "seconds")


def outcome(folder: Path, stages: Iterable[str] | None = None) -> dict[str, Any]:
    """What became of the scene whose results are in `folder`, as far as `stages` go (None: all of
    its route, optional ones if they began).

    "status" is "done", "failed" (a stage began and left no results) or "missing" (none began);
    "stage" and "why" are those of the first stage that has no results, "verdict" the evaluation's,
    "seconds" the sum over the stages that ended.
    """
    found = {"scene": folder.name, **dict.fromkeys(COLUMNS[2:])}
    if stages is None:
        stages = [s for s in ROUTES[way_of(folder)] if s not in OPTIONAL or begun(folder, s)]
    records = {stage: _read(folder / stage / "stage.json") for stage in stages}
    found["seconds"] = round(sum((r or {}).get("seconds", 0.0) for r in records.values()), 1)
    missing = [stage for stage, record in records.items() if record is None]
    if not missing:
        verdict = (_read(folder / "evaluate" / "metrics.json") or {}).get("verdict")
        return found | {"status": "done", "verdict": verdict}
    logged = [stage for stage in missing if _log(folder, stage).is_file()]
    stage = (logged or missing)[0]
    why = _reason(_log(folder, stage)) if logged else "it did not begin"
    return found | {"status": "failed" if logged else "missing", "stage": stage, "why": why}


def summarise(results: Path, scenes: Iterable[str], out: Path) -> list[dict[str, Any]]:
    """Write summary.tsv and summary.json of `scenes` into `out`; returns the rows."""
    rows = [outcome(results / scene) for scene in scenes]
    ordered = [[row[column] for column in COLUMNS] for row in rows]
    lines = ["\t".join("" if cell is None else str(cell) for cell in row) for row in ordered]
    write_text(out / "summary.tsv", "\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    write_json(out / "summary.json", [dict(zip(COLUMNS, row, strict=True)) for row in ordered])
    return rows


def describe(rows: Iterable[dict[str, Any]]) -> str:
    """The rows in words: how many scenes are done, with how many of each verdict, and each that is
    not done with its reason."""
    rows = list(rows)
    others = [row for row in rows if row["status"] != "done"]
    verdicts = Counter(row["verdict"] for row in rows if row["verdict"])
    judged = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    head = f"{len(rows) - len(others)} of {len(rows)} scenes are done"
    lines = [f"{head} ({judged})." if judged else f"{head}."]
    lines += [f"  {row['scene']} {row['status']} at {row['stage']}: {row['why']}" for row in others]
    return "\n".join(lines)


def _log(folder: Path, stage: str) -> Path:
    return folder / "logs" / f"{stage}.log"


def _reason(log: Path) -> str:
    """The last error sentence of a log, else its last line; on one line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if not told:
        said = lines[-1] if lines else _silence(log)
    elif "This is a bug" in lines[told[-1]] and told[-1]:
        said = f"{lines[told[-1] - 1]} (a bug; see {log})"  # the exception stands before
    else:
        said = lines[told[-1]].removeprefix("error: ")
    return said.replace("\t", " ")


def _silence(log: Path) -> str:
    """Why a log may be empty: a full disk takes no message either."""
    if shutil.disk_usage(log.parent).free < _ROOM:
        return "its disk is full: make room on it, or keep results elsewhere"
    return f"it left no message; see {log}"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def main() -> None:
    """The command line that the workflow calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("scenes", nargs="*", metavar="SCENE")
    given = parser.parse_args()
    print(describe(summarise(given.results, given.scenes, given.out)))


if __name__ == "__main__":
    main()
