"""Registration of volumes, scene flow, and queries that follow it."""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.ndimage import label

from animate124.fields.flow import FlowField, FlowOccupancy, estimate_flow
from animate124.fields.grid import TimeGrid, slice_weights
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import Perceptron, RadianceField
from animate124.fields.register import register, sample, solid_features
from animate124.geometry.cameras import Cameras, orbit
from animate124.kernels.levels import GridLevels
from animate124.render.volume import render_images

BOUND = 0.75
SIDE = 48


def lattice(side):
    """Cell centres [side, side, side, 3] of the unit cube, indexed z, y, x."""
    line = (torch.arange(side) + 0.5) / side
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], -1)


def turn(degrees):
    """Rotation about +y."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


AXES = torch.tensor([0.2, 0.3, 0.15])


def painted_egg(rotation, shift):
    """A hollow ellipsoid with smooth colours, turned about the cube's centre, then shifted."""
    local = (lattice(SIDE) - 0.5 - shift) @ rotation  # rows times R are R⁻¹ applied to columns
    radius = (local / AXES).norm(dim=-1)
    density = 300 * torch.sigmoid((1 - radius) * 40) * (radius > 0.6)
    colour = 0.5 + 0.4 * torch.stack([torch.sin(20 * local[..., a]) for a in range(3)])
    return solid_features(density[None], colour[None], 2 * BOUND / SIDE)


@pytest.fixture(scope="module")
def registered():
    """Displacements of the egg at rest, shifted, and turned; and the shift."""
    still, shift = torch.zeros(3), torch.tensor([0.08, -0.02, 0.03])
    rest = painted_egg(torch.eye(3), still)
    moved = [rest, painted_egg(torch.eye(3), shift), painted_egg(turn(20), still)]
    return register(rest.expand(3, -1, -1, -1, -1), torch.cat(moved)), shift


def egg_surface():
    g = torch.Generator().manual_seed(0)
    p = torch.randn(500, 3, generator=g)
    return 0.9 * p / p.norm(dim=-1, keepdim=True) * AXES


def flow_at(v, start):
    """Solve x − v(x)/2 = start by many plain iterations."""
    x = start[None]
    for _ in range(50):
        x = start + sample(v[None], x, True) / 2
    return sample(v[None], x, True)[0]


def test_a_body_at_rest_is_registered_without_motion(registered):
    assert registered[0][0].abs().max() < 1e-4


def test_registration_recovers_a_translation(registered):
    v, shift = registered
    error = (flow_at(v[1], egg_surface() + 0.5) - shift).norm(dim=-1)
    assert error.mean() < 0.04 * shift.norm()
    assert error.max() < 0.15 * shift.norm()


def test_registration_recovers_a_rotation_of_twenty_degrees(registered):
    points = egg_surface()
    truth = points @ turn(20).T - points
    error = (flow_at(registered[0][2], points + 0.5) - truth).norm(dim=-1)
    assert error.mean() < 0.07 * truth.norm(dim=-1).mean()


def test_registration_is_deterministic():
    pair = painted_egg(torch.eye(3), torch.zeros(3)), painted_egg(turn(10), torch.zeros(3))
    assert torch.equal(register(*pair), register(*pair))


def test_features_fill_the_body_and_paint_it_from_outside():
    side = 16
    density = torch.zeros(1, side, side, side)
    density[:, 4:12, 4:12, 4:12] = 1e4
    density[:, 5:11, 5:11, 5:11] = 0  # a closed box, empty inside
    colour = torch.zeros(1, 3, side, side, side)
    colour[:, 0] = 1  # red shell
    colour[:, :, 5:11, 5:11, 5:11] = torch.tensor([0.0, 1.0, 0.0])[:, None, None, None]
    features = solid_features(density, colour, 0.1)[0]
    assert features[0].sum() == pytest.approx(8**3, rel=1e-5)  # solid, and nothing but the box
    assert torch.allclose(features[:, 7, 7, 7], torch.tensor([1.0, 1.0, 0.0, 0.0]), atol=1e-5)


