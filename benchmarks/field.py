"""How fast the 4D field is: `python benchmarks/field.py [--json] [--quick]`.

Prints one flat JSON object with --json. Every time is the median, in milliseconds, of interleaved
repetitions in one process after a warm-up; every ratio compares two such medians, so that 5 means
five times as fast as the rival. Times are wall times, but for those named cpu: the CPU time of all
threads. Where other work holds the cores (idle_cores below the threads), wall times are too long
and their ratios may lean either way. docs/benchmarks.md says what each rival is.

  load_average_before, _after   of the machine; threads: torch's and numba's
  idle_cores_before, _after  cores that nobody used just before and after the run
  encode_ms                  multi-resolution lookup, forward + backward, `encode_samples` samples
  torch_encode_ms            the fastest plain-torch lookup, named by torch_encode_formulation
  encode_vs_torch            torch_encode_ms / encode_ms
  encode_cpu_ms, torch_encode_cpu_ms, encode_vs_torch_cpu   the same in CPU time
  reference_encode_ms        autograd through indexing, the readable reference
  torch_encode_compile_ms    the same under torch.compile (needs a C++ compiler; else absent),
  encode_vs_torch_compile    and its ratio; torch_encode_compile_seconds: how long it compiled
  mlp_, composite_, march_vs_torch   the other kernels against their torch references
  static_step_ms             a training step at 64x64 rays, a 1/16 occupancy refresh included
  static_step_ms_32, _128    the same at other sizes; static_samples, _32, _128: samples a step
  static_PART_ms             its parts (march, blend, encode, mlp, activation, composite, loss,
                             X_backward, adam, occupancy); static_PART_share of their sum
  dynamic_step_ms            a training step with 8 frames of 32x32 rays and 16 time slices, 1/16 of
                             a refresh of 4 slices included; dynamic_... as for the static step
  published_static_ms        the published design at the same sizes, a 1/16 refresh included;
  published_dynamic_ms       published_..._PART_ms: its parts
  static_step_vs_published   published_static_ms / static_step_ms
  step_vs_published          published_dynamic_ms / dynamic_step_ms
  step_vs_published_cpu      the same in CPU time; static_step_cpu_ms, dynamic_step_cpu_ms
  step_vs_published_no_refresh   the same without either's occupancy refresh
  slices_K_...               K slices and a clip of 16 frames: step_ms, adam_ms (optimiser alone),
                             dense_adam_ms (as published: all slices), memory_mib and
                             dense_memory_mib (growth of the peak resident memory), adam_bytes and
                             dense_adam_bytes
  render_128_ms              an image of 128x128 pixels of the static field, no gradients
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import animate124  # noqa: F401  first: it settles threads and malloc before numba and torch load

# isort: split
import encode_race
import numba
import steps
import torch
from published import PublishedModel
from timing import idle_cores, interleaved, medians
from torch import Tensor

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.kernels import dispatch, reference
from animate124.render.volume import render_images

Figures = dict[str, float | str]
Turns = list[steps.Batch]


def _channels_first(x: Tensor) -> Tensor:
    """A copy of x [N, C] whose columns are contiguous."""
    return x.t().contiguous().t()


def kernels(model: steps.Model, batch: steps.Batch, rounds: int) -> Figures:
    """The other three kernels against their torch references, on a step's own data."""
    origins, directions = batch.origins.reshape(-1, 3), batch.directions.reshape(-1, 3)
    density, threshold, boxes, _ = model.occupancy.at(batch.times)
    group, jitter = torch.zeros(len(origins), dtype=torch.int64), torch.full((len(origins),), 0.5)
    grid = (origins, directions, group, density, threshold, steps.BOUND, steps.STEP, jitter)
    offsets, distances, _ = dispatch.march(*grid, float("inf"), boxes)
    count, head = len(distances), model.field.head
    weights = (head.w1, head.b1, head.w2, head.b2)
    g = torch.Generator().manual_seed(0)
    # Each backend gets the layout that its own encode and perceptron leave behind: ours channels
    # first, torch's samples first. The other's would cost it a transposition that no step has.
    features = torch.randn(count, steps.LEVELS.width, generator=g)
    colour = torch.rand(count, 3, generator=g)
    inputs = {
        module: [first(x).requires_grad_() for x in (features, colour)]
        for module, first in ((dispatch, _channels_first), (reference, Tensor.clone))
    }
    raw_gradient = torch.randn(count, 4, generator=g)
    sigma = (torch.rand(count, generator=g) * 20).requires_grad_()
    gradients = [torch.randn(len(origins), 3, generator=g)]
    gradients += [torch.randn(n, generator=g) for n in (len(origins), len(origins), count)]

    def mlp(module) -> None:
        x = inputs[module][0]
        torch.autograd.grad(module.mlp(x, *weights), (x, *weights), raw_gradient)

    def composite(module) -> None:
        x = inputs[module][1]
        outputs = module.composite(sigma, x, distances, offsets, steps.STEP)
        torch.autograd.grad(outputs, (sigma, x), gradients)

    result: Figures = {}
    for name, ours, torchs in (
        ("mlp", lambda: mlp(dispatch), lambda: mlp(reference)),
        ("composite", lambda: composite(dispatch), lambda: composite(reference)),
        (
            "march",
            lambda: dispatch.march(*grid, float("inf"), boxes),
            lambda: reference.march(*grid, float("inf")),
        ),
    ):
        t = interleaved({"ours": ours, "torch": torchs}, rounds).wall
        result[f"{name}_ms"], result[f"torch_{name}_ms"] = t["ours"], t["torch"]
        result[f"{name}_vs_torch"] = t["torch"] / t["ours"]
    return result


