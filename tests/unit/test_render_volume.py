"""Volume rendering against balls whose images are known in closed form."""

import math

import pytest
import torch

from animate124.fields.occupancy import OccupancyGrid
from animate124.geometry.cameras import Cameras, forward, orbit, rays
from animate124.render.volume import render_images, render_rays

BOUND, RADIUS, STEP = 0.75, 2.2, 0.02
RED, GREEN, BLUE, GREY = (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.5, 0.5, 0.5)


class Balls:
    """Stands in for a field: balls (centre, radius, density, colour), present from a time on."""

    bound = BOUND

    def __init__(self, *balls, since=0.0):
        self.balls, self.since = balls, since

    def query(self, points, times, starts):
        world = (points * 2 - 1) * BOUND
        t = times.repeat_interleave(starts.diff())
        density, colour = torch.zeros(len(points)), torch.zeros(len(points), 3)
        for centre, radius, value, paint in self.balls:
            inside = (world - torch.tensor(centre)).norm(dim=-1) < radius
            density[inside] = value
            colour[inside] = torch.tensor(paint)
        return torch.where(t >= self.since, density, 0.0), colour

    def density(self, points, times, starts):
        return self.query(points, times, starts)[0]


def everywhere():
    """An occupancy grid that knows nothing yet."""
    return OccupancyGrid(8, 1, False, BOUND, 0.5)


def camera(azimuth=0.0, size=33, elevation=0.0):
    return Cameras(orbit(torch.tensor([azimuth]), elevation, RADIUS), 40.0, size, size)


def image(field, azimuth=0.0, size=33, elevation=0.0, **options):
    """The planes of one image without their view axis."""
    cameras = camera(azimuth, size, elevation)
    planes = render_images(field, everywhere(), torch.zeros(1), cameras, STEP, **options)
    return {name: plane[0] for name, plane in planes.items()}


@pytest.mark.parametrize("density", [0.3, 2.0, 9.0])
@pytest.mark.parametrize(("offset", "chord"), [(0.0, 0.6), (0.18, 0.48), (0.24, 0.36)])
def test_opacity_of_a_ball_is_that_of_its_chord(density, offset, chord):
    # Samples lie at odd multiples of 0.01, and the chord's ends at even ones: no sample too many.
    field = Balls(((0.0, 0.0, 0.0), 0.3, density, (0.2, 0.4, 1.0)))
    origin = torch.tensor([[[offset, 0.0, RADIUS]]])
    ray = render_rays(
        field, everywhere(), torch.zeros(1), origin, torch.tensor([[[0.0, 0, -1]]]), STEP
    )
    opacity = 1 - math.exp(-density * chord)
    assert ray.opacity.item() == pytest.approx(opacity, abs=1e-5)
    assert ray.colour[0].tolist() == pytest.approx(
        [0.2 * opacity, 0.4 * opacity, opacity], abs=1e-5
    )
    over = ray.over(torch.tensor([1.0, 0.0, 0.5]))[0].tolist()
    left = 1 - opacity
    assert over == pytest.approx(
        [0.2 * opacity + left, 0.4 * opacity, opacity + 0.5 * left], abs=1e-5
    )
    # Mean distance of what is seen: the integral of σ·s·exp(−σ·(s − near)) over the chord.
    near = RADIUS - chord / 2
    mean = near * opacity + (1 - math.exp(-density * chord) * (1 + density * chord)) / density
    assert ray.distance.item() == pytest.approx(mean, abs=2e-3)


def test_depth_of_a_hard_ball_is_planar_and_within_a_step():
    field = Balls(((0.1, -0.1, 0.2), 0.3, 1e4, GREY))
    cameras = camera(30.0, 33, 20.0)
    planes = render_images(field, everywhere(), torch.zeros(1), cameras, STEP)
    origins, directions = (r.reshape(-1, 3) for r in rays(cameras))
    towards = origins - torch.tensor([0.1, -0.1, 0.2])
    half = (towards * directions).sum(-1)
    root = half.square() - towards.square().sum(-1) + 0.09
    hit = (-half - root.clamp(min=0).sqrt()) * (directions @ forward(cameras.c2w[0]))
    sure = root > 0.04**2  # grazing rays may pass between two samples
    depth, alpha = planes["depth"].reshape(-1), planes["alpha"].reshape(-1)
    assert sure.sum() > 60
    assert (alpha[sure] - 1).abs().max() < 1e-5 and alpha[root < 0].abs().max() == 0
    error = depth[sure] - hit[sure]
    assert error.min() > -1e-5 and error.max() < STEP
    assert depth[root < 0].abs().max() == 0


