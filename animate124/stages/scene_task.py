"""What every optimisation of a field shares: parameters, learning rate, occupancy, streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from animate124 import runtime
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.geometry.cameras import Cameras, rays
from animate124.render.volume import Rendered, render_rays
from animate124.settings.training import TrainSettings
from animate124.stages.picture import Picture
from animate124.training import Task

BETAS, EPSILON = (0.9, 0.99), 1e-15  # spec §3.8
SLICES_PER_REFRESH = 4


class _Settings(Protocol):
    lr: float
    lr_end: float
    refresh_every: int
    train: TrainSettings


class SceneTask(Task):
    """Optimisation of a radiance field and its occupancy grid.

    `settings` has lr (of the grid; the perceptron has a quarter), lr_end, refresh_every and train.
    `march` is the distance between samples along a ray, world units. A subclass sets `name` and
    gives `loss`.
    """

    def __init__(
        self,
        settings: _Settings,
        device: str,
        field: RadianceField,
        occupancy: OccupancyGrid,
        march: float,
    ) -> None:
        self.settings, self.seed, self.device = settings, settings.train.seed, device
        self.field, self.occupancy, self.march = field.to(device), occupancy.to(device), march

    def parameters(self) -> list[dict]:
        names = dict(self.field.named_parameters())
        grid = [(n, p) for n, p in names.items() if n.startswith("grid.")]
        heads = [(n, p) for n, p in names.items() if not n.startswith("grid.")]
        return [self._group(grid, self.settings.lr), self._group(heads, self.settings.lr / 4)]

    def _group(self, named: list[tuple[str, Tensor]], lr: float) -> dict:
        return {"params": named, "lr": lr, "betas": BETAS, "eps": EPSILON}

    def lr_scale(self, step: int) -> float:
        return self.settings.lr_end ** (step / max(self.settings.train.steps, 1))

    def before_step(self, step: int) -> None:
        if step % self.settings.refresh_every:
            return
        slices = len(self.occupancy.density)
        chosen = range(slices)
        if not bool(self.occupancy.fresh.all()):
            self.occupancy.refresh(self.field, list(chosen), self._generator("occupancy", step))
            return
        first = step // self.settings.refresh_every * SLICES_PER_REFRESH
        chosen = sorted({(first + i) % slices for i in range(SLICES_PER_REFRESH)})
        self.occupancy.refresh(self.field, chosen, self._generator("occupancy", step))

    def render(
        self, times: Tensor, origins: Tensor, directions: Tensor, generator: torch.Generator | None
    ) -> Rendered:
        """`render_rays` of the field: times [G], rays [G, R, 3]."""
        return render_rays(
            self.field, self.occupancy, times, origins, directions, self.march, generator
        )

    def render_views(
        self, times: Tensor, cameras: Cameras, generator: torch.Generator | None
    ) -> tuple[Rendered, Tensor]:
        """Whole images, camera v at times[v]: the rays, and RGB [V, 3, H, W] over white."""
        origins, directions = (r.flatten(1, 2) for r in rays(cameras))
        result = self.render(times, origins, directions, generator)
        white = result.over(torch.ones(3, device=self.device))
        shape = len(cameras), cameras.height, cameras.width, 3
        return result, white.reshape(shape).permute(0, 3, 1, 2)

    def at_start(self, picture: Picture, step: int) -> dict[str, Tensor]:
        """Terms of the picture at t = 0: rgb, alpha and spread.

        `settings` has rays, subsamples and the weights by these names.
        """
        settings, generator = self.settings, self._generator("picture", step)
        sighting = picture.sight(settings.rays, settings.subsamples, generator)
        rays = sighting.origins[None], sighting.directions[None]
        result = self.render(torch.zeros(1), *rays, self._generator("picture march", step))
        errors = picture.errors(result, sighting, generator)
        return {
            "rgb": settings.rgb * errors["rgb"],
            "alpha": settings.alpha * errors["alpha"],
            "spread": settings.spread * result.spread(),
        }

    def state(self) -> dict[str, Tensor]:
        return self.occupancy.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.occupancy.load_state(dict(state))

    def trained(self) -> tuple[RadianceField, OccupancyGrid]:
        """The field, and an occupancy grid rebuilt from it alone (as whoever loads it will)."""
        self.field.active = self.field.grid.levels.levels
        self.occupancy.rebuild(self.field, runtime.generator(0, "occupancy", device=self.device))
        return self.field, self.occupancy

    def _generator(self, concern: str, step: int) -> torch.Generator:
        return runtime.generator(self.seed, self.name, concern, step, device=self.device)
