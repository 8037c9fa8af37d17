"""How well motion is found again: `python benchmarks/reconstruct.py [--json FILE] [names ...]`.

The well-posed experiment (spec/animate3d.md, section 14, check 10): a toybox subject's asset, and
its true pictures from azimuths 0, 90, 180, 270 at elevation 15, go through what the stage
reconstruct does; the result is compared with the truth from azimuths 45, 135, 225, 315. A name is a
seed or one of the mechanics; without names the first ten dev characters and all mechanics.

Printed for each, over frames 1 to F − 1 (frame 0 is given):
  psnr      dB over the union of both silhouettes, held-out views; psnr_rest: the same cloud at
            rest; psnr_late: the truth itself one frame earlier ("nearest time")
  between   psnr at the middle between frames, times that no picture shows
  track     mean distance of 1,000 surface points from their true places, world units (the body's
            radius is about 0.6); track_90: 90th percentile; track_rest: if nothing moved
  chamfer   motion Chamfer distance of the Gaussians to those points, both directions together
            (ActionBench's CD-M), world units; chamfer_rest: if nothing moved
  arap      stiffness energy of the motion; amplitude: root mean square way from rest
  seconds   from the asset to the motion, wall time; cpu: CPU time
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path

import animate124  # noqa: F401  first: it settles threads and malloc before numba and torch load

# isort: split
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from animate124 import training
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.kernels import warm
from animate124.metrics.image import psnr_union
from animate124.metrics.motion import motion_chamfer
from animate124.render.splat import render_images
from animate124.settings.base import parse
from animate124.settings.reconstruct import ReconstructSettings
from animate124.stages.asset import open_file
from animate124.stages.motion_stage import measured
from animate124.stages.reconstruct import cloud_of
from animate124.stages.reconstruct_task import ReconstructTask
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.toybox.export import export_static_glb
from animate124.toybox.mechanics import MECHANICS
from animate124.toybox.render import render
from animate124.toybox.splits import seeds
from animate124.toybox.tracks import tracks

GIVEN, HELD_OUT = (0.0, 90.0, 180.0, 270.0), (45.0, 135.0, 225.0, 315.0)
ELEVATION, SAMPLES, POINTS = 15.0, 3, 1000
COLUMNS = (
    "psnr", "psnr_rest", "psnr_late", "between", "track", "track_90", "track_rest",
    "chamfer", "chamfer_rest", "arap", "amplitude", "seconds", "cpu",
)  # fmt: skip


def cameras(azimuth: tuple[float, ...], size: int) -> Cameras:
    return Cameras(orbit(torch.tensor(azimuth), ELEVATION), DEFAULT_FOV_Y, size, size)


def truth(clip: Clip, times: np.ndarray, azimuth: tuple[float, ...], size: int) -> Tensor:
    """Premultiplied RGBA [V, F, 4, S, S] on black."""
    views = cameras(azimuth, size)
    found = render(clip, times, views, SAMPLES, (0.0, 0.0, 0.0), ("rgb", "alpha"))
    planes = np.concatenate([found.rgb, found.alpha], -1)
    return torch.from_numpy(planes).permute(0, 1, 4, 2, 3)


def decibels(images: Tensor, right: Tensor) -> float:
    """Mean `psnr_union` over white of images and truth [..., 4, S, S], both premultiplied."""
    over = [(x[..., :3, :, :] + 1 - x[..., 3:, :, :]).movedim(-3, -1) for x in (images, right)]
    masks = images[..., 3, :, :].clamp(0, 1), right[..., 3, :, :]
    return float(psnr_union(over[0].clamp(0, 1), over[1], *masks).nanmean())


def seen(cloud: Cloud, motion: Motion, times: Tensor, size: int) -> Tensor:
    """[V, F, 4, S, S] of a moving cloud from the held-out sides."""
    views = cameras(HELD_OUT, size)
    every = Cameras(views.c2w.repeat_interleave(len(times), 0), views.fov_y, size, size)
    found = render_images(cloud, motion, times.repeat(len(views)), every, background=0.0)
    planes = torch.cat([found["rgb"], found["alpha"][..., None]], -1)
    return planes.permute(0, 3, 1, 2).unflatten(0, (len(views), -1))


def subject(name: str) -> Clip:
    return MECHANICS[name]() if name in MECHANICS else sample_clip(int(name))


def one(name: str, frames: int, settings: ReconstructSettings) -> dict[str, float | str]:
    """All figures of one subject."""
    clip = subject(name)
    times = clip.times(frames)
    clips = truth(clip, times, GIVEN, settings.size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "asset.glb"
        export_static_glb(clip, path, time=float(times[0]))
        began, cpu = time.perf_counter(), time.process_time()
        cloud = cloud_of(open_file(path), settings)
        task = ReconstructTask(cloud, clips, cameras(GIVEN, settings.size), clip.loop, settings)
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            training.run(task, settings.train, Path(folder) / "work", "benchmark")
        spent = time.perf_counter() - began, time.process_time() - cpu
    held_out = truth(clip, times, HELD_OUT, settings.size)
    cloud, motion, moments = task.cloud(), task.motion, task.times
    middle = (moments[:-1] + moments[1:]) / 2
    between = truth(clip, middle.double().numpy(), HELD_OUT, settings.size)
    return {
        "subject": f"{clip.species} {clip.motion}" if name not in MECHANICS else name,
        "psnr": decibels(seen(cloud, motion, moments, settings.size)[:, 1:], held_out[:, 1:]),
        "psnr_rest": decibels(
            seen(cloud, motion, 0 * moments, settings.size)[:, 1:], held_out[:, 1:]
        ),
        "psnr_late": decibels(held_out[:, :-1], held_out[:, 1:]),
        "between": decibels(seen(cloud, motion, middle, settings.size), between),
        **track_errors(clip, times, cloud, motion),
        **measured(task),
        "seconds": spent[0],
        "cpu": spent[1],
    }


@torch.no_grad()
def track_errors(clip: Clip, times: np.ndarray, cloud: Cloud, motion: Motion) -> dict[str, float]:
    """How far surface points, moved with the three nearest Gaussians or left at rest, are from
    their true places; and the Gaussians' motion Chamfer distances to them."""
    views = cameras(GIVEN, 64)
    world = tracks(clip, times, views, POINTS, np.random.default_rng(0)).world
    places = motion.frames(cloud, motion.times())[0]
    far, near = cKDTree(cloud.positions.numpy()).query(world[0], 3)
    weight = 1 / (far + 1e-6)
    weight /= weight.sum(1, keepdims=True)
    way = ((places - cloud.positions).numpy()[:, near] * weight[None, ..., None]).sum(2)
    away = np.linalg.norm(world[0] + way - world, axis=-1)[1:]
    true = torch.from_numpy(world)
    return {
        "track": float(away.mean()),
        "track_90": float(np.quantile(away, 0.9)),
        "track_rest": float(np.linalg.norm(world[0] - world, axis=-1)[1:].mean()),
        "chamfer": motion_chamfer(places, true).total,
        "chamfer_rest": motion_chamfer(cloud.positions.expand_as(places), true).total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="seeds, or names of mechanics")
    parser.add_argument("--frames", type=int, default=8, help="frames of the clips")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    settings = parse(ReconstructSettings, ["train.preview_every=0", *arguments.set])
    names = arguments.names or [*map(str, seeds("dev", 10)), *MECHANICS]
    warm.ensure_compiled()
    rows = {}
    print(f"{'':28}" + "".join(f"{column:>13}" for column in COLUMNS))
    for name in names:
        rows[name] = one(name, arguments.frames, settings)
        show(f"{name} {rows[name]['subject']}" if name not in MECHANICS else name, rows[name])
    for title, group in (
        ("characters", [r for n, r in rows.items() if n not in MECHANICS]),
        ("mechanics", [r for n, r in rows.items() if n in MECHANICS]),
    ):
        if len(group) > 1:
            show(f"mean of {title}", {c: statistics.mean(r[c] for r in group) for c in COLUMNS})
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def show(title: str, row: dict[str, float | str]) -> None:
    print(f"{title[:27]:28}" + "".join(f"{_short(row[c]):>13}" for c in COLUMNS), flush=True)


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.4f}"


if __name__ == "__main__":
    main()
