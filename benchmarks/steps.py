"""Training steps of the 4D field on a toybox character: what a step costs, and its parts.

The character is fitted for a while first, so that the occupancy grid, and with it the number of
samples, is what a fit sees. A step renders a whole image per frame (as score distillation does),
compares it with the truth over a random background, and moves the parameters.
"""

import time
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from animate124.fields.build import build_field
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit, rays
from animate124.kernels import dispatch
from animate124.render.volume import render_rays
from animate124.settings.field import FieldSettings
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.toybox.render import render

SETTINGS = FieldSettings()  # the defaults of every stage
LEVELS = build_field(SETTINGS, 1, True)[0].grid.levels
BOUND, STEP, SLICES = SETTINGS.bound, SETTINGS.step, 16
REFRESH_EVERY = 16  # steps
REFRESH_SLICES = 4  # of the dynamic field's SLICES at a time, in turn; a static field has one
VIEWS = 8
PARTS = (
    "march", "blend", "encode", "mlp", "activation", "composite", "loss",
    "composite_backward", "activation_backward", "mlp_backward", "encode_backward",
    "blend_backward", "adam",
)  # fmt: skip


def character() -> Clip:
    """The character that every step is measured on."""
    return sample_clip(0, "panda", "dancing")


def optimiser(grid: list[Tensor], heads: list[Tensor]) -> torch.optim.Adam:
    """Adam as the stages use it (spec §3.8: the table learns faster than the perceptron)."""
    groups = [{"params": grid, "lr": 1e-2}, {"params": heads, "lr": 2.5e-3}]
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)


@dataclass
class Batch:
    """One image per frame: times [G], rays [G, R, 3], truth on black [G·R, 3], alpha [G·R, 1]."""

    times: Tensor
    origins: Tensor
    directions: Tensor
    truth: Tensor
    alpha: Tensor


def batches(clip: Clip, size: int, times: Tensor) -> list[Batch]:
    """A batch for each of VIEWS camera turns; frame g of turn v is seen from camera v + g."""
    cameras = Cameras(orbit(torch.arange(VIEWS) * 45.0, 15.0), DEFAULT_FOV_Y, size, size)
    channels = ("rgb", "alpha")
    seen = render(clip, times.numpy(), cameras, background=(0.0, 0.0, 0.0), channels=channels)
    rgb, alpha = torch.from_numpy(seen.rgb), torch.from_numpy(seen.alpha)
    origins, directions = (r.reshape(VIEWS, -1, 3) for r in rays(cameras))
    frames, result = torch.arange(len(times)), []
    for turn in range(VIEWS):
        view = (turn + frames) % VIEWS
        truth, cover = rgb[view, frames].reshape(-1, 3), alpha[view, frames].reshape(-1, 1)
        result.append(Batch(times, origins[view], directions[view], truth, cover))
    return result


def _empty_occupancy(slices: int) -> OccupancyGrid:
    side, ceiling = SETTINGS.occupancy_side, SETTINGS.occupancy_ceiling
    return OccupancyGrid(side, slices, True, BOUND, ceiling)