# --- queries --------------------------------------------------------------------------------------


class Balls:
    """A field of K slices, each a white ball at a place of its own; blends slices as TimeGrid does.

    centres: [K, 3] in the unit cube.
    """

    bound, radius = BOUND, 0.1

    def __init__(self, centres, loop):
        self.centres, count = torch.tensor(centres), len(centres)
        self.grid = SimpleNamespace(
            slices=[None] * count, loop=loop, plan=lambda t: slice_weights(t, count, loop)
        )

    def _ball(self, k, x):
        return 400 * torch.sigmoid((self.radius - (x - self.centres[k]).norm(dim=-1)) * 200)

    def query(self, points, times, starts):
        density = []
        for g, (low, high, u) in enumerate(self.grid.plan(times)):
            x = points[int(starts[g]) : int(starts[g + 1])]
            density.append((1 - u) * self._ball(low, x) + u * self._ball(high, x))
        density = torch.cat(density)
        return density, torch.ones(len(density), 3)

    def density(self, points, times, starts):
        return self.query(points, times, starts)[0]


def seen(field):
    """An occupancy grid refreshed from the field."""
    count = len(field.grid.slices)
    occupancy = OccupancyGrid(32, count, field.grid.loop, BOUND, 0.5)
    occupancy.refresh(field, list(range(count)), torch.Generator().manual_seed(0))
    return occupancy


def uniform(vectors, nodes=4):
    """Displacement grids [I, 3, G, G, G] that are constant in space."""
    return torch.tensor(vectors)[:, :, None, None, None].expand(-1, -1, *[nodes] * 3).contiguous()


def real_field(loop):
    g = torch.Generator().manual_seed(3)
    grid = TimeGrid(GridLevels(levels=4, coarsest=4, finest=16, log2_size=12), 3, loop, False, g)
    for table in grid.slices:
        table.data.copy_(torch.randn(table.shape, generator=g))
    return RadianceField(grid, Perceptron(grid.levels.width, 8, 4, g), BOUND, (0.0, 0.2))


