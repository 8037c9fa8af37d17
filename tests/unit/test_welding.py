"""Vertices of one place are one point."""

import numpy as np
import tiny_asset

from animate124.stages.welding import split, weld, weld_parts


def test_a_box_has_eight_points():
    part = tiny_asset.box()
    points, index = weld(part.vertices)
    assert len(points) == 8 and np.array_equal(points[index], part.vertices)
    assert index.max() == 7 and (np.bincount(index) == 3).all()
    assert index[:4].tolist() == [0, 1, 2, 3]  # in the order of the vertices


def test_the_tolerance_is_relative_and_chains():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [1 + 4e-7, 0, 0], [1 + 8e-7, 0, 0], [1.001, 0, 0]])
    for scale in (1.0, 1000.0):
        points, index = weld(vertices * np.float32(scale))
        assert index.tolist() == [0, 1, 1, 1, 2]
        assert np.array_equal(points[1], vertices[1] * np.float32(scale))  # the first of them


def test_parts_are_welded_to_one_another():
    parts = [tiny_asset.box(), tiny_asset.box(name="twin")]
    welded = weld_parts(parts)
    assert len(welded.points) == 8 and welded.faces.shape == (24, 3)
    assert np.array_equal(welded.faces[:12], welded.faces[12:])
    first, second = split(welded.points[welded.index], parts)
    assert np.array_equal(first, parts[0].vertices) and np.array_equal(second, first)
