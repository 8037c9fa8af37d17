"""A finished field as the later stages take it up: how it is rendered, where its picture was taken.

What `static`, `dynamic` and `refine` leave has one form, so whatever comes after reads any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from animate124 import checkpoints
from animate124.fields.store import load_field, stored_settings
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras
from animate124.render.volume import Field, Occupancy, render_images
from animate124.stages.outputs import FIELD, need_file, read_record


@dataclass(frozen=True, eq=False)
class Finished:
    """A field with what it takes to render it.

    step: distance between samples, world units. slices: of its time grid (1: it stands still).
    loop: whether its time is periodic. elevation: of the reference view, degrees; its azimuth is 0.
    record: the stage's record.
    """

    field: Field
    occupancy: Occupancy
    step: float
    slices: int
    loop: bool
    elevation: float
    record: dict[str, Any]
    device: str

    def times(self, count: int) -> Tensor:
        """The times [count] of one pass: k/count in a loop, else k/(count − 1); 0 for one slice."""
        if self.slices == 1:
            return torch.zeros(count)
        return torch.arange(count) / (count if self.loop else max(count - 1, 1))

    def images(
        self,
        c2w: Tensor,
        times: Tensor,
        size: int,
        supersample: int = 1,
        background: float = 1.0,
    ) -> dict[str, Tensor]:
        """`render_images` on the CPU, with colour and coverage in [0, 1]: pose v at times[v]."""
        cameras = Cameras(c2w, DEFAULT_FOV_Y, size, size).to(self.device)
        found = render_images(
            self.field, self.occupancy, times, cameras, self.step, background, supersample
        )
        found = {name: value.cpu() for name, value in found.items()}
        return found | {name: found[name].clamp(0, 1) for name in ("rgb", "alpha")}


def open_field(folder: Path, device: str = "cpu") -> Finished:
    """The field that a stage left in `folder`.

    Raises:
        UserError: no finished results there, no field among them, or a damaged one.
    """
    record = read_record(folder)
    path = need_file(
        folder / FIELD, "give the folder of one of the stages static, dynamic and refine"
    )
    field, occupancy = load_field(path, device)
    return Finished(
        field,
        occupancy,
        stored_settings(path).step,
        len(field.grid.slices),
        field.grid.loop,
        float(record.get("elevation", 0.0)),
        record,
        device,
    )


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold a stage's work folder, so that two runs never write the same results; it leaves nothing.

    Raises UserError when another process holds it.
    """
    try:
        with checkpoints.locked(work):
            yield
    finally:
        with suppress(OSError):  # something else lies there
            work.rmdir()
