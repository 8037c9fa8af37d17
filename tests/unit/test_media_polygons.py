"""Polygons to triangles: by hand, and by area where the shape is not convex."""

import numpy as np
import pytest

from animate124.media.polygons import triangulate


def areas(vertices, corners, triples):
    a, b, c = (vertices[corners[triples[:, k]]] for k in range(3))
    return np.cross(b - a, c - a) / 2


def test_triangles_and_quads_by_hand():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 2]], float)
    corners = np.array([0, 1, 2, 3, 2, 3, 4, 0, 1])
    triples = triangulate(square, corners, np.array([4, 3, 2]))
    assert corners[triples].tolist() == [[2, 3, 4], [0, 1, 2], [0, 2, 3]]


def test_a_dart_is_cut_at_its_notch():
    # Concave at corner 1, which lies inside the triangle of the other three.
    dart = np.array([[0, 0, 0], [1, 0.5, 0], [2, 0, 0], [1, 2, 0]], float)
    triples = triangulate(dart, np.arange(4), np.array([4]))
    found = areas(dart, np.arange(4), triples)
    assert (found[:, 2] > 0).all() and found[:, 2].sum() == pytest.approx(1.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_star_keeps_its_area_and_its_side(axis, backwards):
    turn = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2, 0.4, 1.0)
    flat = np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
    star = np.insert(flat, axis, 0.0, axis=1)
    corners = np.arange(10)[::-1] if backwards else np.arange(10)
    triples = triangulate(star, corners, np.array([10]))
    assert triples.shape == (8, 3)
    found = areas(star, corners, triples)[:, axis]
    # Ten triangles from the centre, each 1/2 · 1 · 0.4 · sin 36°; y is mirrored by the insertion.
    total = 10 * 0.5 * 0.4 * np.sin(np.pi / 5) * (-1) ** backwards * (-1) ** (axis == 1)
    assert found.sum() == pytest.approx(total) and (np.sign(found) == np.sign(total)).all()


def test_a_polygon_without_area_still_gives_its_triangles():
    line = np.outer(np.arange(6), [1.0, 2, 3])
    assert triangulate(line, np.arange(6), np.array([6])).shape == (4, 3)
