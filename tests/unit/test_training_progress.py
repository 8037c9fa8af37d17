"""What a run shows: time left, plain lines where there is no terminal, the log after a kill."""

import itertools
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from animate124 import progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_time_left():
    assert progress.time_left(10.0, 5, 20) == "0:40"  # 2 s a step
    assert progress.time_left(10.0, 0, 20) == "?"


def test_plain_lines_every_ten_seconds(capfd, monkeypatch):
    seconds = itertools.count(100.0, 4.0)  # a step takes 4 s
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(seconds))
    with progress.Display("static", steps=9, start=2) as display:
        for done in range(3, 10):
            display.update(done, 0.5)
    # Shown after 12 s (step 5) and 24 s (step 8): 3 and 6 steps of this session.
    assert capfd.readouterr().err.splitlines() == [
        "static: step 5/9, loss 0.5, 0:16 left",
        "static: step 8/9, loss 0.5, 0:04 left",
    ]


def test_bar_on_a_terminal():
    ours, theirs = pty.openpty()
    code = (
        "from animate124.progress import Display\n"
        "with Display('static', 4, 0) as d:\n"
        "    d.say('resuming [after] step 1.')\n"
        "    for i in range(4): d.update(i + 1, 0.25)\n"
    )
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", code], stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "static: resuming [after] step 1." in shown
    assert "4/4" in shown and "loss 0.25" in shown and "0:00 left" in shown


def test_log_drops_what_will_be_run_again(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    with progress.Log(path, 0) as log:
        for step in range(5):
            log.write({"step": step})
        log.sync()
    with path.open("a") as file:
        file.write('{"step": 5, "lo')  # killed here
    with progress.Log(path, 3) as log:
        log.write({"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]
