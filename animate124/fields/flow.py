"""Motion between the time slices of a field: found in the field itself, and followed by queries.

Blending two slices shows a moving part twice. Here every interval between neighbouring slices has a
displacement v (fields/register.py), and a moment in between looks into both slices where its matter
was and will be, as in two-way frame interpolation (Jiang et al. 2018, "Super SloMo"). Matter moves
on the cubic through its four nearest slice positions (Catmull & Rom 1974): on a chord, a swinging
arm would be half a pixel short.
"""

import torch
from torch import Tensor
from torch.nn import functional

from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.fields.register import NODES, register, sample, solid_features

UNITS = {"displacement": "world units, x y z, per interval between slices; nodes in z y x order"}

_ROUNDS = 5  # of the fixed-point iterations that find a chord through a point, in queries
_CAREFUL_ROUNDS = 10  # and from a chord's beginning, outside of them
_SIDE = 64  # cells per edge of the volumes that are registered
_AT_ONCE = 8  # intervals registered together: bounds the memory, whatever the number of slices


class FlowField:
    """A radiance field that follows the motion between its slices; on them it is the same field.

    field: the fitted field with K slices. displacement: [I, 3, G, G, G], world units: the motion
    (x, y, z) from slice k to its successor of the matter whose chord has its middle at the node
    (z, y, x order, outermost nodes on the faces of the cube). I = K where time loops, else K − 1.
    """

    def __init__(self, field: RadianceField, displacement: Tensor):
        intervals = len(field.grid.slices) - (not field.grid.loop)
        side = displacement.shape[-1]
        if displacement.shape != (intervals, 3, side, side, side) or side < 2:
            raise ValueError(
                f"displacement has shape {tuple(displacement.shape)}, not [{intervals}, 3, G, G, G]"
            )
        self.field, self.grid, self.bound = field, field.grid, field.bound
        self.displacement = displacement.float()
        chords = self.displacement / (2 * field.bound)  # in cube edges
        bends = _bends(chords, field.grid.loop) if intervals else (chords, chords)
        self._paths = torch.cat([chords, *bends], 1)

    def plan(self, times: Tensor) -> list[tuple[int, int, float]]:
        """(slice, next slice, weight of the next) for each time of `times` [G]."""
        return self.grid.plan(times)

    @property
    def device(self) -> torch.device:
        """Where the displacement is, which must be where the field is."""
        return self.displacement.device

    def state(self) -> dict[str, Tensor]:
        """What to store beside the field: `displacement` float16, in the units named in UNITS."""
        return {"displacement": self.displacement.half()}

    def ends(self, k: int, u: float, points: Tensor) -> tuple[Tensor, Tensor]:
        """Where the matter at `points` [N, 3] was at slice k and will be at its successor.

        u: fraction of interval k, in [0, 1]. Points and results in the unit cube.
        """
        paths = self._paths[k : k + 1]
        before, after = u * (1 - u) ** 2, u**2 * (1 - u)  # Hermite, less the chord
        middle = points[None]
        for _ in range(_ROUNDS):
            v, a, b = sample(paths, middle, True).split(3, -1)
            moved = u * v + before * a - after * b  # since slice k
            middle = points - moved + v / 2
        # Measured from the point, so that the ends are exact at u = 0 and 1 even where motion is so
        # uneven that the rounds do not converge.
        start = points - moved[0]
        return start.clamp(0, 1), (start + v[0]).clamp(0, 1)

    @torch.no_grad()
    def query(self, points: Tensor, times: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Density and colour as `RadianceField.query`; without gradients."""
        plan = self.plan(times)
        if all(u == 0 for *_, u in plan):
            return self.field.query(points, times, starts)
        density, colour = [], []
        for g, (low, high, u) in enumerate(plan):
            x = points[int(starts[g]) : int(starts[g + 1])]
            was, will_be = self.ends(low, u, x) if u else (x, x)
            one, two = self._slice(low, was), self._slice(high, will_be)
            shares = (1 - u) * one[0], u * two[0]
            total = shares[0] + shares[1]
            mixed = shares[0][:, None] * one[1] + shares[1][:, None] * two[1]
            density.append(total)
            colour.append(mixed / total.clamp(min=1e-12)[:, None])
        return torch.cat(density), torch.cat(colour)

    def _slice(self, k: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density and colour of slice k of the field, which lies at t = k / intervals."""
        time = torch.tensor([k / len(self.displacement)])
        return self.field.query(points, time, torch.tensor([0, len(points)], device=points.device))

    @torch.no_grad()
    def scene_flow(self, k: int, points: Tensor) -> Tensor:
        """Displacement [N, 3] from slice k to its successor of the matter at `points` [N, 3]; both
        in world units."""
        start = points / (2 * self.bound) + 0.5
        return _leave(self._paths[k : k + 1, :3], start[None])[0] * (2 * self.bound)


@torch.no_grad()
def estimate_flow(field: RadianceField, occupancy: OccupancyGrid) -> FlowField:
    """Find the motion between neighbouring slices of a fitted field.

    occupancy: up to date with the field; only cells in or next to its occupied ones are asked.
    The displacement is rounded to float16, so a field that was stored so behaves the same.
    """
    slices, loop = len(field.grid.slices), field.grid.loop
    intervals = slices if loop else slices - 1
    found = [torch.zeros(0, 3, NODES, NODES, NODES, device=occupancy.density.device)]
    for begin in range(0, intervals, _AT_ONCE):
        end = min(begin + _AT_ONCE, intervals)
        bodies = _bodies(field, occupancy, [k % slices for k in range(begin, end + 1)])
        found.append(register(bodies[:-1], bodies[1:]))
    displacement = torch.cat(found) * (2 * field.bound)
    return FlowField(field, displacement.half())


def _bodies(field: RadianceField, occupancy: OccupancyGrid, slices: list[int]) -> Tensor:
    """Features [B, 4, S, S, S] of slices of a field, S = _SIDE."""
    last = max(len(field.grid.slices) - (not field.grid.loop), 1)  # slice k lies at t = k / last
    centres = _centres(_SIDE, occupancy.density.device)
    values = centres.new_zeros(len(slices), 4, _SIDE**3)
    for row, k in zip(values, slices, strict=True):
        occupied = (occupancy.density[k] > occupancy.threshold[k]).float()[None, None]
        near = functional.max_pool3d(occupied, 3, 1, 1)
        cells = functional.interpolate(near, (_SIDE,) * 3).flatten().nonzero()[:, 0]
        starts = torch.tensor([0, len(cells)], device=cells.device)
        density, colour = field.query(centres[cells], torch.tensor([k / last]), starts)
        row[0, cells], row[1:, cells] = density, colour.T
    values = values.view(len(slices), 4, _SIDE, _SIDE, _SIDE)
    return solid_features(values[:, 0], values[:, 1:], 2 * field.bound / _SIDE)


def _centres(side: int, device: torch.device) -> Tensor:
    """Centres [side³, 3] of the cells of the unit cube, x fastest."""
    cell = torch.arange(side**3, device=device)
    corner = [cell % side, cell // side % side, cell // side**2]
    return (torch.stack(corner, -1) + 0.5) / side


def _leave(chords: Tensor, points: Tensor) -> Tensor:
    """Chords [B, N, 3] that begin at points [B, N, 3]."""
    v = sample(chords, points, True)
    for _ in range(_CAREFUL_ROUNDS):
        v = sample(chords, points + v / 2, True)
    return v


def _bends(chords: Tensor, loop: bool) -> tuple[Tensor, Tensor]:
    """(previous − this) / 2 and (next − this) / 2 of the chords that join each node's chord.

    chords: [I, 3, G, G, G], cube edges. Where a clip begins or ends, acceleration stays constant.
    """
    count, side = len(chords), chords.shape[-1]
    line = torch.linspace(0, 1, side, device=chords.device)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    nodes = torch.stack([x, y, z], -1).reshape(1, -1, 3)
    v = chords.flatten(2).transpose(1, 2)
    # Time reversed, the previous chord begins where this one begins.
    before = -_leave(-chords.roll(1, 0), nodes - v / 2) - v
    after = _leave(chords.roll(-1, 0), nodes + v / 2) - v
    if not loop:
        first, last = (-after[0], -before[-1]) if count > 1 else (0, 0)
        before[0], after[-1] = first, last
    grid = [(d / 2).transpose(1, 2).reshape(chords.shape) for d in (before, after)]
    return grid[0], grid[1]


class FlowOccupancy:
    """Where there is anything to see in a FlowField: the slices' occupancy, moved along.

    Answers `at` as an OccupancyGrid does. In between slices the densities of both grids are fetched
    from where the cell's matter was and will be. The occupancy must not change any more: the latest
    answer is kept, since several views of one moment usually follow each other.
    """

    def __init__(self, flow: FlowField, occupancy: OccupancyGrid):
        self.flow, self.occupancy = flow, occupancy
        device = occupancy.density.device
        self._centres = _centres(occupancy.side, device)
        # Paths are smooth: they are followed from fewer points and interpolated.
        self._coarse = max(occupancy.side // 2, 1)
        self._starts = _centres(self._coarse, device)
        self._latest: tuple[list, tuple] = [], ()

    @torch.no_grad()
    def at(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        """Grids to march at `times` [G]: density, threshold, boxes, and each time's row in them."""
        plan = self.flow.plan(times)
        if all(weight == 0 for *_, weight in plan):
            return self.occupancy.at(times)
        if self._latest[0] == plan:
            return self._latest[1]
        grids = torch.stack([self._moved(*entry) for entry in plan])
        threshold = grids.flatten(1).mean(1).clamp(max=self.occupancy.ceiling)
        boxes = torch.stack(
            [self.occupancy.box(g > t) for g, t in zip(grids, threshold, strict=True)]
        )
        self._latest = plan, (grids, threshold, boxes, list(range(len(plan))))
        return self._latest[1]

    def _moved(self, low: int, high: int, u: float) -> Tensor:
        slices = self.occupancy.density
        if u == 0:
            return slices[low]
        ends = [self._spread(e - self._starts) for e in self.flow.ends(low, u, self._starts)]
        before = sample(slices[None, low : low + 1], ends[0][None], False)
        after = sample(slices[None, high : high + 1], ends[1][None], False)
        return torch.lerp(before, after, u).view_as(slices[low])

    def _spread(self, offset: Tensor) -> Tensor:
        """Places [side³, 3] of all cells, from offsets [coarse³, 3] of the coarse ones."""
        grid = offset.T.reshape(1, 3, *[self._coarse] * 3)
        fine = functional.interpolate(grid, (self.occupancy.side,) * 3, mode="trilinear")
        return self._centres + fine.flatten(2)[0].T
