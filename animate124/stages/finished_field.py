"""A finished radiance field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from animate124.fields.store import load_field, stored_settings
from animate124.geometry.cameras import Cameras
from animate124.render.volume import Field, Occupancy, render_images
from animate124.stages.finished import Finished
from animate124.stages.outputs import FIELD, need_file, read_record

_SIDE = 32  # points along an edge of the cube's faces that are asked
_DEPTH = 1 / 64  # of the cube: if so much is half opaque, there is matter


@dataclass(frozen=True, eq=False, kw_only=True)
class FinishedField(Finished):
    """A field and its occupancy; step: distance between samples along a ray, world units."""

    field: Field
    occupancy: Occupancy
    step: float

    def _render(
        self, cameras: Cameras, times: Tensor, supersample: int, background: float
    ) -> dict[str, Tensor]:
        return render_images(
            self.field, self.occupancy, times, cameras, self.step, background, supersample
        )

    def touching(self, times: Tensor) -> float:
        line = (torch.arange(_SIDE) + 0.5) / _SIDE
        u, v = (x.flatten() for x in torch.meshgrid(line, line, indexing="ij"))
        faces = [
            torch.stack([*(p := [u, v])[:axis], torch.full_like(u, depth), *p[axis:]], -1)
            for axis in range(3)
            for depth in (_DEPTH / 2, 1 - _DEPTH / 2)
        ]
        points = torch.cat(faces).to(self.device)
        starts = torch.tensor([0, len(points)], device=points.device)
        opaque = math.log(2) / (2 * self.field.bound * _DEPTH)
        shares = [
            float((self.field.query(points, t.reshape(1), starts)[0] > opaque).float().mean())
            for t in times.unique()
        ]
        return max(shares)


def open_field(folder: Path, device: str = "cpu") -> FinishedField:
    """The field that a stage left in `folder`.

    Raises:
        UserError: no finished results there, no field among them, or a damaged one.
    """
    record = read_record(folder)
    path = need_file(
        folder / FIELD, "give the folder of one of the stages static, dynamic and refine"
    )
    field, occupancy = load_field(path, device)
    return FinishedField(
        path=path,
        field=field,
        occupancy=occupancy,
        step=stored_settings(path).step,
        moments=len(field.grid.slices),
        loop=field.grid.loop,
        elevation=float(record.get("elevation", 0.0)),
        record=record,
        device=device,
    )
