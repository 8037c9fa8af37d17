"""Clouds, their graphs, stiffness and motion; acceptance checks 7 and 8 of the specification."""

import math

import numpy as np
import pytest
import torch
from gaussian_samples import motion_of, sphere, stir, turn_about

from animate124.errors import UserError
from animate124.gaussians import store
from animate124.gaussians.appearance import Appearance, harmonics
from animate124.gaussians.arap import arap
from animate124.gaussians.cloud import Cloud, from_gaussians
from animate124.gaussians.graph import spread_nodes, surface_graph
from animate124.gaussians.motion import amplitude
from animate124.gaussians.surface import from_mesh
from animate124.gaussians.tracks import Keys
from animate124.gaussians.turns import aligned, less_identity, multiply, scaled
from animate124.geometry.cameras import Cameras, orbit
from animate124.kernels.splat_reference import rotation_matrix
from animate124.media.glb import MeshPart
from animate124.media.images import encode_png
from animate124.media.ply import GaussianArrays
from animate124.render.splat import render_images, rest_state, splat_images

# --- clouds ---------------------------------------------------------------------------------------


def square(texture=None, base=(1.0, 1.0, 1.0, 1.0)):
    """The square 0 ≤ x, y ≤ 1 at z = 0, facing +z; uv (0, 0) is its top left corner."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    uv = np.stack([corners[:, 0], 1 - corners[:, 1]], 1)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return MeshPart("square", corners, faces, uv=uv, texture=texture, base_color=base)


def test_a_mesh_is_covered_evenly_in_its_own_colours():
    halves = np.zeros((4, 4, 3), np.float32)
    halves[:, :2, 0] = halves[:, 2:, 2] = 1.0  # left half red, right half blue
    cloud = from_mesh([square(encode_png(halves))], 400, np.random.default_rng(0))
    assert len(cloud) == pytest.approx(400, rel=0.05)
    points = cloud.positions
    assert points[:, 2].abs().max() == 0 and points.min() >= 0 and points.max() <= 1
    gap = torch.cdist(points, points).fill_diagonal_(9).min(1).values
    # Random points come as near as a tenth of the mean spacing of 1/20; thinned ones do not.
    assert gap.min() > 0.6 / 20 and gap.max() < 1.5 / 20
    quarters = torch.stack([(points[:, :2] > 0.5).float() @ torch.tensor([1.0, 2.0])])[0]
    assert all(abs(int((quarters == k).sum()) - 100) < 12 for k in range(4))
    torch.testing.assert_close(cloud.normals, torch.tensor([0.0, 0, 1]).expand(len(points), 3))
    x = points[:, 0]  # away from the middle and from the borders, where the texture repeats
    left, right = (x > 0.15) & (x < 0.35), (x > 0.65) & (x < 0.85)
    torch.testing.assert_close(
        cloud.colours[left], torch.tensor([1.0, 0, 0]).expand(int(left.sum()), 3)
    )
    torch.testing.assert_close(
        cloud.colours[right], torch.tensor([0.0, 0, 1]).expand(int(right.sum()), 3)
    )
    # Flat: thin along the normal, round within the surface.
    assert cloud.scales[:, 2].max() < 0.1 * cloud.scales[:, 0].min()


def test_colours_multiply_in_linear_light_and_textures_wrap():
    grey = np.full((2, 2, 3), 0.5, np.float32)
    cloud = from_mesh(
        [square(encode_png(grey), (0.5, 1.0, 0.0, 1.0))], 30, np.random.default_rng(1)
    )
    linear = ((128 / 255 + 0.055) / 1.055) ** 2.4
    half = ((0.5 + 0.055) / 1.055) ** 2.4
    expected = 1.055 * (linear * half) ** (1 / 2.4) - 0.055
    assert cloud.colours[:, 0].numpy() == pytest.approx(expected, abs=1e-4)
    assert cloud.colours[:, 1].numpy() == pytest.approx(128 / 255, abs=1e-4)
    assert cloud.colours[:, 2].abs().max() < 1e-6


def test_a_mesh_without_area_is_refused():
    flat = MeshPart("point", np.zeros((3, 3), np.float32), np.array([[0, 1, 2]]))
    with pytest.raises(UserError, match="no area"):
        from_mesh([flat], 10, np.random.default_rng(0))


def test_a_gaussian_ply_becomes_a_cloud():
    arrays = GaussianArrays(
        np.zeros((2, 3)), np.array([[[1.0, -5.0, 0.0]], [[0.0, 0.0, 0.0]]]), np.array([0.0, 2.0]),
        np.full((2, 3), math.log(0.1)), np.array([[2.0, 0, 0, 0], [0, 0, 3.0, 0]]),
    )  # fmt: skip
    cloud = from_gaussians(arrays)
    assert not cloud.flat and cloud.opacities[0] == 0.5
    # 0.5 + 0.28209·1; −5 is clipped to −2, whose colour is below 0.
    torch.testing.assert_close(cloud.colours[0], torch.tensor([0.5 + 0.28209479, 0.0, 0.5]))
    torch.testing.assert_close(cloud.rotations.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(cloud.scales, torch.full((2, 3), 0.1))
    with pytest.raises(ValueError, match="normals"):
        cloud.normals  # noqa: B018


# --- neighbours -----------------------------------------------------------------------------------


def lines(*heights, facing):
    """Rows of 20 Gaussians along x at heights y, whose normals point along ±y."""
    x = torch.linspace(0, 1.9, 20)
    rows, turns = [], []
    up = [math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0]  # takes +z to +y
    down = [math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0]
    for y, way in zip(heights, facing, strict=True):
        rows.append(torch.stack([x, torch.full_like(x, y), torch.zeros_like(x)], 1))
        turns.append(torch.tensor([up if way > 0 else down]).expand(20, 4))
    count = 20 * len(heights)
    return Cloud(
        torch.cat(rows), torch.zeros(count, 3), torch.cat(turns), torch.zeros(count),
        torch.zeros(count, 3), flat=True,
    )  # fmt: skip


def test_no_edge_crosses_a_gap_between_surfaces_that_face_each_other():
    facing = surface_graph(lines(0.0, 0.05, facing=(1, -1)))
    # Nearer than the next one along the row, yet separate, but for the bridges that join pieces.
    assert facing[:20, 20:].nnz <= 3
    back_to_back = surface_graph(lines(0.0, 0.05, facing=(-1, 1)))
    assert back_to_back[:20, 20:].nnz >= 20


def test_nodes_carry_what_is_near_along_the_surface():
    cloud = lines(0.0, 0.05, facing=(1, -1))
    nodes = spread_nodes(cloud, 10)
    assert len(np.unique(nodes.index)) == 10 and nodes.skin.shape == (40, 4)
    np.testing.assert_allclose(nodes.weights.sum(1), 1)
    assert (nodes.weights >= 0).all()
    own = nodes.weights[nodes.index, 0]
    assert (nodes.skin[nodes.index, 0] == np.arange(10)).all() and (own > 0.3).all()
    upper = nodes.index >= 20
    # The rows are joined at their first end; far from it nobody is carried by the other's nodes.
    far = {row: upper[nodes.skin[row]] @ nodes.weights[row] for row in range(40)}
    crossing = [row for row, share in far.items() if (share if row < 20 else 1 - share) > 0.01]
    assert all(row % 20 < 10 for row in crossing)
    assert all((one, two) in set(map(tuple, nodes.edges)) for two, one in nodes.edges)


def test_more_nodes_than_gaussians_is_one_each():
    nodes = spread_nodes(lines(0.0, facing=(1,)), 100, carriers=1)
    assert len(nodes.index) == 20
    np.testing.assert_array_equal(nodes.index[nodes.skin[:, 0]], np.arange(20))


# --- stiffness ------------------------------------------------------------------------------------


def shaken(size=1.0):
    """Points of a grid with its edges, both ways."""
    g = torch.Generator().manual_seed(1)
    rest = torch.stack(torch.meshgrid(*[torch.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rest = size * (rest + 0.1 * torch.randn(27, 3, generator=g))
    near = torch.cdist(rest, rest) < 1.4 * size
    return rest, near.fill_diagonal_(False).nonzero()


def test_arap_is_zero_for_rigid_motion_and_not_for_shear():
    rest, edges = shaken()
    turn = turn_about((0.6, 0.0, 0.8), 130.0)
    rigid = rest @ turn.T + torch.tensor([3.0, -1.0, 2.0])
    shear = rest + torch.tensor([[0.3, 0.0, 0.0]]) * rest[:, 1:2]
    assert arap(rest, rigid[None], edges) < 1e-9
    assert arap(rest, rest[None], edges) < 1e-12
    assert arap(rest, shear[None], edges) > 1e-3
    # With the motion's own rotations: right ones give 0, others do not.
    turns = turn.expand(1, 27, 3, 3)
    assert arap(rest, rigid[None], edges, turns) < 1e-9
    assert arap(rest, rigid[None], edges, torch.eye(3).expand(1, 27, 3, 3)) > 0.1


def test_arap_does_not_know_the_scale_and_stretching_by_a_tenth_costs_a_hundredth():
    rest, edges = shaken()
    large, _ = shaken(7.0)
    g = torch.Generator().manual_seed(2)
    push = 0.2 * torch.randn(2, 27, 3, generator=g)
    small_energy = arap(rest, rest + push, edges)
    torch.testing.assert_close(
        arap(large, large + 7 * push, edges), small_energy, rtol=1e-4, atol=0
    )
    assert arap(rest, 1.1 * rest[None], edges).item() == pytest.approx(0.01, rel=1e-4)


# --- motion ---------------------------------------------------------------------------------------

KINDS = pytest.mark.parametrize(
    ("kind", "carrier"),
    [("keys", "nodes"), ("keys", "gaussians"), ("planes", "nodes"), ("planes", "gaussians")],
)


@KINDS
@pytest.mark.parametrize("loop", [True, False])
def test_at_first_every_time_is_rest_and_t_0_always_is(kind, carrier, loop):
    cloud = sphere(60)
    motion = motion_of(cloud, 5, loop, kind=kind, carrier=carrier)
    times = torch.tensor([0.0, 0.13, 0.5, 0.8, 1.0])
    rest = rest_state(cloud)
    camera = Cameras(orbit(torch.zeros(5)), 40.0, 12, 12)
    images = splat_images(cloud, motion.frames(cloud, times), torch.arange(5), camera)
    still = splat_images(cloud, rest, torch.zeros(5, dtype=torch.int64), camera)
    assert torch.equal(images, still)
    stir(motion)
    assert (motion.frames(cloud, times)[0][2] - cloud.positions).abs().max() > 0.01
    for now, before in zip(motion.frames(cloud, times), rest, strict=True):
        assert torch.equal(now[0], before[0])  # bit by bit
        if loop:
            torch.testing.assert_close(now[4], now[0], atol=1e-5, rtol=1e-5)


@KINDS
def test_a_loop_goes_on_without_a_jump(kind, carrier):
    cloud = sphere(40)
    motion = stir(motion_of(cloud, 4, True, kind=kind, carrier=carrier), 0.1)
    near = motion.frames(cloud, torch.tensor([0.999, 0.001]))[0]
    assert (near - cloud.positions).norm(dim=-1).max() < 0.02


def test_turns_are_scaled_by_their_angle():
    half = math.sqrt(0.5)
    quarter = torch.tensor([[half, 0.0, half, 0.0], [-half, 0.0, -half, 0.0]])  # 90°, two signs
    for factor, angle in ((0.0, 0), (0.5, 45), (1.0, 90), (2.0, 180)):
        c, s = (f(math.radians(angle / 2)) for f in (math.cos, math.sin))
        for row in scaled(quarter, factor):
            assert row.tolist() == pytest.approx([c, 0, s, 0], abs=1e-6)
    assert scaled(torch.tensor([1.0, 0, 0, 0]), 3.0).tolist() == [1, 0, 0, 0]


def test_a_turn_of_the_whole_moves_and_turns_and_grows_every_gaussian():
    cloud = sphere(50)
    motion = motion_of(cloud, 4)
    half = math.radians(70) / 2
    with torch.no_grad():
        # Key 1: 70° about y, less the identity quaternion, and a shift; all grow by e^0.2.
        motion.shift.keys[0][0] = torch.tensor([0.1, 0.2, 0.3])
        motion.turn.keys[0][0] = torch.tensor([math.cos(half) - 1, 0.0, math.sin(half), 0.0])
        motion.local.keys[0][:, 7] = 0.2
    positions, rotations, scales = (x[0] for x in motion.frames(cloud, torch.tensor([0.25])))
    turn = turn_about((0.0, 1.0, 0.0), 70.0)
    centre = cloud.positions.mean(0)
    expected = (cloud.positions - centre) @ turn.T + centre + torch.tensor([0.1, 0.2, 0.3])
    torch.testing.assert_close(positions, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        rotation_matrix(rotations), turn @ rotation_matrix(cloud.rotations), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(scales, cloud.scales * math.exp(0.2))


def test_nodes_that_turn_alike_carry_gaussians_rigidly():
    cloud = sphere(80)
    motion = motion_of(cloud, 3, whole=False)
    turn = turn_about((0.0, 0.0, 1.0), 40.0)
    half = math.radians(40) / 2
    with torch.no_grad():
        key = motion.local.keys[0]
        key[:, :3] = motion.points @ turn.T - motion.points
        key[:, 3:7] = torch.tensor([math.cos(half) - 1, 0.0, 0.0, math.sin(half)])
    moved = motion.frames(cloud, torch.tensor([1 / 3]))[0]
    torch.testing.assert_close(moved[0], cloud.positions @ turn.T, atol=1e-5, rtol=1e-5)
    way = (cloud.positions @ turn.T - cloud.positions).square().sum(1).mean().sqrt()
    torch.testing.assert_close(amplitude(cloud.positions, moved), way)


def test_keys_are_met_and_a_cubic_lies_between_them():
    keys = Keys(4, 1, 1, loop=False)
    with torch.no_grad():
        for k, value in enumerate((1.0, 4.0, 9.0), 1):  # k²: a parabola through 0, 1, 4, 9
            keys.keys[k - 1].fill_(value)
    assert keys(torch.tensor([0.0, 1 / 3, 2 / 3, 1.0])).flatten().tolist() == [0, 1, 4, 9]
    # Catmull and Rom reproduce a parabola: 1.5² between the middle keys.
    assert keys(torch.tensor([0.5])).item() == pytest.approx(2.25)


def test_keys_that_are_not_asked_for_get_no_gradient():
    motion = motion_of(sphere(30), 4)
    motion.frames(sphere(30), torch.tensor([0.25]))[0].sum().backward()
    assert [k.grad is not None for k in motion.local.keys] == [True, False, False]


def test_opposite_quaternions_between_keys_do_not_cancel():
    keys = Keys(3, 1, 7, loop=True, turn=3)
    with torch.no_grad():
        one = torch.tensor([0.0, 1.0, 0.0, 0.0])  # 180° about x
        identity = torch.tensor([1.0, 0.0, 0.0, 0.0])
        keys.keys[0][0, 3:] = one - identity
        keys.keys[1][0, 3:] = -one - identity  # the same turn
    middle = keys(torch.tensor([0.5]))[0, 0, 3:] + identity
    assert middle.norm() > 0.9


def test_quaternions():
    g = torch.Generator().manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 6, 4, generator=g), dim=-1)
    torch.testing.assert_close(
        rotation_matrix(multiply(a, b)), rotation_matrix(a) @ rotation_matrix(b)
    )
    torch.testing.assert_close(less_identity(a) + torch.eye(3), rotation_matrix(a))
    assert ((aligned(a, b) * b).sum(-1) >= 0).all()


@KINDS
def test_store_gives_back_the_same_motion_and_the_same_bytes(kind, carrier, tmp_path):
    cloud = sphere(40)
    motion = stir(motion_of(cloud, 4, False, kind=kind, carrier=carrier))
    store.save(tmp_path / "a.safetensors", cloud, motion)
    other, again = store.load(tmp_path / "a.safetensors")
    store.save(tmp_path / "b.safetensors", other, again)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    times = torch.tensor([0.0, 0.4, 1.0])
    assert other.flat and not again.loop and again.settings == motion.settings
    for one, two in zip(motion.frames(cloud, times), again.frames(other, times), strict=True):
        assert torch.equal(one, two)


def test_a_damaged_store_is_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    store.save(path, sphere(20), motion_of(sphere(20)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="damaged"):
        store.load(path)


# --- looks ----------------------------------------------------------------------------------------


def test_light_by_normals_is_nine_numbers_a_channel():
    cloud = sphere(30)
    looks = Appearance(cloud)
    assert torch.equal(looks.cloud().colours, cloud.colours)
    with torch.no_grad():
        looks.light[2] = torch.tensor([0.5, 0.0, 0.0])  # the harmonic y, red
    torch.testing.assert_close(
        looks.cloud().colours[:, 0], cloud.colours[:, 0] * (1 + 0.5 * cloud.normals[:, 1])
    )
    up = harmonics(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert up[0].tolist() == [1, 0, 1, 0, 0, 0, 0, -1, -0.5]
    assert up[1].tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 1]
    assert Appearance(sphere(30, flat=False)).light is None


# --- pictures -------------------------------------------------------------------------------------


def test_images_of_a_moving_cloud():
    cloud = sphere(400)
    motion = motion_of(cloud, 2, loop=False)
    with torch.no_grad():
        motion.shift.keys[0][0] = torch.tensor([0.2, 0.0, 0.0])
    cameras = Cameras(orbit(torch.zeros(2)), 40.0, 33, 33)
    seen = render_images(cloud, motion, torch.tensor([0.0, 1.0]), cameras, 1.0, supersample=2)
    # The ball's nearest point is 2.2 − 0.4 away (a little of the back at 2.6 shines through), and
    # the left half (+x, image right) is red.
    assert 1.8 < seen["depth"][0, 16, 16] < 1.92
    assert seen["depth"][0, 0, 0] == 0 and seen["alpha"][0, 0, 0] == 0
    torch.testing.assert_close(seen["rgb"][0, 0, 0], torch.ones(3))
    red = seen["rgb"][0, 16, 20]
    assert red[0] > 0.9 and red[2] < 0.1
    # 33 / (2 tan 20°) = 45.3 pixels of focal length; the outline lies 2.2 − 0.4²/2.2 away: there
    # 0.2 units are 4.26 pixels.
    columns = torch.arange(33.0)
    middle = (seen["alpha"].sum(1) * columns).sum(1) / seen["alpha"].sum((1, 2))
    assert (middle[1] - middle[0]).item() == pytest.approx(4.26, abs=0.1)
    still = render_images(cloud, None, torch.tensor([0.0, 1.0]), cameras)
    assert torch.equal(still["rgb"][0], still["rgb"][1])
