"""Timing on a machine that other work shares: warm up, interleave the rivals, take medians.

Wall time is what a user waits for, and means little where other work holds the cores; the CPU time
of the process (all threads) suffers less from that. `idle_cores` tells which of the two to believe.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timed:
    """Median milliseconds of every function: `wall`, and `cpu` summed over the threads."""

    wall: dict[str, float]
    cpu: dict[str, float]


def interleaved(functions: Mapping[str, Callable[[], object]], rounds: int, warm: int = 1) -> Timed:
    """Medians over `rounds` rounds in which every function runs once, in turn.

    A disturbance then hits all rivals alike. `warm` untimed rounds come first: they compile, fill
    caches, and let the allocator grow.
    """
    wall: dict[str, list[float]] = {name: [] for name in functions}
    cpu: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm + rounds):
        for name, function in functions.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            function()
            elapsed, elapsed_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if turn >= warm:
                wall[name].append(1e3 * elapsed)
                cpu[name].append(1e3 * elapsed_cpu)
    return Timed(medians(wall), medians(cpu))


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each list."""
    return {name: statistics.median(values) for name, values in times.items()}


def idle_cores(seconds: float = 1.0) -> float:
    """Cores that nobody used while this process slept for `seconds`; needs Linux."""

    def idle() -> tuple[int, int, int]:
        lines = Path("/proc/stat").read_text().splitlines()
        fields = list(map(int, lines[0].split()[1:9]))  # user … steal; guests are in user
        cores = sum(line.startswith("cpu") for line in lines) - 1
        return fields[3] + fields[4], sum(fields), cores

    free, total, cores = idle()
    time.sleep(seconds)
    later_free, later_total, _ = idle()
    return cores * (later_free - free) / max(later_total - total, 1)
