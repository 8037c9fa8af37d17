"""How fast Gaussians are splatted: `python benchmarks/splat.py [--json] [--quick]`.

A sphere's surface of N Gaussians in 4 states, seen by 16 cameras at once (the shape of a
reconstruction step), and by one. Times are medians of interleaved repetitions after a warm-up, in
milliseconds an image; `step` is forward, backward to all five inputs, and Adam over them. Prints
one flat JSON object with --json. N_S stands for the number of Gaussians and the edge in pixels.

  load_average_before, _after, idle_cores_before, _after   as in benchmarks/field.py; threads
  forward_N_S_ms, step_N_S_ms            16 images at once, wall time an image
  forward_N_S_cpu_ms, step_N_S_cpu_ms    CPU time of all threads
  forward_N_S_one_ms, step_N_S_one_ms    a single image
  torch_step_N_S_ms                      the torch reference, one image (only where it fits)
  step_vs_torch_N_S                      torch_step / step_one
  prototype_step_N_S_ms                  what to beat: spec/cpu-feasibility.md, section C, 2 threads
  step_vs_prototype_N_S                  prototype_step / step
"""

import argparse
import json
import math
import os

import animate124  # noqa: F401  first: it settles threads and malloc before numba and torch load

# isort: split
import numba
import torch
from timing import idle_cores, interleaved
from torch.nn.functional import normalize

from animate124.geometry.cameras import focal_length, world_to_camera
from animate124.geometry.trajectories import orbit_views
from animate124.kernels import cpu_splat_op, splat_reference

PROTOTYPE = {(5000, 64): 9.0, (5000, 128): 15.0, (20000, 64): 19.4, (20000, 128): 29.2}
STATES, VIEWS = 4, 16
LARGEST_REFERENCE = 5000 * 64 * 64  # Gaussians times pixels: autograd keeps some ten such arrays


def scene(count: int) -> list[torch.Tensor]:
    """Five inputs of `splat`: a sphere of radius 0.5, turned a little from state to state."""
    g = torch.Generator().manual_seed(0)
    points = 0.5 * normalize(torch.randn(count, 3, generator=g), dim=-1)
    spacing = math.sqrt(math.pi / count)
    turns = normalize(torch.randn(STATES, count, 4, generator=g), dim=-1)
    shift = 0.02 * torch.arange(STATES)[:, None, None]
    scales = torch.full((STATES, count, 3), 0.5 * spacing)
    state = points + shift, turns, scales, torch.full((count,), 0.95), torch.rand(count, 3)
    return [t.clone().requires_grad_() for t in state]


def measure(quick: bool) -> dict[str, float | str]:
    """All figures; `quick`: one small case, to see that all of it runs."""
    rounds = 3 if quick else 15
    cases = [(500, 32)] if quick else list(PROTOTYPE)
    result: dict[str, float | str] = {
        "threads": f"torch {torch.get_num_threads()}, numba {numba.get_num_threads()}",
        "load_average_before": os.getloadavg()[0],
        "idle_cores_before": idle_cores(),
    }
    for count, size in cases:
        result |= case(count, size, rounds)
    result["load_average_after"] = os.getloadavg()[0]
    result["idle_cores_after"] = idle_cores()
    return result


def case(count: int, size: int, rounds: int) -> dict[str, float]:
    """Figures of one number of Gaussians at one size."""
    state = scene(count)
    optimizer = torch.optim.Adam(state, lr=0.0, fused=True)
    views = world_views()
    source = torch.arange(VIEWS) % STATES
    lens = focal_length(40.0, size), size, size

    def images(module, number: int) -> torch.Tensor:
        return module.splat(*state, views[:number], source[:number], *lens)

    def step(module, number: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        images(module, number).square().mean().backward()
        optimizer.step()

    ours = cpu_splat_op
    functions = {
        "forward": lambda: images(ours, VIEWS),
        "step": lambda: step(ours, VIEWS),
        "forward_one": lambda: images(ours, 1),
        "step_one": lambda: step(ours, 1),
    }
    if count * size * size <= LARGEST_REFERENCE:
        functions["torch_step"] = lambda: step(splat_reference, 1)
    t = interleaved(functions, rounds)
    name, result = f"{count}_{size}", {}
    for key in ("forward", "step"):
        result[f"{key}_{name}_ms"] = t.wall[key] / VIEWS
        result[f"{key}_{name}_cpu_ms"] = t.cpu[key] / VIEWS
        result[f"{key}_{name}_one_ms"] = t.wall[f"{key}_one"]
    if "torch_step" in t.wall:
        result[f"torch_step_{name}_ms"] = t.wall["torch_step"]
        result[f"step_vs_torch_{name}"] = t.wall["torch_step"] / t.wall["step_one"]
    if (count, size) in PROTOTYPE:
        result[f"prototype_step_{name}_ms"] = PROTOTYPE[count, size]
        result[f"step_vs_prototype_{name}"] = PROTOTYPE[count, size] / result[f"step_{name}_ms"]
    return result


def world_views() -> torch.Tensor:
    """World-to-camera matrices [16, 4, 4] around the sphere."""
    return world_to_camera(orbit_views(VIEWS, 15.0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="one small case: does it run?")
    arguments = parser.parse_args()
    result = {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in measure(arguments.quick).items()
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:40} {value}")


if __name__ == "__main__":
    main()
