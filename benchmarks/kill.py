"""Does a fit that is killed end with the same files? `python benchmarks/kill.py [--json]`.

A tiny truth bundle is fitted once undisturbed. Then the same command is started again and again in
new folders, killed with SIGKILL up to three times at random moments (while it starts, trains,
scores, writes its outputs) and run to the end. A run counts as identical when every output file has
the bytes of the undisturbed run (metrics.json without its times and its peak memory), nothing else
lies beside them, and no checkpoint is left.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from animate124.stages.fit import OUTPUTS, SCORES, work_folder
from animate124.training import LOG_NAME

STEPS = 80
TINY = (
    *("field.levels=4", "field.finest=16", "field.log2_size=12", "field.hidden=16"),
    *("field.occupancy_side=16", "field.step=0.06", "rays=512", "subsamples=1", "lr=0.05"),
    *("video_frames=4", "video_size=16"),
    *(f"train.steps={STEPS}", "train.preview_every=30", "train.log_every=1"),
)
VARYING = ("seconds", "seconds_outputs", "peak_memory_mib")
MOMENTS = ("start", "step", "scoring", "file")
_DEADLINE = 300.0  # seconds until a process that does not get anywhere counts as stuck


@dataclass(frozen=True)
class Moment:
    """When to kill: `kind` of MOMENTS, how far into it (steps, files), and a pause in seconds."""

    kind: str
    count: int
    pause: float

    def order(self) -> tuple[int, int]:
        return MOMENTS.index(self.kind), self.count


def make_bundle(folder: Path, size: int = 20) -> None:
    """A truth bundle of 4 + 4 views and 4 + 4 frames."""
    command = ["toybox", "render", "--seed", "18", "--views", "4", "--frames", "4"]
    command += ["--size", str(size), "--samples", "2", "--tracks", "16", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "animate124", *command], check=True, capture_output=True)


def fit_command(bundle: Path, out: Path, *settings: str) -> list[str]:
    """The command line of a tiny fit."""
    chosen = [part for text in (*TINY, *settings) for part in ("--set", text)]
    return [sys.executable, "-m", "animate124", "fit", str(bundle), "--out", str(out), *chosen]


def contents(out: Path) -> dict[str, bytes | dict]:
    """Everything in an output folder that must not differ between two runs."""
    found: dict[str, bytes | dict] = {p.name: p.read_bytes() for p in out.iterdir()}
    scores = json.loads(found[SCORES])
    found[SCORES] = {key: value for key, value in scores.items() if key not in VARYING}
    if (work_folder(out) / "checkpoint.safetensors").exists():
        found["checkpoint"] = b"left behind"
    return found


def random_moment(rng: random.Random) -> Moment:
    """Half of them in training, the others spread over the rest of a run."""
    kind = rng.choice(("start", "step", "step", "step", "step", "scoring", "file", "file"))
    count = {"step": STEPS, "file": len(OUTPUTS) + 1}.get(kind, 1)
    pause = {"start": 3.0, "step": 0.02, "scoring": 1.0, "file": 0.05}[kind]
    return Moment(kind, rng.randrange(count), rng.random() * pause)


def run_killed(command: list[str], out: Path, moments: list[Moment]) -> list[str]:
    """Run the command, killed at each moment in turn and started again; not yet to its end.

    Returns where each kill fell. A process that ends before its moment is not started again.
    """
    kills = []
    for moment in sorted(moments, key=Moment.order):
        since = time.time()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _wait(process, out, moment, since)
        process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1].decode()
        if process.returncode != -signal.SIGKILL:
            if process.returncode:
                raise RuntimeError(f"the fit failed: {errors}")
            break  # it was faster than the pause
        kills.append(_phase(out, since))
    return kills


def _wait(process: subprocess.Popen, out: Path, moment: Moment, since: float) -> None:
    """Until the moment has come or the process, started at `since`, has ended."""
    deadline = time.monotonic() + _DEADLINE
    while process.poll() is None and not _reached(out, moment, since):
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{moment} did not come within {_DEADLINE} seconds")
        time.sleep(0.001)
    end = time.monotonic() + moment.pause
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)


def _reached(out: Path, moment: Moment, since: float) -> bool:
    if moment.kind == "start":
        return True
    if moment.kind == "file":
        return len(_written(out, since)) > moment.count
    return _steps(out, since) >= (STEPS if moment.kind == "scoring" else moment.count + 1)


def _steps(out: Path, since: float) -> int:
    """Finished steps, as the log tells; 0 where the process of time `since` has none yet."""
    log = work_folder(out) / LOG_NAME
    return log.read_bytes().count(b"\n") if _newer(log, since) else 0


def _written(out: Path, since: float) -> set[str]:
    """Output files that the process of time `since` has finished, in place or not yet."""
    # Not `glob`, which fails when a folder goes away while it is looked through.
    found = (Path(folder) / name for folder, _, names in os.walk(out) for name in names)
    return {p.name for p in found if p.name in (*OUTPUTS, SCORES) and _newer(p, since)}


def _newer(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime > since
    except FileNotFoundError:
        return False


def _phase(out: Path, since: float) -> str:
    """Where a killed process had come to."""
    if _newer(out / SCORES, since):
        return "all in place"
    if written := _written(out, since):
        return f"{len(written)} of {len(OUTPUTS) + 1} files"
    steps = _steps(out, since)
    return "before training" if not steps else f"step {steps}" if steps < STEPS else "scoring"


def measure(kills: int, seed: int, folder: Path) -> dict[str, object]:
    """The benchmark's record; see the keys in `main`."""
    rng, began = random.Random(seed), time.perf_counter()
    # Checkpoints at every 0.1 s or so: some kills lose steps, which must then come out the same.
    settings = "train.checkpoint_seconds=0.1"
    bundle, undisturbed = folder / "bundle", folder / "undisturbed"
    make_bundle(bundle)
    subprocess.run(fit_command(bundle, undisturbed, settings), check=True, capture_output=True)
    expected = contents(undisturbed)
    moments: list[str] = []
    runs = identical = 0
    while len(moments) < kills:
        out = folder / f"run-{runs}"
        chosen = [random_moment(rng) for _ in range(min(rng.randint(1, 3), kills - len(moments)))]
        command = fit_command(bundle, out, settings)
        moments += run_killed(command, out, chosen)
        subprocess.run(command, check=True, capture_output=True)
        identical += contents(out) == expected
        runs += 1
    return {
        "kills": len(moments),
        "runs": runs,
        "identical_runs": identical,
        "identical": identical == runs,
        "steps": STEPS,
        "moments": "; ".join(moments),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--kills", type=int, default=20, help="how often to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(arguments.kills, arguments.seed, Path(folder))
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:16} {value}")
    sys.exit(not result["identical"])


if __name__ == "__main__":
    main()