def step_figures(name: str, model: steps.Model, turns: dict[str, Turns], rounds: int) -> Figures:
    """Step time and samples for each size (suffix of the keys), parts for the size named ""."""
    samples: dict[str, list[int]] = {size: [] for size in turns}

    def step(size: str) -> None:
        model.step(turns[size][model.steps % steps.VIEWS])
        samples[size].append(model.samples[-1])

    # Refreshing in between would change the number of samples from round to round.
    functions = {size: lambda size=size: step(size) for size in turns}
    t = interleaved(functions, rounds)
    parts = median_parts(model, turns[""], rounds)
    refresh = interleaved({"refresh": model.refresh}, max(3, rounds // 4))
    share = 1 / steps.REFRESH_EVERY
    parts["occupancy"] = refresh.wall["refresh"] * share
    result: Figures = {
        f"{name}_refresh_ms": refresh.wall["refresh"],
        f"{name}_step_cpu_ms": t.cpu[""] + refresh.cpu["refresh"] * share,
    }
    for size in turns:
        result[f"{name}_step_ms{size}"] = t.wall[size] + parts["occupancy"]
        result[f"{name}_samples{size}"] = sum(samples[size]) / len(samples[size])
    for part, value in parts.items():
        result[f"{name}_{part}_ms"] = value
        result[f"{name}_{part}_share"] = value / sum(parts.values())
    return result


def median_parts(model: steps.Model, turns: Turns, rounds: int) -> dict[str, float]:
    """Median of every part over `rounds` steps."""
    measured = [model.parts(turns[model.steps % steps.VIEWS]) for _ in range(rounds + 1)][1:]
    return medians({part: [m[part] for m in measured] for part in steps.PARTS})


def published(
    name: str, model: steps.Model, turns: Turns, encoders: int, how, rounds: int
) -> Figures:
    """The published step on the same rays and samples, interleaved with ours."""
    rival = PublishedModel(encoders, how, model.occupancy)
    parts: list[dict[str, float]] = []
    t = interleaved(
        {
            "ours": lambda: model.step(turns[model.steps % steps.VIEWS]),
            "theirs": lambda: parts.append(rival.step(turns[model.steps % steps.VIEWS])),
            "our refresh": model.refresh,
            "their refresh": rival.refresh_slice,
        },
        rounds,
    )
    by_part = medians({part: [m[part] for m in parts[1:]] for part in parts[0]})
    result: Figures = {f"published_{name}_{part}_ms": v for part, v in by_part.items()}
    # All of theirs are refreshed at once, one slice per encoder.
    every = steps.REFRESH_EVERY
    occupancy = t.wall["their refresh"] * encoders / every
    result[f"published_{name}_occupancy_ms"] = occupancy
    result[f"published_{name}_ms"] = t.wall["theirs"] + occupancy
    key = "step_vs_published" if name == "dynamic" else f"{name}_step_vs_published"
    for suffix, clock in (("", t.wall), ("_cpu", t.cpu)):
        theirs = clock["theirs"] + clock["their refresh"] * encoders / every
        result[key + suffix] = theirs / (clock["ours"] + clock["our refresh"] / every)
    result[f"{key}_no_refresh"] = t.wall["theirs"] / t.wall["ours"]
    return result


def slices(counts: tuple[int, ...], rounds: int) -> Figures:
    """benchmarks/slices.py in a fresh process per K."""
    script, result = Path(__file__).with_name("slices.py"), {}
    for count in counts:
        command = [sys.executable, str(script), str(count), str(rounds)]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        result |= {f"slices_{count}_{key}": value for key, value in json.loads(shown).items()}
    return result


def measure(quick: bool) -> Figures:
    """All figures; `quick`: few repetitions and a short warm-up, to see that all of it runs."""
    rounds, warm_steps = (2, 20) if quick else (21, 200)
    result: Figures = {
        "threads": f"torch {torch.get_num_threads()}, numba {numba.get_num_threads()}",
        "load_average_before": os.getloadavg()[0],
        "idle_cores_before": idle_cores(),
    }
    how, figures = encode_race.race(quick)
    result |= figures
    model, clip = steps.static_model(warm_steps)
    still = torch.zeros(1)
    sizes = {"": 64, "_32": 32} if quick else {"": 64, "_32": 32, "_128": 128}
    turns = {key: steps.batches(clip, size, still) for key, size in sizes.items()}
    result |= kernels(model, turns[""][0], rounds)
    result |= step_figures("static", model, turns, rounds)
    result |= published("static", model, turns[""], 1, how, max(2, rounds // 3))
    camera = Cameras(orbit(torch.tensor([30.0]), 15.0), DEFAULT_FOV_Y, 128, 128)
    image = lambda: render_images(model.field, model.occupancy, still, camera, steps.STEP)  # noqa: E731
    result["render_128_ms"] = interleaved({"image": image}, rounds).wall["image"]
    model, clip = steps.dynamic_model(warm_steps)
    moving = {"": steps.batches(clip, 32, steps.dynamic_times())}
    result |= step_figures("dynamic", model, moving, rounds)
    result |= published("dynamic", model, moving[""], steps.SLICES, how, max(1, rounds // 4))
    result |= slices((16, 64) if quick else (16, 32, 64), rounds)
    result["load_average_after"] = os.getloadavg()[0]
    result["idle_cores_after"] = idle_cores()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run?")
    arguments = parser.parse_args()
    result = {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in measure(arguments.quick).items()
    }
    spare = min(result["idle_cores_before"], result["idle_cores_after"])
    if spare < torch.get_num_threads() - 0.3:
        print(
            f"Only {spare:.1f} cores were idle for {torch.get_num_threads()} threads: wall times "
            "are too long, and ratios of wall times are not to be relied upon.",
            file=sys.stderr,
        )
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:40} {value}")


if __name__ == "__main__":
    main()
