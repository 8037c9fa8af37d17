"""Datasets of multi-view video: built from assets and the toybox, gone on with, read again."""

import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner
from zoo_models import models, settings  # noqa: F401

from animate124.cli import app
from animate124.errors import UserError
from animate124.geometry.cameras import project
from animate124.media import files
from animate124.media.glb import MeshPart, Node, write_morph_animation, write_node_animation
from animate124.media.images import read_image
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.settings.mvvideo import MvVideoSettings
from animate124.stages.mvvideo_sources import Glb, Toybox, glb_sources
from animate124.zoo import mvvideo, train
from animate124.zoo.multiview_video import make_task
from animate124.zoo.mvvideo_data import MultiViewClips

SETTINGS = MvVideoSettings(views=4, frames=8, size=16, supersample=1)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)


def part():
    return MeshPart("tetrahedron", CORNERS, FACES, base_color=(0.9, 0.2, 0.2, 1.0))


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    """A node that runs off and does not come back, one that stretches and does, and a still one."""
    folder = tmp_path_factory.mktemp("assets")
    times = np.linspace(0.0, 1.0, 5)
    away = np.stack([4.0 * times, 0 * times, 0 * times], axis=1)
    node = Node("root", None, (part(),), translation=away)
    write_node_animation(folder / "runner.glb", [node], times, name="RunAway")
    shift = np.array([0.0, 0.5, 0.0])
    frames = np.stack([CORNERS + s * shift * (CORNERS[:, 1:2] > 0) for s in (0, 1, 2, 1, 0)])
    (folder / "more").mkdir()
    write_morph_animation(folder / "more/toy bear.glb", part(), frames, times, loop=False)
    still = Node("root", None, (part(),), translation=0 * away)
    write_node_animation(folder / "still.glb", [still], times)
    (folder / "broken.glb").write_bytes(b"no glb")
    return folder


