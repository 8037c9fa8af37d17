"""What the workflow costs beside its stages: `python benchmarks/workflow.py [--json]`.

Dry runs of `batch` for tables of several lengths, in an empty folder, with the user's own command:
wall and CPU seconds, medians. With --results FOLDER, of a scene that was made there: the seconds
that each job took beside its stage's own (starting Python, loading torch).
"""

import argparse
import csv
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import idle_cores

ROOT = Path(__file__).resolve().parent.parent


def table(folder: Path, scenes: int) -> None:
    """A table of `scenes` scenes that share the shipped panda's picture."""
    (folder / "config").mkdir()
    rows = [f"s{k}\tconfig/inputs/panda.png\ta panda is dancing" for k in range(scenes)]
    (folder / "config" / "scenes.tsv").write_text("\n".join(["scene\timage\tprompt", *rows]) + "\n")


def dry_run(folder: Path) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and number of jobs of `snakemake -n batch`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow" / "Snakefile"]
    command += ["--cores", "1", "--dry-run", "--quiet", "rules", "--", "batch"]
    began, used = time.perf_counter(), cpu_of_children()
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    total = re.search(r"^total\s+(\d+)", run.stdout + run.stderr, re.MULTILINE)
    jobs = int(total[1]) if total else 0
    return time.perf_counter() - began, cpu_of_children() - used, jobs


def cpu_of_children() -> float:
    """CPU seconds of all child processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def dry_runs(counts: list[int], rounds: int) -> dict[str, float]:
    """Medians by table length."""
    found: dict[str, float] = {}
    for scenes in counts:
        with tempfile.TemporaryDirectory() as name:
            table(Path(name), scenes)
            runs = [dry_run(Path(name)) for _ in range(rounds)]
        wall, cpu, jobs = (statistics.median(values) for values in zip(*runs, strict=True))
        found[f"dry_run_{scenes}_seconds"] = round(wall, 2)
        found[f"dry_run_{scenes}_cpu_seconds"] = round(cpu, 2)
        found[f"dry_run_{scenes}_jobs"] = jobs
    return found


def overheads(scene: Path) -> dict[str, float]:
    """Seconds of each job beyond its stage's own, where there is a benchmark file."""
    found: dict[str, float] = {}
    for path in sorted((scene / "benchmarks").glob("*.tsv")):
        record = scene / path.stem / "stage.json"
        if record.is_file():
            (row,) = csv.DictReader(path.open(), delimiter="\t")
            own = json.loads(record.read_text())["seconds"]
            found[f"beside_{path.stem}_seconds"] = round(float(row["s"]) - own, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--scenes", type=int, nargs="*", default=[1, 24, 500])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, help="folder of a scene that was made")
    given = parser.parse_args()
    found: dict[str, float] = {"cores": os.cpu_count() or 0, "idle_cores_before": idle_cores()}
    found |= dry_runs(given.scenes, given.rounds)
    if given.results:
        found |= overheads(given.results)
    found["idle_cores_after"] = idle_cores()
    if given.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:32} {value:g}" for name, value in found.items()))


if __name__ == "__main__":
    main()
