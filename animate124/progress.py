"""What a running optimisation shows: a bar on a terminal, plain lines elsewhere, a JSONL log.

Everything goes to stderr, since stdout belongs to a command's result.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from animate124.media import files

PLAIN_SECONDS = 10.0
_BAR_SECONDS = 0.25


class Display:
    """Progress of one run; a context manager. `update` may be called at every step: it is cheap.

    unit: what is counted, in the singular. shown: whether anything is.
    """

    def __init__(
        self, name: str, steps: int, start: int = 0, unit: str = "step", *, shown: bool = True
    ) -> None:
        self._name, self._steps, self._first, self._unit = name, steps, start, unit
        self._mute = not shown
        self._began = self._shown = time.perf_counter()
        self._bar: Progress | None = None
        if shown and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            # No refresh thread: it would take the interpreter from the training ten times a second.
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[loss]}"),
                console=Console(stderr=True),
                auto_refresh=False,
            )
            self._task = self._bar.add_task(
                name, total=steps, completed=start, left="", loss="", start=True
            )

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, loss: float | None = None) -> None:
        """Tell that `done` steps are finished, the last with summed loss `loss` if it has one."""
        now = time.perf_counter()
        interval = PLAIN_SECONDS if self._bar is None else _BAR_SECONDS
        if now - self._shown < interval and not (self._bar is not None and done == self._steps):
            return
        self._shown = now
        left = time_left(now - self._began, done - self._first, self._steps - done)
        shown = "" if loss is None else f"loss {loss:.4g}"
        if self._bar is None:
            words = [f"{self._unit} {done}/{self._steps}", shown, f"{left} left"]
            self.say(", ".join(word for word in words if word))
        else:
            self._bar.update(self._task, completed=done, left=f"{left} left", loss=shown)
            self._bar.refresh()

    def say(self, sentence: str) -> None:
        """Print one sentence, above the bar where there is one."""
        if self._mute:
            return
        if self._bar is None:
            print(f"{self._name}: {sentence}", file=sys.stderr, flush=True)
        else:
            self._bar.console.print(f"{self._name}: {sentence}", markup=False, highlight=False)


def time_left(elapsed: float, done: int, remaining: int) -> str:
    """Time that `remaining` steps will take, from `done` steps in `elapsed` seconds: "1:02:03"."""
    if done <= 0:
        return "?"
    return clock(elapsed / done * remaining)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss, rounded."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Log:
    """A JSONL log that stays consistent over kills: opening it drops lines from step `start` on.

    Those steps will be run again, so that their lines would stand twice.
    """

    def __init__(self, path: Path, start: int) -> None:
        kept = _lines_before(path, start)
        files.write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        # What a full disk refused is still buffered and would be refused again; `write` said so,
        # and a second error here would hide the one that is on its way.
        with suppress(OSError):
            self._file.close()

    def write(self, record: dict[str, Any]) -> None:
        """Append one record and hand it to the operating system."""
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Force the log to disk, before a checkpoint that relies on its lines."""
        os.fsync(self._file.fileno())


def _lines_before(path: Path, start: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] < start:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # the half line of a killed process, for a step after its last checkpoint
    return kept