@pytest.mark.parametrize("loop", [True, False])
def test_at_its_slices_the_flow_field_is_the_field_itself(loop):
    field = real_field(loop)
    g = torch.Generator().manual_seed(5)
    flow = FlowField(field, torch.randn(3 if loop else 2, 3, 5, 5, 5, generator=g) * 0.05)
    times = torch.tensor([0.0, 1 / 3, 2 / 3] if loop else [0.0, 0.5, 1.0])
    points, starts = torch.rand(60, 3, generator=g), torch.tensor([0, 20, 30, 60])
    for mine, theirs in zip(
        flow.query(points, times, starts), field.query(points, times, starts), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_paths_end_at_the_slices_even_where_motion_is_uneven():
    g = torch.Generator().manual_seed(5)
    wild = torch.randn(3, 3, 9, 9, 9, generator=g) * 0.2  # neighbouring nodes fly apart
    flow = FlowField(Balls([[0.5] * 3] * 3, True), wild)
    x = 0.1 + 0.8 * torch.rand(200, 3, generator=g)
    assert torch.allclose(flow.ends(1, 1e-5, x)[0], x, atol=1e-4)
    assert torch.allclose(flow.ends(1, 1 - 1e-5, x)[1], x, atol=1e-4)


def test_density_and_colour_are_mixed_from_both_ends():
    field = real_field(True)
    flow = FlowField(field, uniform([[0.15, 0.0, 0.0]] * 3))  # 0.1 of the cube's edge
    points = torch.tensor([[0.5, 0.4, 0.6]])
    density, colour = flow.query(points, torch.tensor([0.25 / 3]), torch.tensor([0, 1]))
    ends = points + torch.tensor([[-0.025, 0, 0]]), points + torch.tensor([[0.075, 0, 0]])
    one = torch.tensor([0, 1])
    s0, c0 = field.query(ends[0], torch.tensor([0.0]), one)
    s1, c1 = field.query(ends[1], torch.tensor([1 / 3]), one)
    assert torch.allclose(density, 0.75 * s0 + 0.25 * s1, rtol=1e-4)
    expected = (0.75 * s0 * c0 + 0.25 * s1 * c1) / (0.75 * s0 + 0.25 * s1)
    assert torch.allclose(colour, expected, atol=1e-4)


def test_empty_groups_are_answered_with_nothing():
    flow = FlowField(real_field(True), uniform([[0.1, 0.0, 0.0]] * 3))
    density, colour = flow.query(
        torch.zeros(0, 3), torch.tensor([0.1, 0.5]), torch.tensor([0, 0, 0])
    )
    assert density.shape == (0,) and colour.shape == (0, 3)


def test_paths_are_cubics_through_four_slices():
    # Cube edges per interval, along x, in a loop of four: places 0, 0.04, 0.16, 0.12 of a point.
    steps = [0.04, 0.12, -0.04, -0.12]
    flow = FlowField(Balls([[0.5] * 3] * 4, True), uniform([[1.5 * s, 0.0, 0.0] for s in steps]))
    # Half way through interval 1 the cubic is at 9/16·(0.04 + 0.16) − 1/16·(0 + 0.12) = 0.105.
    was, will_be = flow.ends(1, 0.5, torch.tensor([[0.505, 0.3, 0.7]]))
    assert torch.allclose(was, torch.tensor([[0.505 - 0.065, 0.3, 0.7]]), atol=1e-6)
    assert torch.allclose(will_be, torch.tensor([[0.505 + 0.055, 0.3, 0.7]]), atol=1e-6)
    # Interval 3 wraps: from 0.12 to 0, between 0.16 and 0.04: 9/16·0.12 − 1/16·0.2 = 0.055.
    was, will_be = flow.ends(3, 0.5, torch.tensor([[0.5, 0.5, 0.5]]))
    assert torch.allclose(was[0, 0], torch.tensor(0.5 + 0.065), atol=1e-6)
    assert torch.allclose(will_be[0, 0], torch.tensor(0.5 - 0.055), atol=1e-6)


def test_a_clip_that_does_not_loop_keeps_its_acceleration_at_the_ends():
    # Places t²/50 in cube edges at t = 0, 1, 2, 3: constant acceleration all along.
    steps = [0.02, 0.06, 0.10]
    flow = FlowField(Balls([[0.5] * 3] * 4, False), uniform([[1.5 * s, 0.0, 0.0] for s in steps]))
    for k in range(3):
        for u in (0.25, 0.5, 0.8):
            was, will_be = flow.ends(k, u, torch.tensor([[0.5, 0.5, 0.5]]))
            assert float(was[0, 0]) == pytest.approx(0.5 + (k**2 - (k + u) ** 2) / 50, abs=1e-6)
            end = 0.5 + ((k + 1) ** 2 - (k + u) ** 2) / 50
            assert float(will_be[0, 0]) == pytest.approx(end, abs=1e-6)


def test_scene_flow_of_a_rotation():
    # A chord of a turn by θ has its middle m at 2·tan(θ/2)·(axis × m) = v, which is linear in m.
    angle, nodes = math.radians(30), 5
    line = torch.linspace(-BOUND, BOUND, nodes)
    z, _, x = torch.meshgrid(line, line, line, indexing="ij")
    v = 2 * math.tan(angle / 2) * torch.stack([z, torch.zeros_like(z), -x])  # (0, 1, 0) × m
    flow = FlowField(Balls([[0.5] * 3] * 2, False), v[None])
    p = torch.tensor([[0.3, 0.1, 0.0], [-0.2, 0.0, 0.25], [0.0, -0.4, 0.0]])
    assert torch.allclose(flow.scene_flow(0, p), p @ turn(30).T - p, atol=1e-4)


def test_displacements_must_fit_the_field():
    with pytest.raises(ValueError, match=r"not \[3, 3, G, G, G\]"):
        FlowField(Balls([[0.5] * 3] * 3, True), torch.zeros(2, 3, 8, 8, 8))


def test_a_field_of_one_slice_has_no_motion():
    field = Balls([[0.5, 0.5, 0.5]], False)
    flow = estimate_flow(field, seen(field))
    assert len(flow.displacement) == 0
    points, where = torch.rand(9, 3), (torch.tensor([0.0]), torch.tensor([0, 9]))
    assert torch.equal(flow.query(points, *where)[0], field.query(points, *where)[0])


# --- a moving ball --------------------------------------------------------------------------------

PATH = [[0.35, 0.5, 0.5], [0.6, 0.5, 0.5]]  # 0.375 world units apart, diameter 0.3


@pytest.fixture(scope="module")
def moving():
    field = Balls(PATH, True)
    occupancy = seen(field)
    return field, occupancy, estimate_flow(field, occupancy)


def middle_image(field, occupancy, time):
    """Alpha [64, 64] from the front, and its balls' number and mean column."""
    camera = Cameras(orbit(torch.tensor([0.0]), torch.tensor([0.0]), 2.2).float(), 40.0, 64, 64)
    alpha = render_images(field, occupancy, torch.tensor([time]), camera, 0.02)["alpha"][0]
    mass = alpha.sum(0)
    return label(alpha.numpy() > 0.5)[1], float((mass * torch.arange(64)).sum() / mass.sum()), alpha


@pytest.mark.parametrize("time", [0.25, 0.75])  # the second lies where the loop closes
def test_half_way_a_moving_ball_is_one_ball_in_the_middle(moving, time):
    field, occupancy, flow = moving
    number, column, alpha = middle_image(flow, FlowOccupancy(flow, occupancy), time)
    assert number == 1
    # The middle, x = (0.475 − 0.5)·1.5 = −0.0375, at 64 / (2·2.2·tan 20°) = 39.96 pixels per unit.
    assert column == pytest.approx(31.5 - 0.0375 * 39.96, abs=0.3)
    whole = middle_image(field, occupancy, 0.0)[2]
    assert float(alpha.sum()) == pytest.approx(float(whole.sum()), rel=0.04)
    assert middle_image(field, occupancy, time)[0] == 2  # plain blending shows both slices


def test_scene_flow_of_the_ball(moving):
    centre = (torch.tensor([PATH[0]]) - 0.5) * 2 * BOUND
    shift = torch.tensor([[0.375, 0.0, 0.0]])
    there, back = moving[2].scene_flow(0, centre)[0], moving[2].scene_flow(1, centre + shift)[0]
    assert torch.allclose(there, shift[0], atol=0.02)
    assert torch.allclose(back, -shift[0], atol=0.02)


def test_the_stored_displacement_makes_the_same_field(moving):
    field, _, flow = moving
    again = FlowField(field, **flow.state())
    assert flow.state()["displacement"].dtype == torch.float16
    points, where = torch.rand(50, 3), (torch.tensor([0.1]), torch.tensor([0, 50]))
    assert torch.equal(again.query(points, *where)[0], flow.query(points, *where)[0])


def test_occupancy_follows_the_ball(moving):
    _, occupancy, flow = moving
    moved = FlowOccupancy(flow, occupancy)
    density, threshold, boxes, rows = moved.at(torch.tensor([0.25]))
    occupied = density[rows[0]] > threshold[rows[0]]
    for x, expected in ((0.475, True), (0.3, False), (0.65, False)):
        assert bool(occupied[16, 16, int(x * 32)]) is expected
    ball = (lattice(32) - torch.tensor([0.475, 0.5, 0.5])).norm(dim=-1) < Balls.radius
    assert bool(occupied[ball].all())
    low, high = (boxes[rows[0]] / (2 * BOUND) + 0.5)[:, 0].tolist()
    assert 0.3 < low < 0.375 and 0.575 < high < 0.65
    assert moved.at(torch.tensor([0.25]))[0] is density  # kept for the next view
    later, level, _, (row,) = moved.at(torch.tensor([0.4]))  # u = 0.8: the ball is at 0.574
    assert bool(later[row, 16, 16, 20] > level[row]) and not bool(
        later[row, 16, 16, 12] > level[row]
    )
    assert moved.at(torch.tensor([0.5]))[0] is occupancy.density
