"""The stage `intake`: every format, where things end up, and the way back."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json

import numpy as np
import pytest
import tiny_asset
import torch
from bad_input import animate124  # noqa: F401
from test_media_glb_validator import assert_clean, issues  # noqa: F401

from animate124.geometry.cameras import Cameras, orbit
from animate124.media.glb import Node, posed_parts, read, write_node_animation
from animate124.media.images import read_image
from animate124.media.ply import read_gaussians
from animate124.settings.base import parse
from animate124.settings.intake import IntakeSettings
from animate124.stages.asset import open_asset, pictures
from animate124.stages.intake import intake
from animate124.stages.placement import enclosing_sphere, place, read_placement

SCALE = 0.54 / tiny_asset.HALF_DIAGONAL
WRITERS = {"glb": tiny_asset.write_glb, "obj": tiny_asset.write_obj, "ply": tiny_asset.write_ply}


def settings(*more):
    return parse(IntakeSettings, ["preview=16", *more])


def taken(tmp_path, source, *more):
    record = intake(source, tmp_path / "out", settings(*more))
    return record, posed_parts(read(tmp_path / "out" / "asset.glb"))


def colour_seen(tmp_path, azimuth, elevation=0.0):
    """The colour in the middle of the picture from an azimuth."""
    cameras = Cameras(orbit(torch.tensor([azimuth]), elevation), 40.0, 8, 8)
    seen = pictures(open_asset(tmp_path / "out"), cameras, 1, "none")[0, 4, 4]
    assert seen[3] > 0.5
    return np.round(seen[:3]).tolist()


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_box_of_every_format(tmp_path, issues, suffix):
    source = WRITERS[suffix](tmp_path / f"box.{suffix}")
    record, (part,) = taken(tmp_path, source)
    assert_clean(issues(tmp_path / "out" / "asset.glb"))
    # The middle goes to the origin, the half diagonal to 0.54; axes stay.
    np.testing.assert_allclose(np.ptp(part.vertices, axis=0), tiny_asset.SIZE * SCALE, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(part.vertices, axis=1), np.full(24, 0.54), atol=2e-3)
    assert np.linalg.norm(part.vertices, axis=1).max() == pytest.approx(0.54, abs=1e-6)
    counts = record["counts"]
    assert (counts["vertices"], counts["welded_vertices"], counts["triangles"]) == (24, 8, 12)
    assert record["kind"] == "mesh" and record["up"] == "y"
    for azimuth, side in ((0.0, 4), (90.0, 0), (180.0, 5), (270.0, 1)):
        assert colour_seen(tmp_path, azimuth) == (tiny_asset.COLOURS[side] / 255).tolist()
    assert read_image(tmp_path / "out" / "sheet.png").shape[2] == 3


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("more", [(), ("up=z", "front=37"), ("up=-x", "front=-120")])
def test_the_way_back_is_the_way_there(tmp_path, suffix, more):
    source = WRITERS[suffix](tmp_path / f"box.{suffix}")
    _, (part,) = taken(tmp_path, source, *more)
    placement = read_placement(tmp_path / "out")
    original = tiny_asset.box().vertices
    assert np.abs(placement.back(placement.forward(original)) - original).max() < 1e-5
    # The file holds 32-bit numbers of size 0.6; the box is 4.6 across.
    assert np.abs(placement.back(part.vertices) - original).max() < 1e-5
    stored = json.loads((tmp_path / "out" / "normalise.json").read_text())
    there, back = np.array(stored["matrix"]), np.array(stored["inverse"])
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(
        original @ there[:3, :3].T + there[:3, 3], placement.forward(original), atol=1e-12
    )


@pytest.mark.parametrize(
    ("up", "front", "top"),
    [("y", 4, 2), ("z", 3, 4), ("-y", 5, 3), ("x", 4, 0), ("-x", 4, 1), ("-z", 2, 5)],
)
def test_up_axes(tmp_path, up, front, top):
    """Which side of the box looks to the front and which up, by the documented conventions."""
    taken(tmp_path, tiny_asset.write_glb(tmp_path / "box.glb"), f"up={up}")
    assert colour_seen(tmp_path, 0.0) == (tiny_asset.COLOURS[front] / 255).tolist()
    assert colour_seen(tmp_path, 0.0, 90.0) == (tiny_asset.COLOURS[top] / 255).tolist()


def test_the_front_is_turned_to_us(tmp_path):
    taken(tmp_path, tiny_asset.write_glb(tmp_path / "box.glb"), "front=90")
    assert colour_seen(tmp_path, 0.0) == [1, 0, 0]  # the side at +x


def test_gaussians(tmp_path):
    source = tiny_asset.write_cloud(tmp_path / "cloud.ply")
    record = intake(source, tmp_path / "out", settings())
    assert record["kind"] == "gaussians" and record["up"] == "-y"
    found = read_gaussians(tmp_path / "out" / "gaussians.ply")
    before = read_gaussians(source)
    assert len(found.positions) == 4000 and np.linalg.norm(found.positions, axis=1).max() < 0.7
    placement = read_placement(tmp_path / "out")
    assert np.abs(placement.back(found.positions) - before.positions).max() < 1e-4
    np.testing.assert_allclose(found.log_scales, before.log_scales + np.log(placement.scale), 1e-5)
    # Upside down is half a turn about x.
    np.testing.assert_allclose(np.abs(found.rotations), np.tile([0, 1, 0, 0], (4000, 1)), atol=1e-6)
    assert colour_seen(tmp_path, 0.0) == [0, 0, 1]
    assert colour_seen(tmp_path, 90.0) == [1, 0, 0]


def test_another_asset_replaces_the_first(tmp_path):
    intake(tiny_asset.write_cloud(tmp_path / "cloud.ply"), tmp_path / "out", settings())
    taken(tmp_path, tiny_asset.write_glb(tmp_path / "box.glb"))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["asset.glb", "normalise.json", "sheet.png", "stage.json"]


def test_an_animated_file_gives_its_rest_pose(tmp_path):
    turned = np.array([[0, 0, 0.6, 0.8], [0, 0, -0.6, 0.8]])
    node = Node("n", parts=(tiny_asset.box(),), rotation=turned)
    write_node_animation(tmp_path / "a.glb", [node], [0.0, 1.0])
    data = (tmp_path / "a.glb").read_bytes()
    # Without its own rotation the node rests upright, whatever its first key says.
    upright = tiny_asset.patched(data, nodes=lambda nodes: [{**nodes[0], "rotation": [0, 0, 0, 1]}])
    (tmp_path / "b.glb").write_bytes(upright)
    record, (part,) = taken(tmp_path, tmp_path / "b.glb")
    assert record["own_motion_left_out"] is True
    np.testing.assert_allclose(np.ptp(part.vertices, axis=0), tiny_asset.SIZE * SCALE, atol=1e-3)


def test_parts_are_put_together_by_material(tmp_path):
    from dataclasses import replace

    from animate124.media.glb import write_static

    first, second = tiny_asset.box(), tiny_asset.box(name="twin")
    second = replace(second, vertices=second.vertices + np.float32([4, 0, 0]))
    plain = replace(tiny_asset.box(False, "plain"), uv=None, base_color=(1, 0, 0, 1))
    write_static(tmp_path / "a.glb", [first, plain, second])
    record, parts = taken(tmp_path, tmp_path / "a.glb")
    assert [part.name for part in parts] == ["box", "plain"]
    assert [len(part.vertices) for part in parts] == [48, 24]
    # Two boxes share a side, so four corners; the plain one stands within the first.
    assert record["counts"]["welded_vertices"] == 12 and record["counts"]["textures"] == 1


def test_vertices_of_one_place_are_stored_alike(tmp_path):
    from dataclasses import replace

    from animate124.media.glb import write_static

    part = tiny_asset.box()
    rng = np.random.default_rng(0)
    jitter = rng.uniform(-1e-6, 1e-6, part.vertices.shape)
    write_static(tmp_path / "a.glb", [replace(part, vertices=part.vertices + jitter)])
    record, (found,) = taken(tmp_path, tmp_path / "a.glb")
    assert record["counts"]["welded_vertices"] == 8
    assert len(np.unique(found.vertices, axis=0)) == 8


def test_the_sphere_around_points():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    ball = 3 * directions / np.linalg.norm(directions, axis=1, keepdims=True) + [1, 2, 3]
    centre, radius = enclosing_sphere(ball)
    np.testing.assert_allclose(centre, [1, 2, 3], atol=0.03)
    assert 3.0 - 1e-9 <= radius < 3.02
    with pytest.raises(ValueError, match="no extent"):
        place(np.ones((5, 3)), "y", 0.0, 0.54)


def test_the_command(tmp_path, animate124, capsys):
    source = tiny_asset.write_glb(tmp_path / "box.glb")
    status, _ = animate124(
        "intake", str(source), "--out", str(tmp_path / "out"), "--set", "preview=16"
    )
    assert status == 0 and (tmp_path / "out" / "stage.json").is_file()
