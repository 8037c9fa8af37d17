"""Density and colour at (x, t): the 4D grid followed by a small perceptron (spec §3.3)."""

import torch
from torch import Tensor, nn

from animate124.fields.grid import TimeGrid
from animate124.kernels import dispatch

OUTPUTS = 4  # raw density and three raw colours
EXPONENT_LIMIT = 15.0  # density = exp(min(raw, 15)); e¹⁵ is opaque at any step


class Perceptron(nn.Module):
    """Two layers with ReLU between them, [N, inputs] -> [N, outputs] (spec §3.3)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, generator=None):
        super().__init__()

        def uniform(rows: int, columns: int) -> nn.Parameter:
            limit = (6 / columns) ** 0.5  # He et al. 2015, for ReLU
            return nn.Parameter((torch.rand(rows, columns, generator=generator) * 2 - 1) * limit)

        self.w1, self.b1 = uniform(hidden, inputs), nn.Parameter(torch.zeros(hidden))
        self.w2, self.b2 = uniform(outputs, hidden), nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return dispatch.mlp(x, self.w1, self.b1, self.w2, self.b2)


class RadianceField(nn.Module):
    """View-independent radiance field over the cube [−bound, bound]³ and time [0, 1].

    grid: features. head: their way to OUTPUTS raw values (a Perceptron, or tinycudann's). bound:
    half edge of the cube, world units. blob: amplitude and radius (world units) of the Gaussian
    added to the raw density, which starts a scene without silhouettes as a soft ball (Magic123; 10
    and 0.2 in the paper); amplitude 0 leaves it out.
    """

    def __init__(self, grid: TimeGrid, head: nn.Module, bound: float, blob: tuple[float, float]):
        super().__init__()
        self.grid, self.head, self.bound, self.blob = grid, head, bound, blob
        self.active = grid.levels.levels  # coarse-to-fine: levels from this one on are masked

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def _raw(self, points: Tensor, times: Tensor, starts: Tensor) -> Tensor:
        tables = self.grid.tables(times)
        features = dispatch.encode(points, tables, starts, self.grid.levels, self.active)
        return self.head(features)

    def _density(self, raw: Tensor, points: Tensor) -> Tensor:
        amplitude, radius = self.blob
        logit = raw[:, 0]
        if amplitude:
            squared = ((points - 0.5) * (2 * self.bound)).square().sum(-1)
            logit = logit + amplitude * torch.exp(squared * (-0.5 / radius**2))
        return logit.clamp(max=EXPONENT_LIMIT).exp()

    def density(self, points: Tensor, times: Tensor, starts: Tensor) -> Tensor:
        """Density [N], 1/world unit, at unit-cube points [N, 3]; arguments as for `query`."""
        return self._density(self._raw(points, times, starts), points)

    def query(self, points: Tensor, times: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Density [N] and colour [N, 3] in [0, 1] of G groups of points, each at its own time.

        points: float [N, 3] in the unit cube. times: float [G] in [0, 1]. starts: int64 [G + 1];
        group g holds points starts[g]:starts[g+1].
        """
        raw = self._raw(points, times, starts)
        return self._density(raw, points), torch.sigmoid(raw[:, 1:])
