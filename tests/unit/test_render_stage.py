"""The stage `render` on a ball: what the videos show, how they close, and bad input."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json
import shutil

import numpy as np
import pytest
import torch
from bad_input import animate124, assert_one_sentence, cut  # noqa: F401
from tiny_scene import COLOUR, ball, contents, leave

from animate124.geometry.cameras import azimuth_elevation_radius
from animate124.media.images import read_image
from animate124.media.video import read_video
from animate124.settings.base import parse
from animate124.settings.render import RenderSettings
from animate124.stages.finished_field import open_field
from animate124.stages.render_video import OUTPUTS, orbit_path, passes, render

TINY = ("size=24", "frames=6", "turntable_frames=4", "sheet_columns=3")


def settings(*more):
    return parse(RenderSettings, [*TINY, *more])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("render")
    leave(folder / "refine", ball(4, True, moving=True))
    return folder, render(folder / "refine", folder / "out", settings())


def test_everything_is_written_and_nothing_else(rendered):
    folder, record = rendered
    assert {p.name for p in (folder / "out").iterdir()} == set(OUTPUTS)
    assert not (folder / ".out.work").exists()
    lengths = {"video": 6 + 12, "turntable": 4, "front": 6, "side": 6, "back": 6}
    for name, length in lengths.items():
        frames, fps = read_video(folder / "out" / f"{name}.mp4")
        assert frames.shape == (length, 24, 24, 3) and fps == 24, name
    assert json.loads((folder / "out" / "stage.json").read_text()) == record
    # 3 clips, an orbit of two passes, the turntable, a row of the sheet, the poster.
    assert record["frames"] == 18 + 12 + 4 + 3 + 1 and record["loop"] is True
    sheet = read_image(folder / "out" / "sheet.png")
    assert sheet.shape[0] > 4 * 24 and sheet.shape[1] > 3 * 24


def test_colours_stay_as_the_field_says(rendered):
    """No stretching: what is behind is white, what is opaque has the field's colour."""
    poster = read_image(rendered[0] / "out" / "poster.png")
    np.testing.assert_allclose(poster[12, 12], COLOUR, atol=1.5 / 255)
    np.testing.assert_allclose(poster[0, 0], 1.0, atol=1.5 / 255)


def test_the_video_begins_as_the_front_clip(rendered):
    video, _ = read_video(rendered[0] / "out" / "video.mp4")
    front, _ = read_video(rendered[0] / "out" / "front.mp4")
    same = np.abs(video[:6] - front).mean()  # not 0: they are encoded in other company
    assert 4 * same < np.abs(video[:6] - np.roll(front, 3, 0)).mean(), same


def test_a_loop_closes_like_any_other_step(rendered):
    video, _ = read_video(rendered[0] / "out" / "video.mp4")
    steps = np.abs(np.diff(video, axis=0)).mean((1, 2, 3))
    assert np.abs(video[0] - video[-1]).mean() <= 1.2 * steps.max()
    assert steps.min() > 0


def test_the_same_field_gives_the_same_bytes(rendered, tmp_path):
    folder, _ = rendered
    render(folder / "refine", tmp_path / "again", settings())
    assert contents(tmp_path / "again") == contents(folder / "out")


def test_background_and_hold_are_settings(rendered, tmp_path):
    leave(tmp_path / "static", ball(), "static")
    record = render(tmp_path / "static", tmp_path / "out", settings("background=0", "hold=0"))
    video, _ = read_video(tmp_path / "out" / "video.mp4")
    assert len(video) == 12 and video[:, 0, 0].max() < 3 / 255
    turntable, _ = read_video(tmp_path / "out" / "turntable.mp4")
    # A ball of one colour that stands still looks the same from everywhere.
    assert np.abs(np.diff(turntable, axis=0)).mean() < 2 / 255
    assert record["frames"] == 18 + 12 + 4 + 3 + 1


