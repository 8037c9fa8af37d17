"""The picture as a view of the scene: rays through its pixels, and what is compared on them."""

import math

import pytest
import torch
from egg import SIZE, egg

from animate124 import runtime
from animate124.geometry.cameras import DEFAULT_RADIUS
from animate124.render.volume import Rendered
from animate124.stages.picture import Picture


def result(colour, opacity, distance):
    empty = torch.zeros(0)
    offsets = torch.zeros(len(opacity) + 1, dtype=torch.int64)
    return Rendered(colour, opacity, distance, empty, empty, offsets)


def generator():
    return runtime.generator(0, "test")


def test_rays_go_through_the_pixels_they_are_compared_with():
    picture = Picture(egg(0), 0.0, 128)
    sighting = picture.sight(64, 2, generator())
    assert sighting.pixels.shape == (16,) and sighting.origins.shape == (64, 3)
    expected = torch.tensor([0.0, 0.0, DEFAULT_RADIUS]).expand(64, 3)
    torch.testing.assert_close(sighting.origins, expected)
    # fov 40°: a ray through image place x has direction x/z = −(2x − 1)·tan 20° (camera on +z).
    d = sighting.directions
    place = torch.stack([d[:, 0], -d[:, 1]], -1) / -d[:, 2:] / math.tan(math.radians(20))
    xy = ((place + 1) / 2 * SIZE).reshape(16, 4, 2)
    column, row = sighting.pixels % SIZE, sighting.pixels // SIZE
    assert torch.equal(xy.floor().long()[..., 0], column[:, None].expand(16, 4))
    assert torch.equal(xy.floor().long()[..., 1], row[:, None].expand(16, 4))


def test_errors_are_means_over_pixels_of_their_rays():
    image = torch.ones(2, 2, 4)  # white and opaque
    picture = Picture(image, 0.0, 128)
    sighting = picture.sight(4, 1, generator())
    known = result(torch.full((4, 3), 0.7), torch.ones(4), torch.ones(4))
    errors = picture.errors(known, sighting, generator())
    assert math.isclose(errors["rgb"].item(), 0.09, rel_tol=1e-5)
    assert errors["alpha"].item() == 0.0
    clear = result(torch.zeros(4, 3), torch.zeros(4), torch.zeros(4))
    assert math.isclose(picture.errors(clear, sighting, generator())["alpha"].item(), 1.0)


def test_depth_is_compared_whatever_its_scale_and_shift():
    nearness = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    picture = Picture(torch.ones(8, 8, 4), 0.0, 128, depth=nearness)
    sighting = picture.sight(64, 1, generator())
    theirs = nearness.flatten()[sighting.pixels]

    def error(distance):
        return picture.depth_error(result(torch.zeros(64, 3), torch.ones(64), distance), sighting)

    assert abs(error(2.0 - 0.3 * theirs).item()) < 1e-5  # near is a small distance
    assert math.isclose(error(2.0 + 0.3 * theirs).item(), 2.0, rel_tol=1e-4)
    # Opacity is divided out: half of the weights at twice the scale is the same surface.
    half = result(torch.zeros(64, 3), torch.full((64,), 0.5), 0.5 * (2.0 - 0.3 * theirs))
    assert abs(picture.depth_error(half, sighting).item()) < 1e-5


class Plane:
    """A field whose density rises away from a plane with normal `n`: its outside is along n."""

    bound = 0.75

    def __init__(self, normal):
        self.normal = torch.tensor(normal)

    def query(self, points, times, starts):
        return 10.0 - (points - 0.5) @ self.normal, torch.zeros(len(points), 3)


@pytest.mark.parametrize(
    ("elevation", "normal", "theirs", "expected"),
    [
        (0.0, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), 0.0),  # faces the camera on +z
        (0.0, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), 1.0),  # at right angles
        (0.0, (0.0, 0.0, 1.0), (0.0, 0.0, -1.0), 2.0),  # turned away
        (90.0 - 1e-3, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0.0),  # from above, up is to the camera
    ],
)
def test_normals_are_compared_in_the_cameras_axes(elevation, normal, theirs, expected):
    normals = torch.tensor(theirs).expand(4, 4, 3)
    picture = Picture(torch.ones(4, 4, 4), elevation, 128, normals=normals)
    sighting = picture.sight(16, 1, generator())
    known = result(torch.zeros(16, 3), torch.ones(16), torch.full((16,), DEFAULT_RADIUS))
    error = picture.normal_error(Plane(normal), known, sighting, torch.tensor(0.0))
    assert abs(error.item() - expected) < 1e-3