@pytest.fixture(scope="module")
def dataset(assets, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "data"
    captions = out.parent / "captions.json"
    captions.write_text(json.dumps({"toy bear": "a bear is stretching"}))
    sources = [*glb_sources(assets, captions), Toybox(1)]
    return out, dict(mvvideo.build_all(sources, out, SETTINGS)), captions


def test_what_is_built(dataset, assets):
    out, found, _ = dataset
    assert found["runner_00"] is True and found["toy-bear_00"] is True and found["toybox_1"] is True
    assert "does not move" in str(found["still_00"]) and "broken" in str(found["broken_00"])
    entries = {entry.name: entry for entry in mvvideo.read_manifest(out)}
    assert sorted(entries) == ["runner_00", "toy-bear_00", "toybox_1"]
    assert entries["runner_00"].caption == "runner run away" and not entries["runner_00"].loop
    bear = entries["toy-bear_00"]
    assert bear.caption == "a bear is stretching" and bear.loop
    assert np.allclose(np.diff(bear.azimuth) % 360.0, 90.0) and len(set(bear.elevation)) == 1
    assert 0 <= bear.elevation[0] <= 30
    assert len(list((out / "runner_00").iterdir())) == 4 * 8 + 1
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_the_runner_crosses_the_picture_and_stays_in_it(dataset):
    out = dataset[0]
    cameras, azimuth, _ = mvvideo.clip_cameras("runner_00", SETTINGS)
    view = int(np.abs(np.cos(np.radians(azimuth))).argmax())  # it runs along x
    centres = []
    for frame in range(8):
        alpha = read_image(out / "runner_00" / mvvideo.frame_file(view, frame))[..., 3]
        assert max(alpha[[0, -1]].max(), alpha[:, [0, -1]].max()) == 0
        columns = np.arange(16) + 0.5
        centres.append(float((alpha.sum(0) * columns).sum() / alpha.sum()))
    # Its box is 5 x 1 x 1 and its sphere has the radius 0.62: it moves on by 4 of its units.
    reach = np.linalg.norm([2.5, 0.5, 0.5])
    ends = np.array([[-2.0, 0, 0], [2.0, 0, 0]]) * 0.62 / reach
    expected = project(torch.from_numpy(ends).float(), cameras[view])[0][0, :, 0]
    steps = np.diff(centres)
    assert steps.sum() == pytest.approx(float(expected[1] - expected[0]), abs=1.0)
    assert (np.sign(steps) == np.sign(steps[0])).all()


def test_it_goes_on_where_it_stopped(dataset, assets, tmp_path):
    out = tmp_path / "data"
    shutil.copytree(dataset[0], out)
    sources = [*glb_sources(assets, dataset[2]), Toybox(1)]
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    (out / "toybox_1" / "clip.json").unlink()  # as if killed in the middle of it
    alive = files.temporary(out)  # a clip that is whole but for its name, and one of a dead process
    shutil.copytree(out / "runner_00", alive)
    shutil.copytree(alive, out / ".tmp-runner_00")
    again = dict(mvvideo.build_all(sources, out, SETTINGS))
    assert [path for path in out.iterdir() if path.name.startswith(".")] == [alive]
    assert (out / mvvideo.MANIFEST).read_bytes() == (dataset[0] / mvvideo.MANIFEST).read_bytes()
    shutil.rmtree(alive)
    assert again["toybox_1"] is True and again["runner_00"] is False
    for path in before:
        kept = path.parent.name != "toybox_1"
        assert (path.stat().st_mtime_ns == before[path]) == kept
        assert path.read_bytes() == (dataset[0] / path.relative_to(out)).read_bytes()
    # Another sentence or other settings make it anew.
    assert mvvideo.build(Glb(assets / "runner.glb", 0, {"runner": "it runs"}), out, SETTINGS)
    other = SETTINGS.model_copy(update={"fps": 4.0})
    assert mvvideo.build(Toybox(1), out, other)


def test_reading(dataset):
    out = dataset[0]
    clips = MultiViewClips(out, views=2, frames=4, size=8)
    assert len(clips.entries) == 3
    rng = np.random.default_rng(0)
    for _ in range(6):
        shot = clips.draw(rng)
        assert shot.rgba.shape == (2, 4, 4, 8, 8)
        assert abs(float(shot.azimuth[1] - shot.azimuth[0])) == pytest.approx(180.0, abs=1e-3)
        assert bool((shot.rgba[:, :, :3] <= shot.rgba[:, :, 3:] + 1e-5).all())
    runner = [entry for entry in clips.entries if entry.name == "runner_00"]
    clips.entries[:] = runner
    shot = clips.draw(rng)
    index = [runner[0].azimuth.index(pytest.approx(float(a), abs=1e-3)) for a in shot.azimuth]
    for row, view in enumerate(index):
        for column, frame in enumerate((0, 2, 5, 7)):  # 7/3 apart, rounded; no loop: to the end
            image = read_image(out / "runner_00" / mvvideo.frame_file(view, frame))
            assert float(shot.rgba[row, column, 3].mean()) == pytest.approx(
                float(image[..., 3].mean()), abs=1e-3
            )
    with pytest.raises(UserError, match=r"No clip in .* has 3 views"):
        MultiViewClips(out, 3, 4, 8)
    with pytest.raises(UserError, match="build a dataset with"):
        MultiViewClips(out.parent, 2, 4, 8)


def test_training_on_it(dataset, models):  # noqa: F811
    out = dataset[0]
    wanted = settings("multi-view-video", batch=1, data=str(out))
    task = make_task(wanted, "cpu", models)
    videos, texts, cameras = task.batch(0)
    assert videos.shape == (1, 4, 8, 3, 64, 64) and cameras.shape == (1, 4, 16)
    shown = {task.batch(step)[1][0] for step in range(40)}
    known = {entry.caption for entry in mvvideo.read_manifest(out)}
    assert shown == {*known, ""}
    entries = {entry.caption: entry for entry in mvvideo.read_manifest(out)}
    entry = entries.get(texts[0])
    if entry is not None:
        angles = torch.tensor(entry.azimuth), torch.tensor(entry.elevation)
        assert torch.allclose(cameras[0], camera_vectors(*angles), atol=1e-5)
    assert float(task.loss(0)["denoise"].detach()) > 0
    with pytest.raises(UserError, match="trained on the toybox alone"):
        train.train("depth", settings("depth", data=str(out)), models, out.parent / "w", "cpu")


def test_command(assets, tmp_path):
    out = tmp_path / "data"
    few = ["--set", "views=2", "--set", "frames=2", "--set", "size=8", "--set", "supersample=1"]
    command = ["mvvideo", "build", str(assets), "--toybox", "1", "--out", str(out), *few]
    listed = CliRunner().invoke(app, [*command, "--names"])
    assert listed.output.split() == [
        "broken_00", "toy-bear_00", "runner_00", "still_00", "toybox_0",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [*command, "--only", "toybox_0"])
    assert done.exit_code == 0 and "1 clips made, 0 there already, 0 left out" in done.output
    done = CliRunner().invoke(app, command)
    assert "2 clips made, 1 there already, 2 left out" in done.output
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 3
    failed = CliRunner().invoke(app, ["mvvideo", "build", "--out", str(out)])
    assert isinstance(failed.exception, UserError)
