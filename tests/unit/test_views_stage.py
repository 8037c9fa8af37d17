"""The stage `views`: which side is seen, alpha, cameras, and what a rerun leaves behind."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json

import numpy as np
import pytest
import tiny_asset
from bad_input import animate124, assert_one_sentence  # noqa: F401

from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS
from animate124.media.images import read_image
from animate124.settings.base import parse
from animate124.settings.intake import IntakeSettings
from animate124.settings.views import ViewsSettings
from animate124.stages.intake import intake
from animate124.stages.views import views


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asset")
    tiny_asset.write_glb(folder / "box.glb")
    intake(folder / "box.glb", folder / "intake", parse(IntakeSettings, ["preview=16"]))
    tiny_asset.write_cloud(folder / "cloud.ply")
    intake(folder / "cloud.ply", folder / "cloud", parse(IntakeSettings, ["preview=16"]))
    return folder


def made(folder, out, *more):
    record = views(folder, out, parse(ViewsSettings, ["size=32", "elevation=0", *more]))
    return record, [read_image(out / f"view_{k}.png") for k in range(record["views"])]


def test_four_views_of_a_box(taken, tmp_path):
    record, seen = made(taken / "intake", tmp_path / "out", "light=none")
    for image, side in zip(seen, (4, 0, 5, 1), strict=True):
        assert image.shape == (32, 32, 4)
        np.testing.assert_allclose(image[16, 16, :3] * 255, tiny_asset.COLOURS[side], atol=1)
        assert image[16, 16, 3] == 1 and image[0, 0, 3] == 0
    # The front is seen 4 wide and 2 high, the side 1 wide; each from 2.2 less half its own depth.
    scale = 0.54 / tiny_asset.HALF_DIAGONAL
    for image, width, depth in ((seen[0], 4.0, 1.0), (seen[1], 1.0, 4.0)):
        distance = DEFAULT_RADIUS - depth * scale / 2
        pixels = width * scale / (2 * distance * np.tan(np.radians(DEFAULT_FOV_Y / 2)) / 32)
        assert image[16, :, 3].sum() == pytest.approx(pixels, abs=0.7)
    assert record["views"] == 4
    cameras = json.loads((tmp_path / "out" / "cameras.json").read_text())
    assert cameras == {
        "version": 1,
        "azimuth": [0, 90, 180, 270],
        "elevation": [0, 0, 0, 0],
        "radius": DEFAULT_RADIUS,
        "fov_y": DEFAULT_FOV_Y,
        "size": 32,
        "background": 1.0,
    }


def test_the_sphere_of_intake_fits_into_every_picture():
    reach = np.sin(np.radians(DEFAULT_FOV_Y / 2)) * DEFAULT_RADIUS  # touches the frustum's sides
    assert reach > 0.75 > 0.54


def test_studio_light_and_gaussians(taken, tmp_path):
    _, lit = made(taken / "intake", tmp_path / "lit")
    _, plain = made(taken / "intake", tmp_path / "plain", "light=none")
    assert not np.array_equal(lit[1], plain[1]) and np.array_equal(lit[1][..., 3], plain[1][..., 3])
    _, cloud = made(taken / "cloud", tmp_path / "cloud")
    for image, side in zip(cloud, (4, 0, 5, 1), strict=True):
        np.testing.assert_allclose(image[16, 16, :3] * 255, tiny_asset.COLOURS[side], atol=3)
        assert image[16, 16, 3] > 0.95 and image[0, 0, 3] == 0


def test_fewer_views_leave_none_of_the_earlier_ones(taken, tmp_path):
    made(taken / "intake", tmp_path / "out", "count=5")
    record, _ = made(taken / "intake", tmp_path / "out", "count=2", "azimuth=45")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["cameras.json", "sheet.png", "stage.json", "view_0.png", "view_1.png"]
    cameras = json.loads((tmp_path / "out" / "cameras.json").read_text())
    assert cameras["azimuth"] == [45, 225] and record["views"] == 2


def test_the_command(taken, tmp_path, animate124):
    out = str(tmp_path / "out")
    status, _ = animate124("views", str(taken / "intake"), "--out", out, "--set", "size=16")
    assert status == 0
    status, errors = animate124("views", str(taken), "--out", out)
    assert status == 2
    assert_one_sentence(errors, ["no finished results", "run the stage that makes them first"])