@dataclass
class Model:
    """A field with its occupancy grid, optimiser and source of randomness."""

    field: RadianceField
    occupancy: OccupancyGrid
    adam: torch.optim.Adam
    generator: torch.Generator
    steps: int = 0
    samples: list[int] = field(default_factory=list)

    @staticmethod
    def create(slices: int, occupancy_slices: int | None = None) -> "Model":
        """A fresh model with `slices` time slices in a loop; one slice is a static field."""
        g = torch.Generator().manual_seed(0)
        radiance, occupancy = build_field(SETTINGS, slices, True, g)
        if occupancy_slices:
            occupancy = _empty_occupancy(occupancy_slices)
        heads = list(radiance.head.parameters())
        return Model(radiance, occupancy, optimiser(list(radiance.grid.parameters()), heads), g)

    def refresh(self) -> None:
        """One turn of the occupancy refresh; a step carries 1 / REFRESH_EVERY of its cost."""
        count = len(self.occupancy.density)
        turn = self.steps // REFRESH_EVERY
        first = turn * REFRESH_SLICES if count > 1 else 0
        slices = [(first + i) % count for i in range(min(count, REFRESH_SLICES))]
        self.occupancy.refresh(self.field, slices, self.generator)

    def step(self, batch: Batch) -> None:
        """A training step without the occupancy refresh."""
        shown = render_rays(
            self.field, self.occupancy, batch.times, batch.origins, batch.directions, STEP,
            self.generator,
        )  # fmt: skip
        self.samples.append(shown.samples)
        self._descend(loss(shown.colour, shown.opacity, batch, self.generator))

    def _descend(self, value: Tensor) -> None:
        self.adam.zero_grad(set_to_none=True)
        value.backward()
        self.adam.step()
        self.steps += 1

    def fit(self, turns: list[Batch], steps: int) -> None:
        """Warm up: `steps` training steps, the occupancy asked anew from the field four times.

        Its slow decay would otherwise keep the first steps' full grid, and their many samples.
        """
        for i in range(steps):
            if i % (steps // 4) == 0:
                self.ask_anew()
            self.step(turns[i % len(turns)])
        self.ask_anew()
        self.samples.clear()

    def ask_anew(self) -> None:
        """Replace the occupancy grid by one that knows the present field and nothing older."""
        count = len(self.occupancy.density)
        self.occupancy = _empty_occupancy(count)
        self.occupancy.refresh(self.field, list(range(count)), self.generator)

    def parts(self, batch: Batch) -> dict[str, float]:
        """Milliseconds of each of PARTS in one step: `step` written out with a clock in between.

        The backward parts are told apart by the moments at which the gradients of the tensors
        between them are ready.
        """
        clock, marks = time.perf_counter, [time.perf_counter()]
        groups, per_group = batch.origins.shape[:2]
        origins, directions = batch.origins.reshape(-1, 3), batch.directions.reshape(-1, 3)
        density, threshold, boxes, rows = self.occupancy.at(batch.times)
        group = torch.tensor(rows).repeat_interleave(per_group)
        jitter = torch.rand(groups * per_group, generator=self.generator)
        offsets, distances, points = dispatch.march(
            origins, directions, group, density, threshold, BOUND, STEP, jitter, float("inf"), boxes
        )
        starts = offsets[::per_group].contiguous()
        marks.append(clock())
        tables = self.field.grid.tables(batch.times)
        marks.append(clock())
        features = dispatch.encode(points, tables, starts, LEVELS, LEVELS.levels)
        marks.append(clock())
        raw = self.field.head(features)
        marks.append(clock())
        sigma, colour = self.field._density(raw, points), torch.sigmoid(raw[:, 1:])
        marks.append(clock())
        rgb, opacity, _, _ = dispatch.composite(sigma, colour, distances, offsets, STEP)
        marks.append(clock())
        value = loss(rgb, opacity, batch, self.generator)
        marks.append(clock())
        ready: dict[str, float] = {}
        for name, tensor in (("sigma", sigma), ("raw", raw), ("x", features), ("tables", tables)):
            tensor.register_hook(lambda _, name=name: ready.update({name: clock()}))
        self.adam.zero_grad(set_to_none=True)
        value.backward()
        marks += [ready[name] for name in ("sigma", "raw", "x", "tables")] + [clock()]
        self.adam.step()
        self.steps += 1
        marks.append(clock())
        spans = [1e3 * (b - a) for a, b in pairwise(marks)]
        return dict(zip(PARTS, spans, strict=True))


def loss(colour: Tensor, opacity: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:
    """Mean squared error over a random background."""
    behind = torch.rand(3, generator=generator)
    shown = colour + (1 - opacity[:, None]) * behind
    return (shown - batch.truth - (1 - batch.alpha) * behind).square().mean()


def static_model(warm_steps: int) -> tuple[Model, Clip]:
    """A static field fitted to the character's first frame at 64²."""
    clip, model = character(), Model.create(1)
    model.fit(batches(clip, 64, torch.zeros(1)), warm_steps)
    return model, clip


def dynamic_times(frames: int = 8) -> Tensor:
    """Frame times that fall between the field's slices, so that slices are blended."""
    return (torch.arange(frames) + 0.37) / frames


def dynamic_model(warm_steps: int) -> tuple[Model, Clip]:
    """A field of SLICES slices fitted to the moving character, 8 frames of 32² at a time."""
    clip, model = character(), Model.create(SLICES)
    model.fit(batches(clip, 32, dynamic_times()), warm_steps)
    return model, clip
