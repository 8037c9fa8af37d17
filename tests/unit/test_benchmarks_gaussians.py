"""The Gaussians' benchmarks run to their ends and print every figure. No timing is asserted."""

import json
import math
import os
import subprocess
import sys

import pytest

COLUMNS = {
    "subject", "psnr", "psnr_rest", "psnr_late", "between", "track", "track_90", "track_rest",
    "chamfer", "chamfer_rest", "arap", "amplitude", "seconds", "cpu",
}  # fmt: skip


def shown(root, *command):
    """What a benchmark prints."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    path = str(root / "benchmarks" / command[0])
    run = [sys.executable, path, *map(str, command[1:])]
    return subprocess.run(
        run, stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout


@pytest.mark.slow
def test_the_quick_splat_benchmark_prints_every_figure(root):
    result = json.loads(shown(root, "splat.py", "--quick", "--json"))
    keys = {f"{kind}_500_32{unit}" for kind in ("forward", "step")
            for unit in ("_ms", "_cpu_ms", "_one_ms")}  # fmt: skip
    assert keys | {"torch_step_500_32_ms", "step_vs_torch_500_32"} <= set(result)
    assert all(result[key] > 0 and math.isfinite(result[key]) for key in keys)


@pytest.mark.slow
def test_the_reconstruction_benchmark_finds_stillness_still(root, tmp_path):
    changes = ("gaussians=300", "size=24", "appearance=10", "train.steps=20", "motion.nodes=16")
    options = [part for change in changes for part in ("--set", change)]
    path = tmp_path / "figures.json"
    shown(root, "reconstruct.py", "static", "--frames", "3", "--json", path, *options)
    (row,) = json.loads(path.read_text()).values()
    assert set(row) == COLUMNS
    assert row["track_rest"] == 0 and row["track"] < 0.05 and row["psnr_late"] == 100
