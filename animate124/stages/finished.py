"""A finished scene as the later stages take it up: how it is rendered, where its picture was taken.

Whatever a scene was made of, a radiance field, an animated mesh or a cloud of Gaussians, the stages
that come after look at it in one way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from animate124 import checkpoints
from animate124.errors import UserError
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras
from animate124.stages.outputs import FIELD, read_record


@dataclass(frozen=True, eq=False, kw_only=True)
class Finished(ABC):
    """A scene with what it takes to render it.

    path: its file. moments: key moments that its motion is made of (1: it stands still). loop:
    whether its time is periodic. elevation: of the reference view, degrees; its azimuth is 0.
    record: the stage's record.
    """

    path: Path
    moments: int
    loop: bool
    elevation: float
    record: dict[str, Any]
    device: str

    def times(self, count: int) -> Tensor:
        """The times [count] of one pass: k/count in a loop, else k/(count − 1)."""
        if self.moments == 1:
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
        """Pictures, pose v at times[v]: rgb [V, S, S, 3] over a grey level and alpha [V, S, S],
        both in [0, 1], on the CPU; whatever else comes with them is the scene's own."""
        cameras = Cameras(c2w, DEFAULT_FOV_Y, size, size).to(self.device)
        found = self._render(cameras, times, supersample, background)
        found = {name: value.cpu() for name, value in found.items()}
        return found | {name: found[name].clamp(0, 1) for name in ("rgb", "alpha")}

    @abstractmethod
    def _render(
        self, cameras: Cameras, times: Tensor, supersample: int, background: float
    ) -> dict[str, Tensor]:
        """`images`, wherever they are and not clipped yet."""

    @abstractmethod
    def touching(self, times: Tensor) -> float:
        """How much of the scene lies on the faces of its cube, or beyond, at the worst of `times`.

        A share in [0, 1]. A subject that was cut off by the cube, or has grown into it, is there.
        """


def open_scene(folder: Path, device: str = "cpu") -> Finished:
    """What a stage left in `folder`: a field, an animated mesh, or a cloud of Gaussians.

    Raises:
        UserError: no finished results there, none of these among them, or a damaged one.
    """
    from animate124.stages.finished_cloud import CLOUD, open_cloud
    from animate124.stages.finished_field import open_field
    from animate124.stages.finished_mesh import MESH, open_mesh

    read_record(folder)
    for name, opened in ((FIELD, open_field), (MESH, open_mesh), (CLOUD, open_cloud)):
        if (folder / name).is_file():
            return opened(folder, device)
    raise UserError(
        f"There is no scene in {folder}: give the folder of one of the stages static, dynamic and "
        "refine, or reconstruct, polish and mesh."
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
