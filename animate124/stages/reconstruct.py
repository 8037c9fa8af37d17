"""Stage `reconstruct`: an asset and clips of it from several sides in, a moving Gaussian cloud out.

As stage 1 of Animate3D (spec §6), with what it lacks: frames that are even in time, stiffness that
does not depend on density or scale, control nodes bound along the surface, looks fitted to the
views, and a rest pose that no training can move.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from animate124 import runtime
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.surface import from_mesh
from animate124.kernels import warm
from animate124.settings.reconstruct import ReconstructSettings
from animate124.stages.asset import Prepared, open_asset
from animate124.stages.motion_stage import OUTPUTS, optimise
from animate124.stages.multiview import CAMERAS, read_clips, read_views
from animate124.stages.outputs import RECORD, Stopwatch, check_target
from animate124.stages.reconstruct_task import ReconstructTask


def reconstruct(
    asset: Path,
    views: Path,
    videos: Path,
    out: Path,
    settings: ReconstructSettings,
    device: str = "cpu",
    *,
    work: Path | None = None,
) -> dict[str, Any]:
    """Find the motion that clips show of an asset, and write it into `out`; returns the record.

    Args:
        asset, views, videos: folders written by `animate124 intake`, `views` and `generate`.
        work: folder for the resumable state; beside `out` if None.

    Killed at any moment and run again, it goes on from its last checkpoint and ends with the same
    files.

    Raises:
        UserError: missing or damaged inputs, a folder that cannot be written, or training that
            diverged.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS)
    with watch.part("loading"):
        warm.ensure_compiled()
        prepared, known = open_asset(asset), read_views(views)
        clips, loop = read_clips(videos, known, settings.size)
        cloud = cloud_of(prepared, settings).to(device)
        cameras = known.cameras(settings.size).to(device)
        task = ReconstructTask(cloud, clips.to(device), cameras, loop, settings)
    inputs = {"asset": prepared.path, "cameras": views / CAMERAS, "clips": videos / RECORD}
    return optimise(task, settings, known, out, work, device, watch, inputs)


def cloud_of(asset: Prepared, settings: ReconstructSettings) -> Cloud:
    """The asset's own Gaussians, or some sampled on its surface."""
    if asset.cloud is not None:
        return asset.cloud
    seed = runtime.derive_seed(settings.train.seed, "reconstruct", "surface")
    return from_mesh(asset.parts, settings.gaussians, np.random.default_rng(seed))
