"""Reading a multi-view video dataset for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate124.errors import UserError
from animate124.media.images import read_image, resize
from animate124.zoo.mvvideo import Entry, frame_file, read_manifest


@dataclass(frozen=True, eq=False)
class Shot:
    """rgba [n, F, 4, H, W] in [0, 1], colour premultiplied by alpha; angles [n] in degrees."""

    rgba: Tensor
    azimuth: Tensor
    elevation: Tensor
    caption: str


class MultiViewClips:
    """The clips of a dataset that have enough views and frames; what is drawn is the generator's.

    Raises UserError if there are none.
    """

    def __init__(self, folder: Path, views: int, frames: int, size: int) -> None:
        self.folder, self.views, self.frames, self.size = folder, views, frames, size
        self.entries = [
            entry
            for entry in read_manifest(folder)
            if entry.views % views == 0 and entry.frames >= frames
        ]
        if not self.entries:
            raise UserError(
                f"No clip in {folder} has {views} views, or a multiple, and {frames} frames: build "
                "it with more."
            )

    def draw(self, rng: np.random.Generator) -> Shot:
        """Views evenly around a drawn clip, from a drawn one of its cameras on, and frames evenly
        over all of it: its first one is frame 0.

        Raises UserError for pictures that are missing or damaged.
        """
        entry = self.entries[int(rng.integers(len(self.entries)))]
        stride = entry.views // self.views
        chosen = int(rng.integers(stride)) + stride * np.arange(self.views)
        # A loop's end is its beginning, and not shown; another clip's is its last frame.
        last = entry.frames if entry.loop else entry.frames - 1
        steps = self.frames if entry.loop else self.frames - 1
        moments = (np.arange(self.frames) * last / steps).round().astype(int)
        rgba = [[self._picture(entry, v, k) for k in moments] for v in chosen]
        return Shot(
            torch.stack([torch.stack(row) for row in rgba]),
            torch.tensor(entry.azimuth)[chosen],
            torch.tensor(entry.elevation)[chosen],
            entry.caption,
        )

    def _picture(self, entry: Entry, view: int, frame: int) -> Tensor:
        path = self.folder / entry.name / frame_file(view, frame)
        image = read_image(path)
        if image.shape != (entry.size, entry.size, 4):
            raise UserError(
                f"The picture {path} is no RGBA of {entry.size} pixels: build it again."
            )
        image[..., :3] *= image[..., 3:]
        if entry.size != self.size:
            method = "area" if self.size < entry.size else "bilinear"
            planes = [resize(image[..., k], self.size, self.size, method) for k in range(4)]
            image = np.stack(planes, -1)
        return torch.from_numpy(image).permute(2, 0, 1)