@pytest.mark.parametrize("background", [1.0, 0.25])
def test_nothing_is_background(background):
    planes = image(Balls(), background=background)
    assert (planes["rgb"] == background).all()
    assert planes["alpha"].abs().max() == 0 and planes["depth"].abs().max() == 0
    # Nor is a field rendered where the occupancy grid knows that there is nothing.
    grid = OccupancyGrid(8, 1, False, BOUND, 0.5)
    grid.refresh(Balls(), [0], torch.Generator().manual_seed(0))
    solid = Balls(((0.0, 0.0, 0.0), 0.3, 9.0, RED))
    planes = render_images(solid, grid, torch.zeros(1), camera(), STEP)
    assert planes["alpha"].abs().max() == 0


def columns(planes, channel):
    """Mean column and row, from the image's middle, of a pure colour over white."""
    rgb = planes["rgb"]
    others = [c for c in range(3) if c != channel]
    mask = (rgb[..., channel] > 0.9) & (rgb[..., others].amax(-1) < 0.1)
    assert mask.any()
    row, column = mask.nonzero().float().mean(0).tolist()
    return column - (rgb.shape[1] - 1) / 2, row - (rgb.shape[0] - 1) / 2


def test_world_is_not_mirrored():
    field = Balls(
        ((0.4, 0.0, 0.0), 0.2, 1e4, RED),  # at +x: the left hand of a subject that faces us
        ((-0.4, 0.0, 0.0), 0.1, 1e4, BLUE),
        ((0.0, 0.4, 0.3), 0.12, 1e4, GREEN),  # up, and towards the camera at azimuth 0
    )
    front = image(field, 0.0)
    assert columns(front, 0)[0] > 3 and columns(front, 2)[0] < -3
    assert abs(columns(front, 1)[0]) < 1 and columns(front, 1)[1] < -3
    back = image(field, 180.0)
    assert columns(back, 0)[0] < -3 and columns(back, 2)[0] > 3
    side = image(field, 90.0)  # from +x: the red ball hides the blue one, and +z is on the left
    assert abs(columns(side, 0)[0]) < 1 and columns(side, 1)[0] < -2
    above = image(field, 0.0, elevation=89.0)  # +z is towards the image's bottom
    assert columns(above, 1)[1] > 2


def test_supersampling_is_the_mean_of_the_finer_image():
    field = Balls(((0.1, 0.05, 0.0), 0.35, 4.0, RED), ((-0.3, 0.2, 0.1), 0.2, 9.0, BLUE))
    coarse = image(field, 40.0, size=12, supersample=3)
    fine = image(field, 40.0, size=36)
    rgb = fine["rgb"].reshape(12, 3, 12, 3, 3).mean((1, 3))
    alpha = fine["alpha"].reshape(12, 3, 12, 3).mean((1, 3))
    torch.testing.assert_close(coarse["rgb"], rgb, atol=1e-5, rtol=0)
    torch.testing.assert_close(coarse["alpha"], alpha, atol=1e-5, rtol=0)
    assert ((alpha > 0.05) & (alpha < 0.9)).sum() > 10  # the edges are soft
    assert (coarse["depth"] > 0).equal(coarse["alpha"] >= 0.5)


def test_groups_have_their_own_time_and_views_their_own_camera():
    field = Balls(((0.4, 0.0, 0.0), 0.2, 1e4, RED), since=0.5)
    cameras = camera(size=16)
    origins, directions = (r.reshape(1, -1, 3).expand(3, -1, 3) for r in rays(cameras))
    times = torch.tensor([1.0, 0.0, 0.5])
    result = render_rays(field, everywhere(), times, origins, directions, STEP)
    opacity = result.opacity.reshape(3, -1)
    assert opacity[1].max() == 0 and opacity[0].max() > 0.99
    assert torch.equal(opacity[0], opacity[2])
    two = Cameras(orbit(torch.tensor([0.0, 180.0])), 40.0, 16, 16)
    planes = render_images(field, everywhere(), torch.tensor([1.0, 1.0]), two, STEP)
    assert torch.equal(planes["alpha"][0].reshape(-1), opacity[0])
    torch.testing.assert_close(planes["alpha"][1], planes["alpha"][0].flip(1), atol=1e-4, rtol=0)


