"""The motion that `reconstruct` or `polish` left, at the moments of an animation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from animate124.gaussians.store import load
from animate124.settings.animate_mesh import AnimateMeshSettings
from animate124.stages.animate_mesh_carry import Carriers, carriers
from animate124.stages.outputs import need_file, read_record

MOTION = "gaussians.safetensors"
_FPS = 8.0  # where the record of the motion tells none: the published model's


@dataclass(frozen=True, eq=False)
class FoundMotion:
    """Gaussians at times [T] in [0, 1], the first at rest; fps: how fast they follow one another;
    path: the file that they are from."""

    path: Path
    carriers: Carriers
    times: torch.Tensor
    fps: float
    loop: bool


def read_motion(folder: Path, settings: AnimateMeshSettings, device: str = "cpu") -> FoundMotion:
    """The motion in a folder, at as many moments as the settings, or its own record, say.

    Raises UserError: no finished results there, or none with a motion.
    """
    record = read_record(folder)
    path = need_file(folder / MOTION, "give the folder of `animate124 reconstruct` or `polish`")
    cloud, motion = load(path, device)
    count = settings.frames or motion.keyframes
    fps = settings.fps or float(record.get("fps", _FPS))
    loop = bool(motion.loop) if settings.loop is None else settings.loop
    times = torch.arange(count) / (count if loop else max(count - 1, 1))
    with torch.no_grad():
        positions, rotations, _ = motion.frames(cloud, times.to(device))
    normals = cloud.normals.cpu().numpy() if cloud.flat else None
    found = carriers(positions.cpu().numpy(), rotations.cpu().numpy(), normals)
    return FoundMotion(path, found, times, fps, loop)
