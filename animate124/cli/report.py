"""`animate124 report`: one page about all scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    scenes: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENE]...", help="Names; all if none is given.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder with the scenes' folders.")] = Path(
        "results"
    ),
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path(
        "results/report.html"
    ),
) -> None:
    """Write one self-contained HTML page about finished scenes.

    It holds a table of all scenes, and for each a player, a contact sheet, its scores beside
    trivial results, its verdict, and what every stage cost. A scene that failed stands there with
    its reason. The page asks for nothing from outside: it can be sent as it is.

    Example: animate124 report --results results --out results/report.html panda fox
    """
    from animate124.report.page import write_report

    found = write_report(results, out, scenes or ())
    done = sum(scene.outcome["status"] == "done" for scene in found)
    print(f"{out}: {len(found)} scenes, {done} done, {out.stat().st_size / 1e6:.1f} MB.")
