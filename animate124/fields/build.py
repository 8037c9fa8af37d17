"""A field and its occupancy grid from settings."""

import torch

from animate124.fields.grid import TimeGrid
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import OUTPUTS, Perceptron, RadianceField
from animate124.kernels.dispatch import encoding_levels
from animate124.kernels.tcnn import FusedMlp
from animate124.settings.field import FieldSettings


def build_field(
    settings: FieldSettings, slices: int, loop: bool, generator: torch.Generator | None = None
) -> tuple[RadianceField, OccupancyGrid]:
    """A fresh field with `slices` time slices over [0, 1] and an occupancy grid to match.

    generator: draws the initial weights; the same one gives the same field.
    """
    levels = encoding_levels(
        settings.encoding,
        levels=settings.levels,
        features=2,
        coarsest=settings.coarsest,
        finest=settings.finest,
        log2_size=settings.log2_size,
    )
    grid = TimeGrid(levels, slices, loop, settings.base, generator)
    blob = (settings.blob, settings.blob_radius)
    if settings.encoding == "tcnn":
        head = FusedMlp(levels.width, settings.hidden, OUTPUTS)
    else:
        head = Perceptron(levels.width, settings.hidden, OUTPUTS, generator)
    field = RadianceField(grid, head, settings.bound, blob)
    occupancy = OccupancyGrid(
        settings.occupancy_side, slices, loop, settings.bound, settings.occupancy_ceiling
    )
    return field, occupancy


@torch.no_grad()
def with_time(
    static: RadianceField, settings: FieldSettings, slices: int, loop: bool
) -> tuple[RadianceField, OccupancyGrid]:
    """A field that shows `static` at its t = 0 at all times, and its occupancy grid.

    settings: those of `static`. The static scene becomes the base of `slices` time slices, which
    are zero; what is learnt in them is the motion.
    """
    field, occupancy = build_field(settings.model_copy(update={"base": True}), slices, loop)
    field.grid.base.copy_(static.grid.tables(torch.zeros(1))[0])
    field.head.load_state_dict(static.head.state_dict())
    return field, occupancy
