"""A static field carried along by points on its surface, against motions known in closed form."""

import math

import pytest
import torch

from animate124.fields.carried import Carried

RADIUS, DENSE = 0.2, 50.0


class Balls:
    """Balls of RADIUS around some centres, red where x lies beyond the centre's, and blue."""

    bound = 1.0

    def __init__(self, *centres):
        self.centres = torch.tensor(centres)

    def query(self, points, times, starts):
        assert times.tolist() == [0.0] and starts.tolist() == [0, len(points)]
        away = (points * 2 - 1)[:, None] - self.centres
        inside = away.norm(dim=-1) < RADIUS
        side = (away[..., 0] > 0)[torch.arange(len(points)), away.norm(dim=-1).argmin(1)]
        colour = torch.where(side[:, None], torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0]))
        return inside.any(1) * DENSE, colour


def sphere(centre, count=2000):
    """Points spread over a ball's surface (Fibonacci's spiral), [count, 3]."""
    k = torch.arange(count) + 0.5
    y, turn = 1 - 2 * k / count, math.pi * (1 + 5**0.5) * k
    ring = (1 - y * y).sqrt()
    return torch.stack([ring * turn.cos(), y, ring * turn.sin()], 1) * RADIUS + torch.tensor(centre)


def still(count):
    return torch.eye(3).expand(count, 3, 3)


def about_y(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def test_what_was_shifted_is_there_and_no_longer_where_it_was():
    rest, way = sphere((-0.4, 0.0, 0.0)), torch.tensor([0.7, 0.1, 0.0])
    carried = Carried(
        Balls((-0.4, 0.0, 0.0)), rest, torch.stack([rest, rest + way]),
        torch.stack([still(len(rest))] * 2),
    )  # fmt: skip
    assert len(carried) == 2
    old, new = torch.tensor([[-0.4, 0, 0], [-0.25, 0, 0]]), torch.tensor([[0.3, 0.1, 0]])
    beyond = new + torch.tensor([[RADIUS + 0.01, 0, 0]])
    asked = torch.cat([old, new, beyond])
    assert carried.query(0, asked)[0].tolist() == [DENSE, DENSE, 0, 0]
    assert carried.query(1, asked)[0].tolist() == [0, 0, DENSE, 0]


def test_colours_turn_with_what_they_are_on():
    rest, turn = sphere((0.0, 0.0, 0.0)), about_y(90.0)  # takes +x to −z
    carried = Carried(Balls((0.0, 0, 0)), rest, (rest @ turn.T)[None], turn.expand(1, 2000, 3, 3))
    density, colour = carried.query(0, torch.tensor([[0, 0, -0.15], [0, 0, 0.15]]))
    assert density.tolist() == [DENSE, DENSE]
    assert colour.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_what_stays_is_not_taken_along_by_what_leaves():
    centres = (-0.25, 0.0, 0.0), (0.25, 0.0, 0.0)
    one, other = map(sphere, centres)
    rest = torch.cat([one, other])
    moved = torch.cat([one, other + torch.tensor([0.0, 0.6, 0.0])])
    carried = Carried(Balls(*centres), rest, moved[None], still(len(rest))[None])
    asked = torch.tensor([[-0.25, 0, 0], [0.25, 0, 0], [0.25, 0.6, 0], [0.1, 0.05, 0]])
    assert carried.query(0, asked)[0].tolist() == [DENSE, 0, DENSE, 0]


def test_outside_the_cube_there_is_nothing():
    rest = sphere((0.9, 0.0, 0.0))
    carried = Carried(
        Balls((0.9, 0.0, 0.0)), rest, (rest - torch.tensor([0.5, 0, 0]))[None],
        still(len(rest))[None],
    )  # fmt: skip
    # 0.55 came from 1.05, which the field's cube does not reach.
    assert carried.query(0, torch.tensor([[0.4, 0, 0], [0.55, 0, 0]]))[0].tolist() == [DENSE, 0]


def test_places_lie_where_it_was_where_it_is_and_anywhere():
    rest = sphere((-0.5, 0.0, 0.0))
    moved = rest + torch.tensor([1.0, 0, 0])
    carried = Carried(Balls((-0.5, 0, 0)), rest, moved[None], still(len(rest))[None])
    places = carried.places(0, 4000, torch.Generator().manual_seed(0))
    again = carried.places(0, 4000, torch.Generator().manual_seed(0))
    assert torch.equal(places, again) and places.shape == (4000, 3) and places.abs().max() <= 1

    def near(x):
        return ((places - torch.tensor([x, 0, 0])).norm(dim=1) - RADIUS).abs() < 0.1

    assert 2000 <= near(0.5).sum() < 2200 and 1000 <= near(-0.5).sum() < 1200
    assert places[3000:].amin() < -0.95 and places[3000:].amax() > 0.95


def test_what_does_not_fit_together_is_refused():
    rest = sphere((0.0, 0, 0))
    with pytest.raises(ValueError, match="do not fit"):
        Carried(Balls((0.0, 0, 0)), rest, rest[None, :-1], still(2000)[None])
    with pytest.raises(ValueError, match="do not fit"):
        Carried(Balls((0.0, 0, 0)), rest, rest[None], still(1999)[None])
