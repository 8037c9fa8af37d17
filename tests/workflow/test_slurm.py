"""The workflow on a real SLURM of this one machine: retried, limited in time, one GPU at a time.

Needs root, Debian's slurm-wlm and munge, and the extra `slurm`. It takes minutes: SLURM is asked
what became of a job only every ten seconds and less often.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from checkout import ROOT

SCENES = ("panda", "fox", "bluebot", "penguin", "frog", "dinosaur")
LIMIT = 60  # seconds: SLURM's shortest
# The static stage from the picture alone asks for no models.
ALONE = (
    "stages={static: {novel_view: 0, text: 0, train: {steps: %d, checkpoint_seconds: 5}}, "
    "preprocess: {depth: off}}"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start SLURM"),
    pytest.mark.skipif(shutil.which("slurmctld") is None, reason="needs Debian's slurm-wlm"),
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
        reason="needs the extra slurm",
    ),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    script, state = Path(__file__).with_name("slurm_cluster.sh"), tmp_path_factory.mktemp("slurm")
    subprocess.run([script, "start", state], check=True)
    yield
    subprocess.run([script, "stop", state], check=True)


def snakemake(folder, *arguments):
    """The user's command with the SLURM profile, with shorter waits; status and what it said."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow" / "Snakefile"]
    command += ["--workflow-profile", "slurm", *arguments]
    command += ["--latency-wait", "10", "--slurm-init-seconds-before-status-checks", "5"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000)
    return run.returncode, run.stdout + run.stderr


def test_six_scenes_of_which_one_fails_at_first(cluster, tmp_path):
    whole = (ROOT / "config" / "inputs" / "fox.png").read_bytes()
    (tmp_path / "fox.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "config").mkdir()
    shown = {"bluebot": "robot"}
    rows = [
        f"{s}\tconfig/inputs/{shown.get(s, s)}.png\ta {shown.get(s, s)} is dancing" for s in SCENES
    ]
    rows[1] = "fox\tfox.png\ta fox is dancing"
    (tmp_path / "config" / "scenes.tsv").write_text("\n".join(["scene\timage\tprompt", *rows]))
    failed = threading.Event()

    def mend():  # as a user would, between the first attempt and the second
        log = tmp_path / "results" / "fox" / "logs" / "preprocess.log"
        while not failed.is_set():
            if log.is_file() and "error: " in log.read_text():
                (tmp_path / "fox.png").write_bytes(whole)
                failed.set()
            time.sleep(0.2)

    mender = threading.Thread(target=mend, daemon=True)
    mender.start()
    targets = [f"results/{scene}/preprocess/rgba.png" for scene in SCENES]
    status, said = snakemake(tmp_path, *targets, "--config", "preset=smoke", "threads=2")
    assert status == 0, said[-3000:]
    assert failed.is_set() and "Trying to restart job" in said
    for scene in SCENES:
        record = json.loads((tmp_path / f"results/{scene}/preprocess/stage.json").read_text())
        assert record["stage"] == "preprocess"


def test_a_job_that_runs_out_of_time_goes_on_in_the_next(cluster, tmp_path):
    target = "results/panda/static/field.safetensors"
    record = tmp_path / "results" / "panda" / "static" / "stage.json"
    status, said = snakemake(tmp_path, target, "--config", ALONE % 200, "threads=2")
    assert status == 0, said[-3000:]
    seconds_a_step = json.loads(record.read_text())["seconds_training"] / 200
    steps = int(1.5 * LIMIT / seconds_a_step)
    limits = ["--set-resources", "static:runtime=1", "--retries", "12"]
    status, said = snakemake(tmp_path, target, *limits, "--config", ALONE % steps, "threads=2")
    assert status == 0, said[-3000:]
    assert "Trying to restart job" in said
    found = json.loads(record.read_text())
    assert found["steps"] == steps and 0 < found["resumed_from"] < steps