def test_the_reference_view_is_where_the_record_says(tmp_path):
    leave(tmp_path / "static", ball(), "static", elevation=20.0)
    assert open_field(tmp_path / "static").elevation == 20.0
    poses = orbit_path(8, 20.0, 10.0)
    azimuth, elevation, _ = azimuth_elevation_radius(poses)
    # s − sin(2πs)/2π at s = 1/4 is 1/4 − 1/2π: 32.7°, and halfway is the back, 10° higher.
    expected = torch.tensor([0.0, 32.704, 180.0])
    torch.testing.assert_close(azimuth[[0, 2, 4]].abs(), expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(elevation[[0, 4]], torch.tensor([20.0, 30.0]), atol=1e-3, rtol=0)
    assert poses[2, 0, 3] > 0  # towards +x, as azimuths do


def test_passes_run_back_where_the_motion_does_not_loop():
    times = torch.tensor([0.0, 0.5, 1.0])
    assert passes(times, 0, 2, False).tolist() == [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    assert passes(times, 1, 1, False).tolist() == [1.0, 0.5, 0.0]
    assert passes(times, 1, 2, True).tolist() == [0.0, 0.5, 1.0, 0.0, 0.5, 1.0]
    assert len(passes(times, 0, 0, True)) == 0


def test_times_of_a_pass(tmp_path):
    for slices, loop, expected in (
        (1, False, [0, 0, 0, 0]),
        (3, True, [0, 0.25, 0.5, 0.75]),
        (3, False, [0, 1 / 3, 2 / 3, 1]),
    ):
        scene = open_field(leave(tmp_path / f"{slices}{loop}", ball(slices, loop)))
        assert scene.times(4).tolist() == pytest.approx(expected)


def empty(folder):
    for path in folder.iterdir():
        path.unlink()


def damaged_record(folder):
    (folder / "stage.json").write_text('{"stage": ')


def other_tensors(folder):
    from animate124.media.tensors import save_tensors

    save_tensors(folder / "field.safetensors", {"a": torch.zeros(1)}, kind="token", version=1)


BAD = {
    "no folder": (shutil.rmtree, (), ("stage.json", "no finished results")),
    "no record": (lambda f: (f / "stage.json").unlink(), (), ("stage.json is missing",)),
    "a damaged record": (damaged_record, (), ("stage.json", "run the stage again")),
    "an empty folder": (empty, (), ("no finished results",)),
    "no field": (
        lambda f: (f / "field.safetensors").unlink(),
        (),
        ("no scene", "static, dynamic and refine"),
    ),
    "a field cut short": (lambda f: cut(f / "field.safetensors"), (), ("damaged or cut short",)),
    "another kind of file": (other_tensors, (), ("holds token", "radiance-field")),
    "an unknown setting": (None, ("--set", "fame=2"), ("'fame'", "did you mean 'frames'")),
    "no pictures": (None, ("--set", "frames=0"), ("frames", "≥ 2")),
    "a size that is none": (None, ("--set", "size=big"), ("size", "whole number")),
    "settings that are no JSON": (None, ("--settings-json", "{"), ("--settings-json", "JSON")),
    "no such device": (None, ("--device", "cuda:77"), ("cuda:77", "doctor")),
    "a file for the results": (None, ("--out", "file"), ("is a file", "folder")),
    "another's folder": (None, ("--out", "mine"), ("holds other files", "notes.txt")),
    "below a file": (None, ("--out", "file/out"), ("file",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case, tmp_path, monkeypatch, animate124):
    change, more, words = BAD[case]
    folder = leave(tmp_path / "refine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    if change:
        change(folder)
    chosen = [part for text in TINY for part in ("--set", text)]
    out = [] if "--out" in more else ["--out", "out"]
    status, errors = animate124("render", "refine", *chosen, *out, *more)
    assert status == 2
    assert_one_sentence(errors, words)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.work").exists()
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]
