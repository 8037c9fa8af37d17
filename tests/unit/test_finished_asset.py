"""Render and evaluate on what the asset route leaves: an animated mesh, a cloud of Gaussians."""

import json

import asset_scene
import numpy as np
import pytest
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import read_image
from animate124.settings.base import parse
from animate124.settings.evaluate import EvaluateSettings
from animate124.settings.render import RenderSettings
from animate124.stages.evaluate import evaluate
from animate124.stages.finished import open_scene
from animate124.stages.finished_cloud import FinishedCloud
from animate124.stages.finished_mesh import FinishedMesh
from animate124.stages.models import Models
from animate124.stages.placement import read_placement
from animate124.stages.render_video import OUTPUTS, render
from animate124.toybox.characters import sample_clip
from animate124.toybox.render import render as render_toybox

SIZE = 32


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return asset_scene.make(tmp_path_factory.mktemp("asset"), SIZE)


@pytest.fixture(scope="module", params=["mesh", "polish"])
def finished(request, scene):
    return open_scene(scene / request.param)


def middle(alpha):
    """Row of the silhouette's centre, pixels."""
    return float((alpha.sum(1) * (torch.arange(len(alpha)) + 0.5)).sum() / alpha.sum())


def test_what_was_opened(finished, scene):
    kinds = {"mesh": FinishedMesh, "polish": FinishedCloud}
    assert type(finished) in kinds.values()
    assert (finished.moments, finished.loop, finished.elevation) == (4, True, 15.0)
    assert finished.times(4).tolist() == [0, 0.25, 0.5, 0.75]
    assert finished.touching(torch.tensor([0.0, 0.5])) == 0.0


def test_it_shows_the_views_it_was_made_from(finished, scene):
    shown = finished.images(orbit(0.0, 15.0)[None], torch.zeros(1), SIZE, 3)
    view = torch.from_numpy(read_image(scene / "views" / "view_0.png"))
    white = view[..., :3] * view[..., 3:] + 1 - view[..., 3:]
    error = (shown["rgb"][0] - white).square().mean()
    # The mesh is the same mesh under the same light; 800 Gaussians without light come near it.
    assert error < (1e-5 if isinstance(finished, FinishedMesh) else 0.03)
    overlap = torch.minimum(shown["alpha"][0], view[..., 3]).sum() / view[..., 3].sum()
    assert overlap > 0.9


def test_it_hops(finished):
    """From the side a shift upwards is a shift of the picture, by focal length over distance."""
    pose = orbit(90.0, 0.0)
    shown = finished.images(pose.expand(3, 4, 4), torch.tensor([0.0, 0.5, 0.25]), 64, 2)
    rows = [middle(alpha) for alpha in shown["alpha"]]
    pixels = asset_scene.HOP * 32 / np.tan(np.radians(DEFAULT_FOV_Y / 2)) / float(pose[0, 3])
    assert rows[0] - rows[1] == pytest.approx(pixels, rel=0.15)
    assert rows[0] - rows[2] == pytest.approx(pixels / 2, rel=0.15)


def test_the_background_is_what_is_asked_for(finished):
    shown = finished.images(orbit(0.0, 0.0)[None], torch.zeros(1), 16, 1, background=0.25)
    assert shown["rgb"][0, 0, 0].tolist() == pytest.approx([0.25] * 3, abs=1e-6)


def test_a_mesh_that_leaves_its_cube_is_noticed(scene):
    mesh = open_scene(scene / "mesh")
    grown = mesh.model.nodes[0]
    far = grown.__class__(**(vars(grown) | {"translation": (0.9, 0, 0)}))
    moved = mesh.__class__(
        **(vars(mesh) | {"model": mesh.model.__class__((far,), mesh.model.animations)})
    )
    assert 0.1 < moved.touching(torch.zeros(1)) < 1.0


def test_render(scene, tmp_path):
    settings = ["size=24", "frames=4", "turntable_frames=4", "sheet_columns=2"]
    record = render(scene / "mesh", tmp_path / "out", parse(RenderSettings, settings))
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(OUTPUTS)
    assert record["elevation"] == 15.0 and record["loop"]


@pytest.fixture(scope="module")
def metrics(scene, tmp_path_factory):
    settings = parse(EvaluateSettings, [f"size={SIZE}", "supersample=1", "frames=4"])
    return evaluate(
        scene,
        tmp_path_factory.mktemp("scored"),
        settings,
        Models("nano"),
        "a robot is waving",
        truth=scene.parent / "truth",
    )


def test_scores_of_a_hop(metrics):
    json.dumps(metrics, allow_nan=False)
    assert metrics["field"] == "mesh" and list(metrics["ablation"]) == ["polish", "mesh"]
    scores = metrics["scores"]["result"]
    assert scores["reference_psnr"] > 22 and scores["reference_iou"] > 0.95
    # The truth stands where intake has put the asset: other views match as well.
    assert scores["novel_psnr"] > 22 and scores["novel_iou"] > 0.9
    assert scores["novel_psnr"] > metrics["scores"]["copy_picture"]["novel_psnr"] + 5
    assert scores["amplitude"] > 3 * metrics["scores"]["frozen"]["amplitude"]
    assert scores["species_top1"] == 1.0
    assert metrics["truth"]["caption"] and set(metrics["stages"]) >= {"intake", "views", "mesh"}


def test_the_truth_is_placed_as_the_asset_was(scene, metrics):
    placement = read_placement(scene / "intake")
    assert metrics["truth"]["scale"] == pytest.approx(placement.scale, abs=1e-4)
    shift = placement.forward(np.zeros(3))
    assert metrics["truth"]["shift"] == pytest.approx(shift.tolist(), abs=1e-4)
    # By hand: the toybox seen by a camera that was moved back shows what the view shows.
    clip = sample_clip(asset_scene.SEED, asset_scene.SPECIES, asset_scene.MOTION)
    pose = orbit(0.0, 15.0)[None].clone()
    pose[0, :3, 3] = torch.from_numpy(placement.back(pose[0, :3, 3].numpy()))
    cameras = Cameras(pose, DEFAULT_FOV_Y, SIZE, SIZE)
    truth = render_toybox(clip, np.zeros(1), cameras, 3, (1.0, 1.0, 1.0), ("rgb", "alpha"))
    view = read_image(scene / "views" / "view_0.png")
    assert np.abs(truth.alpha[0, 0, ..., 0] - view[..., 3]).mean() < 0.02
