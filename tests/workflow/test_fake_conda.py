"""`--use-conda` through a test double of conda (tests/fake_conda): see there what it leaves out."""

import json
import os
import subprocess
import sys
import sysconfig

import yaml
from checkout import ROOT

DOUBLE = ROOT / "tests" / "fake_conda"


def test_use_conda_through_a_test_double(tmp_path):
    log = tmp_path / "conda.log"
    environment = {
        **os.environ,
        "PATH": f"{DOUBLE / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "FAKE_CONDA_SITE": sysconfig.get_path("purelib"),
        "FAKE_CONDA_LOG": str(log),
        "PYTHONPATH": "/nowhere",  # is taken away from jobs, and must not be what they need
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--use-conda", "--snakefile"]
    command += [ROOT / "workflow" / "Snakefile", "results/panda/preprocess/rgba.png"]
    run = subprocess.run(
        [*command, "--config", "preset=smoke"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "results/panda/preprocess/stage.json").is_file()
    # One environment, made of environment.yml, activated, and its Python did the job.
    (made,) = (tmp_path / ".snakemake" / "conda").glob("*_/asked.json")
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert json.loads(made.read_text()) == pip
    said = log.read_text().splitlines()
    assert f"activate {made.parent}" in said and f"python {made.parent}" in said
