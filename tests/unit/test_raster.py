"""The triangle rasteriser against hand-counted pixels and brute-force ray casting."""

import numpy as np

from animate124.kernels.raster import Fragments, rasterize

IDENTITY = np.eye(4)[None, None, :3]


def draw(vertices, faces, size=8, fov_y=90.0, width=None, near=0.01) -> Fragments:
    """One image of camera-space vertices; at fov 90° the plane at depth d spans −d to d."""
    vertices = np.asarray(vertices, float)
    return rasterize(
        vertices[None],
        np.asarray(faces, np.int32),
        np.zeros(len(vertices), np.int32),
        IDENTITY,
        np.zeros(1, np.int32),
        fov_y,
        size,
        width or size,
        near,
    )


def pixel_rays(size: int, width: int, fov_y: float) -> np.ndarray:
    """Ray directions [H, W, 3] with forward component 1."""
    step = 2 * np.tan(np.radians(fov_y) / 2) / size
    x = (np.arange(width) + 0.5 - width / 2) * step
    y = (size / 2 - np.arange(size) - 0.5) * step
    gx, gy = np.meshgrid(x, y)
    return np.stack([gx, gy, -np.ones_like(gx)], -1)


def cast(vertices, faces, rays):
    """Nearest hit by Möller–Trumbore (1997), front faces only: face and depth [H, W]."""
    vertices = np.asarray(vertices, float)
    best = np.full(rays.shape[:2], np.inf)
    face = np.full(rays.shape[:2], -1)
    for t, (i, j, k) in enumerate(faces):
        e1, e2 = vertices[j] - vertices[i], vertices[k] - vertices[i]
        p = np.cross(rays, e2)
        det = p @ e1
        with np.errstate(divide="ignore", invalid="ignore"):
            u = -(p @ vertices[i]) / det
            q = np.cross(-vertices[i], e1)
            v = rays @ q / det
            depth = (e2 @ q) / det
        hit = (det > 0) & (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0) & (depth < best)
        best[hit], face[hit] = depth[hit], t
    return face, np.where(face >= 0, best, 0.0)


def test_half_square_covers_hand_counted_pixels():
    # Pixel centres lie at ±0.25, ±0.75, … at depth 2; those with x + y ≤ 0 are 8 + 7 + … + 1.
    triangle = [[-2, -2, -2], [2, -2, -2], [-2, 2, -2]]
    seen = draw(triangle, [[0, 1, 2]])
    assert (seen.face[0] == 0).sum() == 36
    assert (seen.face[0, 0] == 0).tolist() == [True] + [False] * 7  # top row: only the left pixel
    assert (seen.face[0, 7] == 0).all()
    np.testing.assert_allclose(seen.depth[0][seen.face[0] == 0], 2.0, rtol=1e-6)
    # The bottom left pixel centre (−1.75, −1.75) is 1/16 of the way along each edge.
    np.testing.assert_allclose(seen.bary[0, 7, 0], [0.0625, 0.0625], rtol=1e-6)


def test_back_faces_and_the_empty_side_are_not_drawn():
    triangle = [[-2, -2, -2], [2, -2, -2], [-2, 2, -2]]
    assert (draw(triangle, [[0, 2, 1]]).face == -1).all()
    behind = [[-2, -2, 2], [2, -2, 2], [-2, 2, 2]]
    for order in ([0, 1, 2], [0, 2, 1]):
        empty = draw(behind, [order])
        assert (empty.face == -1).all() and (empty.depth == 0).all() and (empty.bary == 0).all()


