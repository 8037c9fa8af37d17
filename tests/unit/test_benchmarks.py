"""The field benchmark runs to its end and prints every documented figure. No timing is asserted."""

import json
import math
import os
import subprocess
import sys

import pytest

PARTS = (
    "march", "blend", "encode", "mlp", "activation", "composite", "loss", "composite_backward",
    "activation_backward", "mlp_backward", "encode_backward", "blend_backward", "adam", "occupancy",
)  # fmt: skip
RIVAL_PARTS = ("march", "field", "normals", "composite", "backward", "adam", "occupancy")
SLICES = (
    "step_ms", "samples", "adam_ms", "dense_adam_ms", "memory_mib", "dense_memory_mib",
    "adam_bytes", "dense_adam_bytes",
)  # fmt: skip
KERNELS = ("encode", "mlp", "composite", "march")


@pytest.mark.slow
def test_the_quick_field_benchmark_prints_every_figure(root):
    shown = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "field.py"), "--quick", "--json"],
        stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": str(root)},
    ).stdout  # fmt: skip
    result = json.loads(shown)
    texts = {key for key, value in result.items() if isinstance(value, str)}
    assert texts == {"threads", "torch_encode_formulation"}
    numbers = {key: value for key, value in result.items() if key not in texts}
    assert all(math.isfinite(value) for value in numbers.values())
    expected = {f"{name}_vs_torch" for name in KERNELS} | {f"{name}_ms" for name in KERNELS}
    expected |= {f"torch_{name}_ms" for name in KERNELS}
    expected |= {"static_step_ms_32", "static_samples_32", "reference_encode_ms", "render_128_ms"}
    expected |= {"step_vs_published", "step_vs_published_no_refresh", "static_step_vs_published"}
    for step in ("static", "dynamic"):
        expected |= {f"{step}_step_ms", f"{step}_samples", f"{step}_refresh_ms"}
        expected |= {f"{step}_{part}_{unit}" for part in PARTS for unit in ("ms", "share")}
        expected |= {f"published_{step}_ms"}
        expected |= {f"published_{step}_{part}_ms" for part in RIVAL_PARTS}
        shares = [numbers[f"{step}_{part}_share"] for part in PARTS]
        assert sum(shares) == pytest.approx(1, abs=0.01)
    expected |= {f"slices_{k}_{name}" for k in (16, 64) for name in SLICES}
    expected |= {"encode_cpu_ms", "torch_encode_cpu_ms", "encode_vs_torch_cpu"}
    expected |= {"step_vs_published_cpu", "static_step_cpu_ms", "dynamic_step_cpu_ms"}
    assert expected <= set(numbers)
    assert {"idle_cores_before", "idle_cores_after"} <= set(numbers)  # 0 on a busy machine
    assert all(numbers[key] > 0 for key in expected)
    # What does not depend on the machine: 16 slices of 64 are touched, and only they cost moments.
    assert numbers["slices_64_adam_bytes"] == numbers["slices_16_adam_bytes"]
    assert numbers["slices_64_dense_adam_bytes"] > 3.5 * numbers["slices_64_adam_bytes"]
