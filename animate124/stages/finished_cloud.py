"""A finished cloud of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from animate124.gaussians import store
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion
from animate124.geometry.cameras import Cameras
from animate124.render.splat import render_images
from animate124.stages.finished import Finished
from animate124.stages.finished_mesh import BOUND
from animate124.stages.outputs import need_file, read_record

CLOUD = "gaussians.safetensors"


@dataclass(frozen=True, eq=False, kw_only=True)
class FinishedCloud(Finished):
    """A cloud and its motion."""

    cloud: Cloud
    motion: Motion

    def _render(
        self, cameras: Cameras, times: Tensor, supersample: int, background: float
    ) -> dict[str, Tensor]:
        return render_images(
            self.cloud, self.motion, times.to(self.device), cameras, background, supersample
        )

    @torch.no_grad()
    def touching(self, times: Tensor) -> float:
        positions, _, _ = self.motion.frames(self.cloud, times.unique().to(self.device))
        return float((positions.abs() >= BOUND).any(-1).float().mean(-1).max())


def open_cloud(folder: Path, device: str = "cpu") -> FinishedCloud:
    """The cloud that `reconstruct` or `polish` left in `folder`.

    Raises:
        UserError: no finished results there, no cloud among them, or a damaged one.
    """
    record = read_record(folder)
    path = need_file(folder / CLOUD, "run `animate124 reconstruct` into it first")
    cloud, motion = store.load(path, device)
    return FinishedCloud(
        path=path,
        cloud=cloud,
        motion=motion.to(device),
        moments=motion.keyframes,
        loop=motion.loop,
        elevation=float(record.get("elevation", 0.0)),
        record=record,
        device=device,
    )
