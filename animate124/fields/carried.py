"""A static field carried along by points on its surface: what it is at later moments.

Where a point x is at a moment, the matter came from where the surface points near x say, each of
which moves rigidly; a weighted mean over the nearest ones blends their ways. That alone would show
a limb twice, where it is and, for points whose neighbours never moved, where it was. So matter
counts only where the surface point nearest to its origin has come along: it lies now as far from x
as it lay from the origin.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from animate124.fields.radiance import RadianceField

_NEIGHBOURS = 8
_WIDTH = 0.03  # world units: standard deviation of the neighbours' weights
_TOLERANCE = 0.05  # world units: how much nearer or farther the origin's surface point may lie
_ABOUT = 0.03  # world units: standard deviation of the points that are drawn near the surface


class Carried:
    """The density and colours of a static field at K moments of a motion of its surface.

    field: static; asked at its t = 0. rest [N, 3]: points on its surface. moved [K, N, 3]: where
    they are at each moment, world units; turned [K, N, 3, 3]: rotations of what is around them.
    """

    def __init__(self, field: RadianceField, rest: Tensor, moved: Tensor, turned: Tensor) -> None:
        if moved.shape != (len(moved), *rest.shape) or turned.shape != (*moved.shape, 3):
            raise ValueError(
                f"rest {list(rest.shape)}, moved {list(moved.shape)} and turned "
                f"{list(turned.shape)} do not fit together"
            )
        self.field = field
        self._rest, self._moved, self._turned = (
            x.detach().cpu().double().numpy() for x in (rest, moved, turned)
        )
        self._home = cKDTree(self._rest)
        self._trees = [cKDTree(points) for points in self._moved]

    def __len__(self) -> int:
        return len(self._moved)

    def origins(self, k: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the matter at `points` [M, 3] at moment k comes from [M, 3], world units, and
        whether there is any that can have come from there, bool [M]."""
        count = min(_NEIGHBOURS, len(self._rest))
        away, near = self._trees[k].query(points, range(1, count + 1))
        weight = np.exp((away[:, :1] ** 2 - away**2) / (2 * _WIDTH**2))
        weight /= weight.sum(1, keepdims=True)
        offset = points[:, None] - self._moved[k][near]
        back = np.einsum("mnji,mnj->mni", self._turned[k][near], offset) + self._rest[near]
        found = (weight[..., None] * back).sum(1)
        before, nearest = self._home.query(found)
        now = np.linalg.norm(points - self._moved[k][nearest], axis=1)
        return found, np.abs(now - before) < _TOLERANCE

    @torch.no_grad()
    def query(self, k: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density [M], 1/world unit, and colour [M, 3] at moment k, at world `points` [M, 3]."""
        found, real = self.origins(k, points.cpu().double().numpy())
        unit = torch.from_numpy(found).to(points) / (2 * self.field.bound) + 0.5
        inside = torch.from_numpy(real).to(points.device) & ((unit > 0) & (unit < 1)).all(1)
        starts = torch.tensor([0, len(unit)], device=points.device)
        density, colour = self.field.query(unit.clamp(0, 1), torch.zeros(1), starts)
        return density * inside, colour

    def places(self, k: int, count: int, generator: torch.Generator) -> Tensor:
        """About `count` points [M, 3] where moment k is worth looking at: half near the surface as
        it is then, a quarter near where it rests, a quarter anywhere in the field's cube."""
        device = generator.device
        moved, rest = (
            torch.from_numpy(x).to(device, torch.float32) for x in (self._moved[k], self._rest)
        )

        def near(surface: Tensor, share: int) -> Tensor:
            chosen = torch.randint(len(surface), (share,), generator=generator, device=device)
            noise = torch.randn(share, 3, generator=generator, device=device)
            return surface[chosen] + _ABOUT * noise

        bound = self.field.bound
        anywhere = (2 * torch.rand(count // 4, 3, generator=generator, device=device) - 1) * bound
        drawn = [near(moved, count // 2), near(rest, count // 4), anywhere]
        return torch.cat(drawn).clamp(-bound, bound)