def test_weights_are_perspective_correct():
    # A wall that recedes: at pixel x the ray (x, y, −1) meets the plane z = −2 − (x_world + 2)/2.
    wall = [[-2, -9, -2], [2, -9, -4], [2, 9, -4], [-2, 9, -2]]
    seen = draw(wall, [[0, 1, 2], [0, 2, 3]], size=16)
    rays = pixel_rays(16, 16, 90.0)
    hit = seen.face[0] >= 0
    expected = 3.0 / (1.0 - rays[..., 0] / 2)  # depth d = 2 + (d·x + 2)/2
    np.testing.assert_allclose(seen.depth[0][hit], expected[hit], rtol=1e-6)
    corners = np.asarray(wall, float)[np.array([[0, 1, 2], [0, 2, 3]])[seen.face[0][hit]]]
    b = seen.bary[0][hit]
    weights = np.stack([1 - b.sum(-1), b[:, 0], b[:, 1]], -1)
    points = np.einsum("nk,nki->ni", weights, corners)
    np.testing.assert_allclose(points, rays[hit] * expected[hit][:, None], atol=1e-5)


def test_a_floor_through_the_camera_plane_is_drawn_up_to_the_camera():
    # The floor y = −1 from z = 5 (behind) to z = −100: a pixel below the horizon at slope −s sees
    # it at depth 1/s, so all of the lower half is covered but rows nearer the horizon than 1/100.
    floor = [[-300, -1, 5], [300, -1, 5], [300, -1, -100], [-300, -1, -100]]
    seen = draw(floor, [[0, 1, 2], [0, 2, 3]], size=64)
    slope = -pixel_rays(64, 64, 90.0)[..., 1]
    assert ((seen.face[0] >= 0) == (slope > 0.01)).all()
    below = slope > 0.01
    np.testing.assert_allclose(seen.depth[0][below], 1 / slope[below], rtol=1e-5)
    near = draw(floor, [[0, 1, 2], [0, 2, 3]], size=64, near=4.0)
    assert ((near.face[0] >= 0) == (below & (1 / slope >= 4.0))).all()


def test_jittered_grid_has_no_gaps_and_matches_ray_casting():
    rng = np.random.default_rng(3)
    n = 9
    gx, gy = np.meshgrid(np.linspace(-1.4, 1.4, n), np.linspace(-1.4, 1.4, n))
    jitter = rng.uniform(-0.1, 0.1, (n, n, 2))
    depth = rng.uniform(1.0, 1.3, (n, n))
    points = np.stack([(gx + jitter[..., 0]) * depth, (gy + jitter[..., 1]) * depth, -depth], -1)
    corner = np.arange(n * n).reshape(n, n)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    seen = draw(points.reshape(-1, 3), faces, size=48, width=40)
    assert (seen.face >= 0).all()
    face, expected = cast(points.reshape(-1, 3), faces, pixel_rays(48, 40, 90.0))
    np.testing.assert_allclose(seen.depth[0], expected, rtol=1e-5)
    assert (seen.face[0] == face).all()


def test_nearest_wins_in_any_order_and_the_earlier_of_equals():
    far = [[-9, -9, -3], [9, -9, -3], [0, 9, -3]]
    near = [[-9, -9, -2], [9, -9, -2], [0, 9, -2]]
    assert draw(far + near, [[0, 1, 2], [3, 4, 5]]).face[0, 4, 4] == 1
    assert draw(far + near, [[3, 4, 5], [0, 1, 2]]).face[0, 4, 4] == 0
    assert draw(far + far, [[3, 4, 5], [0, 1, 2]]).face[0, 4, 4] == 0


def test_each_image_has_its_own_vertices_and_matrices():
    triangle = np.array([[-9.0, -9, 0], [9, -9, 0], [0, 9, 0]])
    vertices = np.stack([triangle, triangle - np.array([0, 0, 1])])
    matrices = np.tile(np.eye(4)[:3], (3, 2, 1, 1))
    matrices[:, :, 2, 3] = [[-2, -99], [-2, -99], [-5, -99]]
    matrices[:, 1, 2, 3] = matrices[:, 0, 2, 3]
    source, groups = np.array([0, 1, 1], np.int32), np.array([0, 1, 1], np.int32)
    faces = np.array([[0, 1, 2]], np.int32)
    seen = rasterize(vertices, faces, groups, matrices, source, 40.0, 4, 4)
    np.testing.assert_allclose(seen.depth[:, 2, 2], [2.0, 3.0, 6.0], rtol=1e-6)
