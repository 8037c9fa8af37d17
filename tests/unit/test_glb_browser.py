"""Animated GLB files play in a real browser: three.js in headless Chromium, by screenshots.

A box 4 wide, 2 high and 1 deep, before a white ground, at 20 pixels a unit.
"""

from dataclasses import replace

import glb_page
import numpy as np
import pytest
from tiny_asset import MIDDLE, box

from animate124.media.glb import Moving, Node, write_morphs, write_node_animation

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, SCALE = 200, 120, 20
BLUE, RED = (0, 0, 1), (1, 0, 0)
TIMES = (0.0, 1.0, 2.0)
STEPS = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0]], float
)  # to the right, then up, in a second each


def boxes(count, moving):
    """So many boxes in the same place as one mesh, and its frames, in which the first move."""
    one = box()
    faces = np.concatenate([one.faces + 24 * k for k in range(count)])
    part = replace(
        one, vertices=np.tile(one.vertices, (count, 1)), faces=faces,
        normals=np.tile(one.normals, (count, 1)), uv=np.tile(one.uv, (count, 1)),
    )  # fmt: skip
    frames = np.repeat(part.vertices[None], len(STEPS), 0)
    frames[:, : 24 * moving] += STEPS[:, None].astype(np.float32)
    return part, frames


def write(path, way):
    if way == "node":
        node = Node("all", parts=(box(),), translation=STEPS)
        write_node_animation(path, [node], TIMES)
        return
    part, frames = boxes(60, 1 if way == "sparse" else 60)
    normals = np.repeat(part.normals[None], len(STEPS), 0)
    moving = Moving(part, frames, normals)
    tolerance = {"plain": 0.0, "sparse": 1e-6, "quantised": 1e-3}[way]
    assert write_morphs(path, [moving], TIMES, tolerance=tolerance).packing == way


def extent(picture, colour):
    """Left, right, upper, lower edge in pixels of a colour, and whether it fills them."""
    here = np.abs(picture - np.array(colour)).max(-1) < 0.02
    rows, columns = np.flatnonzero(here.any(1)), np.flatnonzero(here.any(0))
    edges = (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1)
    return tuple(map(int, edges)), bool(here.sum() == np.ptp(edges[:2]) * np.ptp(edges[2:]))


@pytest.mark.parametrize("way", ["plain", "quantised", "sparse", "node"])
def test_it_plays(way, tmp_path):
    write(tmp_path / "a.glb", way)
    look = {"middle": MIDDLE.tolist(), "height": HEIGHT / SCALE}
    try:
        with glb_page.opened(tmp_path / "a.glb", WIDTH, HEIGHT) as (tab, animations):
            rest, side = (glb_page.show(tab, 0.0, azimuth, **look) for azimuth in (0.0, 90.0))
            between, later = (glb_page.show(tab, t, **look) for t in (0.5, 1.5))
            assert not tab.errors
    except glb_page.Absent as reason:
        pytest.skip(str(reason))
    assert animations == [["motion", 2.0]]
    # The front is the texture's blue, 4 by 2 units in the middle; from +x it is red and 1 by 2.
    assert extent(rest, BLUE) == ((60, 140, 40, 80), True)
    assert extent(side, RED) == ((90, 110, 40, 80), True)
    assert rest.shape == (HEIGHT, WIDTH, 3) and (rest[0] == 1).all()
    # Half way to 1 to the right; then wholly there, and half way up. Sparse: 59 boxes of 60 stay.
    if way == "sparse":
        assert extent(between, BLUE) == ((60, 150, 40, 80), True)
        assert extent(later, BLUE) == ((60, 160, 30, 80), False)
    else:
        assert extent(between, BLUE) == ((70, 150, 40, 80), True)
        assert extent(later, BLUE) == ((80, 160, 30, 70), True)
