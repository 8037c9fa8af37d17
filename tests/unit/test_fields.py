"""4D fields: blending of slices, density and colour, and occupancy over time."""

import math

import pytest
import torch

from animate124.fields.build import build_field
from animate124.fields.grid import TimeGrid, slice_weights
from animate124.fields.occupancy import UNKNOWN, OccupancyGrid
from animate124.fields.radiance import EXPONENT_LIMIT, Perceptron, RadianceField
from animate124.kernels.levels import GridLevels
from animate124.settings.field import FieldSettings

LEVELS = GridLevels(levels=2, features=2, coarsest=2, finest=4, log2_size=10)
SMALL = FieldSettings(
    levels=2, coarsest=2, finest=8, log2_size=8, hidden=8, occupancy_side=8, blob=0.0
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def grid_of(values, loop, base=None):
    """A grid whose slice k is values[k] throughout."""
    grid = TimeGrid(LEVELS, len(values), loop, base is not None)
    with torch.no_grad():
        if base is not None:
            grid.base.fill_(base)
        for table, value in zip(grid.slices, values, strict=True):
            table.fill_(value)
    return grid


def constants(tables):
    """The value of each table, which has only one."""
    assert torch.equal(tables.amin((1, 2)), tables.amax((1, 2)))
    return tables[:, 0, 0].tolist()


# Slices at t = 0, 1/3, 2/3, 1, and for a loop at 0, 1/4, 1/2, 3/4 and again at 1.
@pytest.mark.parametrize(
    ("loop", "times", "expected"),
    [
        (False, [0, 1 / 3, 2 / 3, 1], [1, 2, 4, 8]),
        (False, [1 / 6, 1 / 2, 5 / 6], [1.5, 3, 6]),
        (False, [1 / 12, 11 / 12], [1.25, 7]),
        (True, [0, 1 / 4, 1 / 2, 3 / 4, 1], [1, 2, 4, 8, 1]),
        (True, [1 / 8, 5 / 8], [1.5, 6]),
        (True, [7 / 8, 15 / 16], [4.5, 2.75]),  # between the last slice and the first
    ],
)
@pytest.mark.parametrize("base", [None, 10.0])
def test_tables_blend_neighbouring_slices(loop, times, expected, base):
    grid = grid_of([1.0, 2.0, 4.0, 8.0], loop, base)
    found = constants(grid.tables(torch.tensor(times)))
    assert found == pytest.approx([value + (base or 0) for value in expected], abs=1e-5)


def test_plan_of_one_slice_is_that_slice():
    assert slice_weights(torch.tensor([0.0, 0.3, 1.0]), 1, False) == [(0, 0, 0)] * 3
    # A loop of one slice: the next slice is itself.
    assert [plan[:2] for plan in slice_weights(torch.tensor([0.0, 0.3, 1.0]), 1, True)] == [
        (0, 0)
    ] * 3


@pytest.mark.parametrize("loop", [False, True])
def test_a_time_at_a_slice_touches_that_slice_alone(loop):
    # Times are float32, which k / (K − 1) is not: a weight of 1e-7 would still let Adam, which
    # divides by the gradient's size, move the neighbour at full speed.
    for count in range(2, 65):
        nodes = count if loop else count - 1
        times = torch.tensor([k / nodes for k in range(count)], dtype=torch.float64).float()
        plan = slice_weights(times, count, loop)
        assert [low for low, *_ in plan] == list(range(count))
        assert all(weight == 0 for *_, weight in plan)


@pytest.mark.parametrize("base", [False, True])
def test_gradients_reach_only_the_slices_that_were_used(base):
    grid = TimeGrid(LEVELS, 6, False, base)  # slices at 0, 0.2, ... 1
    times = torch.tensor([0.2, 0.25, 0.6])  # slice 1; three quarters of 1 and a quarter of 2; 3
    weights = torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    (grid.tables(times) * weights).sum().backward()
    expected = {1: 1 + 7.5, 2: 2.5, 3: 100.0}
    for k, table in enumerate(grid.slices):
        if k not in expected:
            assert table.grad is None
        else:
            torch.testing.assert_close(table.grad, torch.full_like(table, expected[k]))
    if base:
        torch.testing.assert_close(grid.base.grad, torch.full_like(grid.base, 111.0))
    else:
        assert grid.base is None


def test_gradient_of_the_wrap_goes_to_the_last_and_the_first_slice():
    grid = TimeGrid(LEVELS, 4, True, True)
    grid.tables(torch.tensor([15 / 16])).sum().backward()
    assert [None if s.grad is None else s.grad[0, 0].item() for s in grid.slices] == [
        0.75,
        None,
        None,
        0.25,
    ]


def test_a_fresh_grid_is_the_same_at_all_times_and_from_the_same_seed():
    for base in (False, True):
        grid, again = (TimeGrid(LEVELS, 3, False, base, generator(4)) for _ in range(2))
        tables = grid.tables(torch.tensor([0.0, 0.3, 1.0]))
        torch.testing.assert_close(tables, tables[:1].expand_as(tables))
        assert 0 < tables.abs().max() <= 1e-4
        assert torch.equal(tables, again.tables(torch.tensor([0.0, 0.3, 1.0])))


def constant_field(raw, blob=(0.0, 0.2), bound=1.0):
    """A field whose perceptron says `raw` (density, three colours) everywhere."""
    head = Perceptron(LEVELS.width, 4, 4)
    field = RadianceField(TimeGrid(LEVELS, 1, False, True), head, bound, blob)
    with torch.no_grad():
        field.head.w2.zero_()
        field.head.b2.copy_(torch.tensor(raw))
    return field


def one_group(points):
    return points, torch.zeros(1), torch.tensor([0, len(points)])


def test_density_is_the_exponential_up_to_its_limit_and_colour_the_sigmoid():
    points = torch.rand(5, 3, generator=generator())
    field = constant_field([math.log(3.0), 0.0, math.log(3.0), -math.log(3.0)])
    density, colour = field.query(*one_group(points))
    torch.testing.assert_close(density, torch.full((5,), 3.0))
    torch.testing.assert_close(colour, torch.tensor([[0.5, 0.75, 0.25]]).expand(5, 3))
    torch.testing.assert_close(field.density(*one_group(points)), density)
    huge = constant_field([80.0, 0.0, 0.0, 0.0]).density(*one_group(points))
    torch.testing.assert_close(huge, torch.full((5,), math.exp(EXPONENT_LIMIT)))


def test_blob_is_a_gaussian_in_world_units_on_the_logit():
    field = constant_field([-1.0, 0, 0, 0], blob=(4.0, 0.2), bound=0.5)
    # The unit cube is one world unit wide here: 0.2 from the middle is one standard deviation.
    points = torch.tensor([[0.5, 0.5, 0.5], [0.7, 0.5, 0.5], [0.5, 0.1, 0.5]])
    expected = [math.exp(4 - 1), math.exp(4 * math.exp(-0.5) - 1), math.exp(4 * math.exp(-2) - 1)]
    assert field.density(*one_group(points)).tolist() == pytest.approx(expected, rel=1e-5)
    wide = constant_field([-1.0, 0, 0, 0], blob=(4.0, 0.2), bound=1.0)  # now it is two wide
    assert wide.density(*one_group(points))[1].item() == pytest.approx(
        math.exp(4 * math.exp(-2) - 1), rel=1e-5
    )


def test_groups_look_at_their_own_times():
    field, _ = build_field(SMALL, 3, False, generator())
    with torch.no_grad():
        for table in field.grid.slices:
            table.uniform_(-1, 1, generator=generator(int(1e3 * table.numel())))
        field.grid.slices[1].mul_(-1)
    points = torch.rand(7, 3, generator=generator(1))
    times, starts = torch.tensor([0.0, 0.5, 0.8]), torch.tensor([0, 3, 3, 7])  # none at t = 0.5
    density, colour = field.query(points, times, starts)
    for part, t in ((slice(0, 3), 0.0), (slice(3, 7), 0.8)):
        alone = field.query(points[part], torch.tensor([t]), torch.tensor([0, len(points[part])]))
        torch.testing.assert_close(density[part], alone[0])
        torch.testing.assert_close(colour[part], alone[1])
    elsewhen = field.query(points, torch.tensor([0.5]), torch.tensor([0, 7]))
    assert (elsewhen[0] - density).abs().min() > 0


def test_masked_levels_neither_count_nor_learn():
    field, _ = build_field(SMALL, 1, False, generator())
    with torch.no_grad():
        field.grid.base.uniform_(-1, 1, generator=generator(3))
    fine = slice(int(field.grid.levels.offsets[1]), None)
    points = torch.rand(50, 3, generator=generator(2))
    field.active = 1
    masked = field.query(*one_group(points))
    sum(x.sum() for x in masked).backward()
    assert field.grid.base.grad[fine].abs().max() == 0
    assert field.grid.base.grad[: fine.start].abs().max() > 0
    field.active = 2
    assert not torch.allclose(field.query(*one_group(points))[0], masked[0])
    with torch.no_grad():
        field.grid.base[fine] = 0
    for found, expected in zip(field.query(*one_group(points)), masked, strict=True):
        torch.testing.assert_close(found, expected)


class Asked:
    """Stands in for a field: density(points, t) by a function, and a record of what was asked."""

    def __init__(self, density):
        self.of, self.asked = density, []

    def density(self, points, times, starts):
        values = []
        for t, first, last in zip(times.tolist(), starts[:-1], starts[1:], strict=True):
            self.asked.append((t, points[first:last]))
            values.append(self.of(points[first:last], t))
        return torch.cat(values)


def corner_at_the_end(points, t):
    """Matter only at t = 1, in the cell at the corner (x, y, z) = (1, 0, 0) of an 8³ grid."""
    low, high = torch.tensor([7 / 8, 0, 0]), torch.tensor([1, 1 / 8, 1 / 8])
    inside = ((points >= low) & (points <= high)).all(-1)
    return torch.where(inside & (t > 0.99), 50.0, 0.0)


def test_everything_is_occupied_before_the_first_refresh():
    grid = OccupancyGrid(8, 4, False, 1.5, 0.5)
    for times in ([0.0, 0.4, 1.0], [0.0], [1 / 3, 1.0]):
        density, threshold, boxes, rows = grid.at(torch.tensor(times))
        assert (density[rows] > threshold[rows][:, None, None, None]).all()
        assert boxes[rows].tolist() == [[[-1.5] * 3, [1.5] * 3]] * len(times)
    assert grid.density.unique().item() == pytest.approx(UNKNOWN * 0.5)


@pytest.mark.parametrize("turns", [False, True])
def test_what_exists_only_at_the_end_stays_occupied_there(turns):
    grid, field = OccupancyGrid(8, 5, False, 1.0, 0.5), Asked(corner_at_the_end)
    g = generator()
    for step in range(40):
        grid.refresh(field, [step % 5] if turns else list(range(5)), g)
    occupied = grid.density > grid.threshold[:, None, None, None]
    assert occupied.nonzero().tolist() == [[4, 0, 0, 7]]  # slice, z, y, x
    # The published grid asks every slice at t = 0.5 and so finds nothing at all.
    assert grid.boxes[4].tolist() == [[0.75, -1, -1], [1, -0.75, -0.75]]
    assert grid.boxes[0].tolist() == [[-1.0] * 3] * 2  # nothing there: an empty box


def test_what_appears_late_is_found():
    grid, g = OccupancyGrid(8, 2, False, 1.0, 0.5), generator()
    for _ in range(10):
        grid.refresh(Asked(lambda points, t: torch.zeros(len(points))), [0, 1], g)
    for _ in range(60):  # a cell far from any other is asked in one of ten refreshes
        grid.refresh(Asked(corner_at_the_end), [0, 1], g)
    occupied = grid.density > grid.threshold[:, None, None, None]
    assert occupied.nonzero().tolist() == [[1, 0, 0, 7]]


@pytest.mark.parametrize(("loop", "at"), [(False, [0, 1 / 3, 1]), (True, [0, 1 / 4, 3 / 4])])
def test_refresh_asks_each_slice_at_its_own_time_within_its_cells(loop, at):
    grid, field = OccupancyGrid(4, 4, loop, 1.0, 0.5), Asked(lambda points, t: points[:, 0] * 0)
    grid.refresh(field, [0, 1, 3], generator())
    assert [t for t, _ in field.asked] == pytest.approx(at)
    for _, points in field.asked:  # at first every cell once, x fastest
        expected = [[x, y, z] for z in range(4) for y in range(4) for x in range(4)]
        assert (points * 4).floor().tolist() == expected
    assert grid.fresh.tolist() == [True, True, False, True]


def test_threshold_is_the_mean_up_to_the_ceiling_and_old_density_decays():
    grid = OccupancyGrid(2, 1, False, 1.0, ceiling=0.5)
    left = Asked(lambda points, t: torch.where(points[:, 0] < 0.5, 0.8, 0.0))
    grid.refresh(left, [0], generator(), explore=1.0)
    assert grid.threshold.tolist() == pytest.approx([0.4])  # four of eight cells at 0.8
    assert grid.boxes[0].tolist() == [[-1, -1, -1], [0, 1, 1]]
    grid.refresh(Asked(lambda points, t: torch.zeros(len(points))), [0], generator(), explore=1.0)
    assert grid.density[0, :, :, 0].unique().tolist() == pytest.approx([0.64])  # 0.8 · DECAY
    assert grid.density[0, :, :, 1].abs().max() == 0
    dense = Asked(lambda points, t: torch.where(points[:, 0] < 0.5, 80.0, 0.6))
    grid.refresh(dense, [0], generator(), explore=1.0)
    assert grid.threshold.tolist() == [0.5]  # the mean is 40.3; 0.6 still counts as occupied
    assert (grid.density > 0.5).all()


def test_between_two_slices_a_cell_is_occupied_when_it_is_in_either():
    grid = OccupancyGrid(4, 3, False, 1.0, 0.5)

    def quarter(points, t):  # at t = 0 the cells with x < 1/4, at 1/2 those with x > 3/4, then none
        place = {0.0: points[:, 0] < 0.25, 0.5: points[:, 0] > 0.75}
        return place.get(t, points[:, 0] < 0).float() * 3

    grid.refresh(Asked(quarter), [0, 1, 2], generator())
    density, threshold, boxes, rows = grid.at(torch.tensor([0.1, 0.5, 0.9]))
    occupied = (density > threshold[:, None, None, None])[rows].any(1).any(1)  # along x
    assert occupied.tolist() == [
        [True, False, False, True],
        [False, False, False, True],
        [False, False, False, True],
    ]
    assert boxes[rows[0]].tolist() == [[-1, -1, -1], [1, 1, 1]]
    _, _, boxes, rows = grid.at(torch.tensor([0.5]))
    assert boxes[rows[0]].tolist() == [[0.5, -1, -1], [1, 1, 1]]


def test_occupancy_state_round_trip_and_rebuild_forgets():
    grid, other = (OccupancyGrid(8, 5, False, 1.0, 0.5) for _ in range(2))
    grid.refresh(Asked(corner_at_the_end), [0, 2, 4], generator())
    other.load_state({name: value.clone() for name, value in grid.state().items()})
    assert all(torch.equal(a, b) for a, b in zip(*map(values, (grid, other)), strict=True))
    grid.rebuild(Asked(lambda points, t: torch.zeros(len(points))), generator())
    assert grid.density.abs().max() == 0 and grid.fresh.all()


def values(grid):
    return grid.state().values()
