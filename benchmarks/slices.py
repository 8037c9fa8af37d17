"""What more time slices cost a clip of 16 frames: `python benchmarks/slices.py K [ROUNDS]`.

Run as a process of its own per K, so that the resident memory is K's. Prints one JSON object:
step_ms and adam_ms (the fused optimiser alone), dense_adam_ms (the same optimiser where every slice
has a gradient, as published), memory_mib and dense_memory_mib (growth of the peak resident memory
over an interpreter that has loaded and warmed everything), adam_bytes and dense_adam_bytes (state).
"""

import json
import sys
from pathlib import Path

import animate124  # noqa: F401  first: it settles threads and malloc before numba and torch load

# isort: split
import steps
import torch
from timing import interleaved

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit, rays

FRAMES, SIZE = 16, 32


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}: this measurement needs Linux")


def forget_peak() -> None:
    """Let VmHWM start again from the present."""
    Path("/proc/self/clear_refs").write_text("5")


def model_and_batch(slices: int) -> tuple[steps.Model, steps.Batch]:
    """A field of `slices` slices, occupied in a shell so that every K has the same samples, and 16
    frames that fall on slices of the 16-grid (and so on slices of the 32- and 64-grid)."""
    model = steps.Model.create(slices, FRAMES)
    occupancy = model.occupancy
    line = (torch.arange(occupancy.side) + 0.5) / occupancy.side * 2 * steps.BOUND - steps.BOUND
    radius = torch.stack(torch.meshgrid(line, line, line, indexing="ij")).norm(dim=0)
    occupancy.density[:] = ((radius - 0.4).abs() < 0.05).float()
    occupancy.threshold[:] = 0.5
    cameras = Cameras(orbit(torch.arange(FRAMES) * 22.5, 15.0), DEFAULT_FOV_Y, SIZE, SIZE)
    origins, directions = (r.reshape(FRAMES, -1, 3) for r in rays(cameras))
    truth, alpha = torch.full((FRAMES * SIZE**2, 3), 0.5), torch.ones(FRAMES * SIZE**2, 1)
    return model, steps.Batch(torch.arange(FRAMES) / FRAMES, origins, directions, truth, alpha)


def state_bytes(adam: torch.optim.Adam) -> int:
    """Bytes of the optimiser's moments."""
    tensors = (t for state in adam.state.values() for t in state.values() if t.ndim)
    return sum(t.numel() * t.element_size() for t in tensors)


def measure(slices: int, rounds: int) -> dict[str, float]:
    """The figures of one K."""
    model, batch = model_and_batch(2)
    model.step(batch)
    del model
    before = resident_mib("VmRSS")
    forget_peak()
    model, batch = model_and_batch(slices)
    times = interleaved({"step": lambda: model.step(batch), "adam": model.adam.step}, rounds)
    result = {f"{k}_ms": v for k, v in times.wall.items()}
    result["samples"] = float(model.samples[-1])
    result["memory_mib"] = resident_mib("VmHWM") - before
    result["adam_bytes"] = state_bytes(model.adam)
    for table in model.field.grid.slices:
        if table.grad is None:
            table.grad = torch.zeros_like(table)
    result["dense_adam_ms"] = interleaved({"dense": model.adam.step}, rounds).wall["dense"]
    result["dense_memory_mib"] = resident_mib("VmHWM") - before
    result["dense_adam_bytes"] = state_bytes(model.adam)
    return result


if __name__ == "__main__":
    wanted, *rest = map(int, sys.argv[1:])
    print(json.dumps(measure(wanted, rest[0] if rest else 15)))
