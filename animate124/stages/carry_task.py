"""What `dynamic` optimises when the motion is known: time slices that hold the carried scene."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from animate124 import runtime
from animate124.fields.carried import Carried
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.settings.dynamic import DynamicSettings
from animate124.stages.moving_task import MovingTask
from animate124.stages.picture import Picture

# Densities (1/world unit) below which matter counts as clear and above which as solid: a layer of
# _LAYER world units hides 2 % of what is behind it, and all but 0.03 %.
_CLEAR, _SOLID = 0.5, 200.0
_LAYER = 0.04
# Slice 0 begins as what it has to be: its learning rate, as a share of the others'. At theirs,
# specks appear where neither the picture nor the points look.
_AT_REST = 0.1
_FAINTEST = 1e-30  # whose logarithm still has a gradient


class CarryTask(MovingTask):
    """Every time slice learns what the static scene is once it was carried there.

    In space, not in pictures: a step asks points of one slice, without a ray. Where their matter
    comes from takes ten times as long to find out as to learn, so it is found once, for a pool of
    points. What all slices share stays as it is. Slice 0 learns the static scene itself, with the
    picture for its front, which alone would change the other sides too.

    Args:
        picture, field, occupancy, march: as of `DynamicTask`.
        carried: the static scene at the moments of the field's slices.
    """

    def __init__(
        self,
        picture: Picture,
        field: RadianceField,
        occupancy: OccupancyGrid,
        march: float,
        settings: DynamicSettings,
        carried: Carried,
    ) -> None:
        carry = settings.carry
        train = settings.train.model_copy(update={"steps": carry.steps})
        own = settings.model_copy(update={"lr": carry.lr, "train": train})
        super().__init__(picture, field, occupancy, march, own)
        if len(carried) != len(field.grid.slices):
            raise ValueError(f"{len(carried)} moments for {len(field.grid.slices)} slices")
        self.pools = [self._pool(carried, k) for k in range(len(carried))]

    def _pool(self, carried: Carried, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Points of slice k [P, 3], world units, with the density [P] and colour [P, 3] there."""
        carry = self.settings.carry
        points, densities, colours = [], [], []
        for part in range(max(carry.pool // carry.points, 1)):
            generator = runtime.generator(
                self.seed, self.name, "places", k, part, device=self.device
            )
            points.append(carried.places(k, carry.points, generator))
            density, colour = carried.query(k, points[-1])
            densities.append(density)
            colours.append(colour)
        return torch.cat(points), torch.cat(densities), torch.cat(colours)

    def parameters(self) -> list[dict]:
        slices = [(f"grid.slices.{k}", p) for k, p in enumerate(self.field.grid.slices)]
        lr = self.settings.lr
        return [self._group(slices[:1], lr * _AT_REST), self._group(slices[1:], lr)]

    def loss(self, step: int) -> dict[str, Tensor]:
        terms = self.at_start(self.picture, step)
        carry, count = self.settings.carry, len(self.pools)
        generator = self._generator("points", step)
        k = int(torch.randint(count, (1,), generator=generator, device=self.device))
        pool = self.pools[k]
        chosen = torch.randint(
            len(pool[0]), (carry.points,), generator=generator, device=self.device
        )
        points, density, colour = (known[chosen] for known in pool)
        time = torch.tensor([k / (count if self.field.grid.loop else max(count - 1, 1))])
        starts = torch.tensor([0, len(points)], device=self.device)
        unit = points / (2 * self.field.bound) + 0.5
        ours, shown = self.field.query(unit, time, starts)
        away = (shown - colour).square() * (1 - torch.exp(-_LAYER * density))[:, None]
        terms["density"] = carry.weight * _apart(ours, density).square().mean()
        terms["colour"] = carry.weight * away.mean()
        return terms


def _apart(ours: Tensor, truth: Tensor) -> Tensor:
    """Differences of two densities [N] on a scale on which clear is 0 and solid is 1.

    On the logarithm, since what a density hides has no gradient where it is clear, and matter has
    to appear there. Clearer than clear or more solid than solid is no difference.
    """
    span = math.log(_SOLID / _CLEAR)
    level = (ours.clamp(min=_FAINTEST) / _CLEAR).log() / span
    wanted = (truth.clamp(_CLEAR, _SOLID) / _CLEAR).log() / span
    apart = level - wanted
    settled = ((truth <= _CLEAR) & (apart < 0)) | ((truth >= _SOLID) & (apart > 0))
    return torch.where(settled, 0.0, apart)
