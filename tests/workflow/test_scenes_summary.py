"""The summary of a batch: done, failed with the reason, not begun."""

import json
import subprocess
import sys
from types import SimpleNamespace

from animate124.scenes.chain import ROUTES
from animate124.scenes.summary import describe, outcome, summarise


def make(folder, stages, logs=None):
    for stage in stages:
        (folder / stage).mkdir(parents=True, exist_ok=True)
        (folder / stage / "stage.json").write_text(json.dumps({"stage": stage, "seconds": 2.25}))
    for stage, text in (logs or {}).items():
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "logs" / f"{stage}.log").write_text(text)


def test_a_scene_that_is_done(tmp_path):
    make(tmp_path / "panda", ROUTES["animate124"])
    (tmp_path / "panda" / "evaluate" / "metrics.json").write_text('{"verdict": "ok"}')
    found = outcome(tmp_path / "panda")
    assert found == {
        "scene": "panda", "status": "done", "stage": None, "why": None, "verdict": "ok",
        "seconds": 2.25 * len(ROUTES["animate124"]),
    }  # fmt: skip


def test_a_stage_that_nothing_needed_is_not_missing(tmp_path):
    stages = [stage for stage in ROUTES["animate124"] if stage != "invert"]
    make(tmp_path / "a", stages)
    assert outcome(tmp_path / "a")["status"] == "done"
    make(tmp_path / "a", [], {"invert": "error: The picture is grey.\n"})
    found = outcome(tmp_path / "a")
    assert (found["status"], found["stage"]) == ("failed", "invert")


def test_a_scene_that_failed_says_where_and_why(tmp_path):
    log = "step 1\nerror: The picture is empty: give another.\nwarning: x\n"
    make(tmp_path / "a", ["preprocess", "invert"], {"preprocess": "", "static": log})
    found = outcome(tmp_path / "a")
    assert (found["status"], found["stage"]) == ("failed", "static")
    assert found["why"] == "The picture is empty: give another."
    make(tmp_path / "b", [], {"preprocess": "Killed\n"})
    assert outcome(tmp_path / "b")["why"] == "Killed"
    make(tmp_path / "c", [], {"preprocess": ""})
    assert outcome(tmp_path / "c")["why"].startswith("it left no message; see ")
    bug = "Traceback:\n  x\nRuntimeError: shape mismatch\nerror: This is a bug in animate124.\n"
    make(tmp_path / "d", [], {"preprocess": bug})
    assert outcome(tmp_path / "d")["why"].startswith("RuntimeError: shape mismatch (a bug; see ")


def test_only_the_stages_that_were_asked_for_count(tmp_path):
    make(tmp_path / "a", ["preprocess"])
    assert outcome(tmp_path / "a", ["preprocess"])["status"] == "done"
    assert outcome(tmp_path / "a")["status"] == "missing"


def test_the_files_and_the_words(tmp_path):
    make(tmp_path / "a", ROUTES["animate124"])
    make(tmp_path / "b", [], {"preprocess": "error: no\tsubject.\n"})
    rows = summarise(tmp_path, ["a", "b", "c"], tmp_path)
    lines = (tmp_path / "summary.tsv").read_text().splitlines()
    assert lines[0] == "scene\tstatus\tstage\twhy\tverdict\tseconds"
    assert lines[2] == "b\tfailed\tpreprocess\tno subject.\t\t0.0"
    assert lines[3] == "c\tmissing\tpreprocess\tit did not begin\t\t0.0"
    assert [row["scene"] for row in json.loads((tmp_path / "summary.json").read_text())] == [*"abc"]
    assert describe([*rows, {**rows[0], "verdict": "ok"}]).startswith(
        "2 of 4 scenes are done (1 ok).\n"
    )
    assert describe(rows).splitlines() == [
        "1 of 3 scenes are done.",
        "  b failed at preprocess: no subject.",
        "  c missing at preprocess: it did not begin",
    ]


def test_the_command_of_the_workflow(tmp_path):
    make(tmp_path / "a", ROUTES["animate124"])
    command = [sys.executable, "-m", "animate124.scenes.summary", "--results", tmp_path]
    run = subprocess.run(
        [*command, "--out", tmp_path, "a"], capture_output=True, text=True, check=True
    )
    assert run.stdout == "1 of 1 scenes are done.\n"
    assert (tmp_path / "summary.tsv").is_file()


def test_an_empty_log_on_a_full_disk(tmp_path, monkeypatch):
    (tmp_path / "a" / "logs").mkdir(parents=True)
    (tmp_path / "a" / "logs" / "preprocess.log").touch()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4096))
    assert outcome(tmp_path / "a")["why"].startswith("its disk is full: make room")
