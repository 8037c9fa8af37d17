"""The user's own command, for real: a batch in which scenes fail, and a whole scene at `smoke`."""

import csv
import json
import os
import subprocess
import sys

import pytest
from checkout import ROOT, STAGES
from PIL import Image

from animate124.media.video import read_video
from animate124.priors.profiles import load_profile
from animate124.priors.weights import examine


def snakemake(folder, *arguments, timeout=900):
    """The command in a folder; its status and what it said."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile"]
    run = subprocess.run(
        [*command, ROOT / "workflow" / "Snakefile", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


def test_a_batch_tells_which_scenes_failed_and_why(tmp_path):
    Image.new("RGBA", (48, 48), (0, 0, 0, 0)).save(tmp_path / "blank.png")
    (tmp_path / "cut.png").write_bytes((ROOT / "config/inputs/fox.png").read_bytes()[:2000])
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "scenes.tsv").write_text(
        "scene\timage\tprompt\nblank\tblank.png\ta fox is dancing\ncut\tcut.png\ta fox is waving\n"
    )
    status, said = snakemake(tmp_path, "batch", "--config", "preset=smoke")
    assert status == 1
    assert "0 of 2 scenes are done." in said
    assert "  blank failed at preprocess: The image blank.png is transparent everywhere" in said
    assert "  cut failed at preprocess: The image cut.png is damaged or cut short" in said
    assert "The same command again goes on where this one stopped." in said
    rows = list(csv.DictReader((tmp_path / "results" / "summary.tsv").open(), delimiter="\t"))
    assert [(row["scene"], row["status"], row["stage"]) for row in rows] == [
        ("blank", "failed", "preprocess"),
        ("cut", "failed", "preprocess"),
    ]
    assert not (tmp_path / "results" / "blank" / "preprocess" / "rgba.png").exists()


@pytest.fixture(scope="module")
def nano():
    """Skips where not all nano models are here; it goes without depth, too."""
    needed = [entry for entry in load_profile("nano").needed() if entry.role != "depth"]
    absent = [entry.role for entry in needed if examine(entry).state != "present"]
    if absent:
        pytest.skip(f"no nano models for {', '.join(absent)}")


@pytest.mark.slow
def test_a_whole_scene(nano, tmp_path):
    status, said = snakemake(tmp_path, "results/panda/all", "--config", "preset=smoke")
    assert status == 0, said
    assert "1 of 1 scenes are done (" in said
    scene = tmp_path / "results" / "panda"
    for stage in STAGES:
        record = json.loads((scene / stage / "stage.json").read_text())
        assert record["stage"] == stage and record["settings"] and record["seconds"] > 0
        assert (scene / "logs" / f"{stage}.log").is_file()
    frames, _ = read_video(scene / "video.mp4")
    assert len(frames) >= 8
    metrics = json.loads((scene / "metrics.json").read_text())
    assert metrics["verdict"] in ("ok", "static", "exploded", "drifted")
    assert (scene / "animated.glb").read_bytes()[:4] == b"glTF"
    assert not list((scene / ".work").rglob("checkpoint*"))

    status, said = snakemake(tmp_path, "results/panda/all", "--config", "preset=smoke")
    assert status == 0 and "Nothing to be done" in said
    status, said = snakemake(
        tmp_path,
        "results/panda/video.mp4",
        "--config",
        "preset=smoke",
        "stages={render: {fps: 12}}",
    )
    assert status == 0
    ran = [line.split()[-1].rstrip(")") for line in said.splitlines() if "Finished jobid" in line]
    assert ran == ["render", "publish_video"]


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["panda", "robot"])
def test_a_whole_scene_as_published(nano, tmp_path, scene):
    """The recipe that turns on what ours leaves off: text distillation with the learnt word, video
    distillation, FreeInit."""
    status, said = snakemake(
        tmp_path, f"results/{scene}/metrics.json", "--config", "preset=smoke", "recipe=paper"
    )
    assert status == 0, said
    metrics = json.loads((tmp_path / "results" / scene / "metrics.json").read_text())
    assert metrics["verdict"] in ("ok", "static", "exploded", "drifted")
