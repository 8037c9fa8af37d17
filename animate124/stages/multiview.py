"""What `views` and `generate` left, as reconstruct and polish take it up: cameras and clips."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate124.errors import UserError
from animate124.geometry.cameras import Cameras, orbit
from animate124.media.images import read_image, resize
from animate124.stages.outputs import RECORD, need_file, read_record

CAMERAS, FRAMES = "cameras.json", "frames"


@dataclass(frozen=True, eq=False)
class ViewSet:
    """The conditioning views' cameras: azimuth, elevation [n] and fov_y in degrees, radius in world
    units; background: the grey level in [0, 1] that the prior was trained over."""

    folder: Path
    azimuth: Tensor
    elevation: Tensor
    radius: float
    fov_y: float
    background: float

    def __len__(self) -> int:
        return len(self.azimuth)

    def cameras(self, size: int) -> Cameras:
        """Its cameras at `size` pixels."""
        return Cameras(orbit(self.azimuth, self.elevation, self.radius), self.fov_y, size, size)

    def pictures(self, size: int) -> Tensor:
        """The views [n, 4, size, size], colours premultiplied on black."""
        files = [self.folder / view_name(k) for k in range(len(self))]
        return torch.stack([_rgba(path, size) for path in files])


def view_name(index: int) -> str:
    """File of view `index`, from 0."""
    return f"view_{index}.png"


def frame_name(view: int, frame: int) -> str:
    """File of a generated frame, within the folder of `generate`."""
    return f"{FRAMES}/view_{view}_frame_{frame:02d}.png"


def read_views(folder: Path) -> ViewSet:
    """What `animate124 views` wrote. Raises UserError: not there, or damaged."""
    read_record(folder)
    path = need_file(folder / CAMERAS, "give the folder of `animate124 views`")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        azimuth = torch.tensor(found["azimuth"], dtype=torch.float32)
        elevation = torch.tensor(found["elevation"], dtype=torch.float32)
        radius, fov_y, background = (float(found[k]) for k in ("radius", "fov_y", "background"))
        if azimuth.dim() != 1 or azimuth.shape != elevation.shape or len(azimuth) == 0:
            raise ValueError("azimuths and elevations do not fit together")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"The file {path} is damaged ({error}): run the stage again.") from None
    return ViewSet(folder, azimuth, elevation, radius, fov_y, background)


def read_clips(folder: Path, views: ViewSet, size: int) -> tuple[Tensor, bool]:
    """The frames that `animate124 generate` wrote, and whether they make a loop.

    Returns [n, F, 4, size, size], colours premultiplied on black; frame 0 is the view itself.

    Raises:
        UserError: no finished results there, other views, fewer than two frames, damaged pictures.
    """
    record = read_record(folder)
    try:
        count, frames, loop = int(record["views"]), int(record["frames"]), bool(record["loop"])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"The record {folder / RECORD} tells of no clips: give the folder of "
            "`animate124 generate`."
        ) from None
    if count != len(views) or frames < 2:
        raise UserError(
            f"The clips in {folder} have {count} views and {frames} frames, and {len(views)} views "
            "and at least 2 frames are needed: run generate on these views."
        )
    clips = torch.stack(
        [
            torch.stack([_rgba(folder / frame_name(v, k), size) for k in range(1, frames)])
            for v in range(count)
        ]
    )
    return torch.cat([views.pictures(size)[:, None], clips], 1), loop


def _rgba(path: Path, size: int) -> Tensor:
    """A picture [4, size, size], premultiplied on black. Raises UserError for one without alpha."""
    image = read_image(path)
    if image.shape[2] != 4 or image.shape[0] != image.shape[1]:
        raise UserError(f"The picture {path} is no square RGBA picture: run its stage again.")
    image[..., :3] *= image[..., 3:]
    method = "area" if size < image.shape[0] else "bilinear"
    if image.shape[0] != size:
        planes = [resize(image[..., k], size, size, method) for k in range(4)]
        image = np.stack(planes, -1)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()
