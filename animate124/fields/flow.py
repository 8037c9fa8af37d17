"""Motion between the time slices of a field: scene flow from the field itself, and along it.

Blending two slices shows a moving part twice. Here every interval between neighbouring slices has a
displacement v(x), registered between the two slices (fields/register.py), and a moment in between
looks into both slices where its matter was or will be:
σ(x) = (1 − u)·σ_k(x − u·v) + u·σ_{k+1}(x + (1 − u)·v), as in two-way frame interpolation
(Jiang et al. 2018, "Super SloMo", eq. 1, with one symmetric flow).
"""

import torch
from torch import Tensor

from animate124.fields.grid import slice_weights
from animate124.fields.radiance import RadianceField
from animate124.fields.register import sample

_SETTLE = 3  # rounds of the fixed-point iterations that follow a moving point


class FlowField:
    """A radiance field whose in-between moments follow the motion; on its slices the same field.

    field: the fitted field with K slices. displacement: [I, 3, G, G, G], world units, x y z of the
    motion from slice k to its successor, at nodes (z, y, x order, the first and last on the cube's
    faces) of the moment half way; I = K where time loops, else K − 1.
    """

    def __init__(self, field: RadianceField, displacement: Tensor):
        slices = len(field.grid.slices)
        intervals = slices if field.grid.loop else slices - 1
        side = displacement.shape[-1]
        if displacement.shape != (intervals, 3, side, side, side):
            raise ValueError(
                f"displacement of {intervals} intervals has shape {tuple(displacement.shape)}"
            )
        self.field, self.bound = field, field.bound
        self.displacement = displacement.float()

    def plan(self, times: Tensor) -> list[tuple[int, int, float]]:
        return slice_weights(times, len(self.field.grid.slices), self.field.grid.loop)

    def motion(self, k: int, u: float, points: Tensor) -> Tensor:
        """Displacement over interval k, in cube edges, of what is at `points` at fraction u."""
        grid = self.displacement[k : k + 1] / (2 * self.bound)
        middle = points
        for _ in range(0 if u == 0.5 else _SETTLE):
            middle = points + (0.5 - u) * sample(grid, middle[None], True)[0]
        return sample(grid, middle[None], True)[0]

    @torch.no_grad()
    def query(self, points: Tensor, times: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Density [N], 1/world unit, and colour [N, 3] in [0, 1] at unit-cube points [N, 3]; group
        g, rows starts[g]:starts[g + 1], is at times[g]."""
        slices = len(self.field.grid.slices)
        scale = slices if self.field.grid.loop else max(slices - 1, 1)
        density, colour = [], []
        for g, (low, high, u) in enumerate(self.plan(times)):
            x = points[int(starts[g]) : int(starts[g + 1])]
            if u == 0:
                parts, slots = [x], [low]
            else:
                v = self.motion(low, u, x)
                parts, slots = [(x - u * v).clamp(0, 1), (x + (1 - u) * v).clamp(0, 1)], [low, high]
            at = torch.tensor(slots) / scale
            local = torch.tensor([0, *map(len, parts)], device=x.device).cumsum(0)
            s, c = self.field.query(torch.cat(parts), at, local)
            if u == 0:
                density.append(s), colour.append(c)
                continue
            (s0, s1), (c0, c1) = s.chunk(2), c.chunk(2)
            s0, s1 = (1 - u) * s0, u * s1
            both = s0 + s1
            density.append(both)
            colour.append((s0[:, None] * c0 + s1[:, None] * c1) / both.clamp(min=1e-12)[:, None])
        return torch.cat(density), torch.cat(colour)


class FlowOccupancy:
    def __init__(self, flow, occupancy, mode="full"):
        self.flow, self.occupancy, self.mode = flow, occupancy, mode
        self.cache = {}

    @torch.no_grad()
    def at(self, times):
        plan = self.flow.plan(times)
        assert len(times) == 1
        low, high, u = plan[0]
        if u == 0:
            return self.occupancy.at(times)
        key = round(float(times[0]), 6)
        if key not in self.cache:
            S = self.occupancy.side
            i = torch.arange(S**3)
            p = (torch.stack([i % S, i // S % S, i // S**2], -1) + 0.5) / S
            if self.mode == "full":
                d = self.flow.query(p, times, torch.tensor([0, len(p)]))[0].view(1, 1, S, S, S)
            else:
                v = self.flow.motion(low, u, p)
                o = self.occupancy.density
                d = (1 - u) * sample(o[None, low : low + 1], (p - u * v)[None], False)[0, :, 0]
                d += u * sample(o[None, high : high + 1], (p + (1 - u) * v)[None], False)[0, :, 0]
                d = d.view(1, 1, S, S, S)
            if self.mode == "full" or self.mode == "dil":
                d = torch.nn.functional.max_pool3d(d, 3, 1, 1)
            d = d[0, 0]
            thr = d.mean().clamp(max=self.occupancy.ceiling)
            self.cache[key] = (d[None], thr[None], self.occupancy._box(d > thr)[None])
        return (*self.cache[key], [0])
