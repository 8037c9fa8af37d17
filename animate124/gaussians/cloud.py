"""A cloud of 3D Gaussians at rest (Kerbl et al. 2023), with one colour each."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from animate124.media.ply import GaussianArrays

SH_DC = 0.28209479177387814  # the constant spherical harmonic
_SH_LIMIT = 2.0  # of the published renderer: colour clip (spec §4.1)


@dataclass(frozen=True)
class Cloud:
    """N Gaussians in the world; float32.

    positions [N, 3]; log_scales [N, 3] of the standard deviations along the rotated axes, world
    units; rotations [N, 4] unit quaternions (w, x, y, z); opacity_logits [N]; colours [N, 3] sRGB
    in [0, 1]. `flat`: every Gaussian lies on a surface, its third axis along the outward normal.
    """

    positions: Tensor
    log_scales: Tensor
    rotations: Tensor
    opacity_logits: Tensor
    colours: Tensor
    flat: bool = False

    def __post_init__(self) -> None:
        count = len(self.positions)
        shapes = {
            "positions": (count, 3), "log_scales": (count, 3), "rotations": (count, 4),
            "opacity_logits": (count,), "colours": (count, 3),
        }  # fmt: skip
        for name, shape in shapes.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"{name} must be {list(shape)}, got {list(found)}")

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def scales(self) -> Tensor:
        """Standard deviations [N, 3], world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N] in (0, 1)."""
        return self.opacity_logits.sigmoid()

    @property
    def normals(self) -> Tensor:
        """Outward unit normals [N, 3]. Raises ValueError for a cloud that is not `flat`."""
        if not self.flat:
            raise ValueError("only Gaussians on a surface have normals")
        w, x, y, z = self.rotations.unbind(-1)
        rows = 2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)
        return torch.stack(rows, -1)

    def to(self, device: torch.device | str) -> Cloud:
        """The same on another device."""
        names = (f.name for f in fields(self) if f.name != "flat")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def from_gaussians(arrays: GaussianArrays) -> Cloud:
    """The cloud of a Gaussian PLY (`media.ply.read_gaussians`); only the constant part of its
    colours is kept, clipped as the published renderer clips it (spec §4.1)."""
    sh = np.clip(arrays.sh[:, 0], -_SH_LIMIT, _SH_LIMIT)
    tensors = {
        "positions": arrays.positions,
        "log_scales": arrays.log_scales,
        "opacity_logits": arrays.opacity_logits,
        "colours": (0.5 + SH_DC * sh).clip(0.0, 1.0),
    }
    found = {name: torch.tensor(value, dtype=torch.float32) for name, value in tensors.items()}
    rotations = torch.tensor(arrays.rotations, dtype=torch.float32)
    return Cloud(rotations=normalize(rotations, dim=-1), **found)
