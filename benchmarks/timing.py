"""Timing on a machine that other work shares: warm up, interleave the rivals, take medians."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    functions: Mapping[str, Callable[[], object]], rounds: int, warm: int = 1
) -> dict[str, list[float]]:
    """Milliseconds of each call: `rounds` rounds in which every function runs once, in turn.

    A disturbance then hits all rivals alike. `warm` untimed rounds come first: they compile, fill
    caches, and let the allocator grow.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            elapsed = time.perf_counter() - start
            if turn >= warm:
                times[name].append(1e3 * elapsed)
    return times


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each list."""
    return {name: statistics.median(values) for name, values in times.items()}