def test_jitter_comes_from_the_generator_and_hits_the_same_on_average():
    field = Balls(((0.0, 0.0, 0.0), 0.3, 2.0, GREY))
    origins = torch.tensor([0.0, 0.0, RADIUS]).expand(1, 4000, 3)
    directions = torch.tensor([0.0, 0.0, -1.0]).expand(1, 4000, 3)

    def opacity(seed):
        g = torch.Generator().manual_seed(seed)
        return render_rays(
            field, everywhere(), torch.zeros(1), origins, directions, 0.11, g
        ).opacity

    assert torch.equal(opacity(1), opacity(1)) and not torch.equal(opacity(1), opacity(2))
    # 0.6 / 0.11 = 5.45: 5 samples, or 6 for 45 % of the rays.
    five, six = 1 - math.exp(-2 * 5 * 0.11), 1 - math.exp(-2 * 6 * 0.11)
    assert opacity(1).unique().tolist() == pytest.approx([five, six], abs=1e-5)
    share = (opacity(1) > (five + six) / 2).float().mean().item()
    assert share == pytest.approx(0.6 / 0.11 - 5, abs=0.03)


def test_a_ray_stops_where_the_grid_is_opaque():
    field = Balls(((0.0, 0.0, 0.0), 0.7, 20.0, GREY))
    grid = everywhere()
    grid.refresh(field, [0], torch.Generator().manual_seed(0))
    ray = torch.tensor([[[0.0, 0.0, RADIUS]]]), torch.tensor([[[0.0, 0.0, -1.0]]])
    whole = render_rays(field, grid, torch.zeros(1), *ray, STEP)
    short = render_rays(field, grid, torch.zeros(1), *ray, STEP, stop=4.0)
    # 20 · 0.02 = 0.4 a sample: 11 samples pass 4.0.
    assert 10 <= short.samples <= 14 < 50 < whole.samples
    assert whole.opacity.item() - short.opacity.item() < math.exp(-4)


def test_gradients_of_opacity_are_those_of_the_formula():
    value = torch.tensor(2.0, requires_grad=True)

    class Soft(Balls):
        def query(self, points, times, starts):
            density, colour = super().query(points, times, starts)
            return density * value, colour

    field = Soft(((0.0, 0.0, 0.0), 0.3, 1.0, GREY))
    ray = torch.tensor([[[0.0, 0.0, RADIUS]]]), torch.tensor([[[0.0, 0.0, -1.0]]])
    render_rays(field, everywhere(), torch.zeros(1), *ray, STEP).opacity.sum().backward()
    assert value.grad.item() == pytest.approx(0.6 * math.exp(-2 * 0.6), rel=1e-4)


class SoftBall:
    """A ball whose density falls smoothly through its surface, so that its gradient is radial."""

    bound, centre, radius = BOUND, torch.tensor([0.1, -0.05, 0.0]), 0.35

    def query(self, points, times, starts):
        distance = ((points * 2 - 1) * BOUND - self.centre).norm(dim=-1)
        return 200 * torch.sigmoid((self.radius - distance) / 0.02), points


@pytest.mark.parametrize("azimuth", [0.0, 70.0])
def test_normals_of_a_ball_point_away_from_its_centre(azimuth):
    planes = image(SoftBall(), azimuth, size=48, elevation=20.0, normals=True)
    cameras = camera(azimuth, 48, 20.0)
    origins, directions = rays(cameras)
    distance = planes["depth"] / (directions[0] @ forward(cameras.c2w[0]))
    points = origins[0] + distance[..., None] * directions[0]
    seen = planes["alpha"] > 0.99
    expected = torch.nn.functional.normalize(points - SoftBall.centre, dim=-1)
    cosine = (planes["normals"] * expected).sum(-1)[seen]
    assert seen.sum() > 150 and cosine.min() > math.cos(math.radians(2))
    assert planes["normals"][planes["alpha"] < 0.5].abs().max() == 0
    assert "normals" not in image(SoftBall(), size=8)
