"""Truth bundles: what is written is what was rendered, and every damage is one sentence."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from toybox_samples import doll
from typer.testing import CliRunner

from animate124.cli.toybox import app
from animate124.errors import UserError
from animate124.geometry.cameras import azimuth_elevation_radius, project
from animate124.media.glb import read as read_glb
from animate124.media.images import read_image
from animate124.media.tensors import load_tensors, save_tensors
from animate124.toybox.bundle import read_bundle, write_bundle
from animate124.toybox.bundle_record import FileRecord
from animate124.toybox.render import render
from animate124.toybox.viewpoints import fit_angles, frame_plan, held_out_angles

TINY = {"views": 2, "frames": 3, "size": 16, "samples": 2, "track_count": 20}
FILES = (
    "rgba.safetensors",
    "depth.safetensors",
    "normal.safetensors",
    "flow.safetensors",
    "tracks.safetensors",
    "sheet.png",
    "static.glb",
    "animated.glb",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth") / "bundle"
    write_bundle(doll(seed=7, attributes={"colour": "yellow"}), folder, "train", **TINY)
    return folder


@pytest.fixture
def bundle(whole, tmp_path):
    """A copy to damage."""
    return shutil.copytree(whole, tmp_path / "bundle")


def test_bundle_holds_what_render_gives(whole):
    truth = read_bundle(whole)
    record = truth.record
    assert (record.seed, record.split, record.species, record.motion) == (
        7,
        "train",
        "thing",
        "moving",
    )
    assert record.attributes == {"colour": "yellow"} and record.loop and record.samples == 2
    assert truth.fit_views.tolist() == [0, 1] and truth.held_out_views.tolist() == [2, 3, 4, 5]
    assert truth.fit_frames.tolist() == [0, 2, 4] and truth.held_out_frames.tolist() == [1, 3, 5]
    np.testing.assert_allclose(truth.times, np.arange(6) / 6)
    again = render(
        doll(),
        truth.times.numpy(),
        truth.cameras,
        2,
        background=(1.0, 1.0, 1.0),
        next_frame=np.array([2, 3, 4, 5, 0, 1]),
    )
    # 8 bits of straight alpha: half a step, and half a step of alpha.
    np.testing.assert_allclose(truth.rgb(), again.rgb, atol=1.1 / 255)
    np.testing.assert_allclose(truth.rgba[..., 3:] / 255, again.alpha, atol=0.51 / 255)
    np.testing.assert_array_equal(truth.depth, again.depth)
    np.testing.assert_allclose(truth.normal, again.normal, atol=5e-4)
    np.testing.assert_allclose(truth.flow, again.flow, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(truth.flow_visible, again.flow_visible)
    for frame in range(6):
        xy, _ = project(truth.track_world[frame], truth.cameras)
        np.testing.assert_allclose(truth.track_xy[:, frame], xy, atol=1e-3)
    assert truth.track_visible.dtype == torch.bool and truth.track_visible.any()
    assert not truth.track_visible.all()


def test_sheet_and_assets_are_there(whole):
    assert read_image(whole / "sheet.png").shape[2] == 3
    assert len(read_glb(whole / "animated.glb").animations) == 1
    assert len(read_glb(whole / "static.glb").nodes) == 1
    assert sorted(p.name for p in whole.iterdir()) == sorted([*FILES, "bundle.json"])


def test_same_arguments_give_the_same_bytes(whole, tmp_path):
    write_bundle(doll(seed=7, attributes={"colour": "yellow"}), tmp_path / "b", "train", **TINY)
    for path in whole.iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_cameras_are_spread_and_held_out_ones_stand_elsewhere():
    np.testing.assert_allclose(fit_angles(1), [[0.0, 0.0]], atol=1e-12)
    for views in (1, 2, 4, 6, 8, 12, 16):
        fit, out = fit_angles(views), held_out_angles(views)
        np.testing.assert_allclose(np.diff(fit[:, 0]), 360 / views)
        assert fit[:, 1].min() >= -10 and fit[:, 1].max() <= 40
        assert views < 8 or np.ptp(fit[:, 1]) > 35
        gap = np.abs((out[:, None, 0] - fit[None, :, 0] + 180) % 360 - 180).min()
        assert gap >= min(45, 360 / views / 4) - 1
        np.testing.assert_allclose(np.diff(out[:, 0]), 90)
        assert out[:, 1].min() >= -10 and out[:, 1].max() <= 40


def test_recorded_angles_are_those_of_the_matrices(whole):
    truth = read_bundle(whole)
    azimuth, elevation, radius = azimuth_elevation_radius(truth.cameras.c2w)
    for k, camera in enumerate(truth.record.cameras):
        assert float(azimuth[k]) % 360 == pytest.approx(camera.azimuth, abs=1e-3)
        assert float(elevation[k]) == pytest.approx(camera.elevation, abs=1e-3)
    np.testing.assert_allclose(radius, 2.2, rtol=1e-6)


def test_frames_of_a_clip_that_ends():
    times, held_out, follow = frame_plan(doll(loop=False), 3)
    assert times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert held_out.tolist() == [False, True, False, True, False]
    assert follow.tolist() == [2, 3, 4, -1, -1]


def test_a_bundle_is_replaced_only_by_force_and_nothing_else_ever(bundle, tmp_path):
    before = (bundle / "bundle.json").read_bytes()
    with pytest.raises(UserError, match="--force"):
        write_bundle(doll(seed=8), bundle, "dev", **TINY)
    assert (bundle / "bundle.json").read_bytes() == before
    write_bundle(doll(seed=8), bundle, "dev", **TINY, force=True)
    assert read_bundle(bundle).record.seed == 8
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="no truth bundle"):
        write_bundle(doll(), other, "train", **TINY, force=True)
    assert (other / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "mine"]


def test_a_failure_leaves_nothing_behind(bundle, tmp_path):
    def fails(vertices, t):
        raise RuntimeError("no such shape")

    for target in (tmp_path / "new", bundle):
        with pytest.raises(RuntimeError):
            write_bundle(doll(deform=fails), target, "train", **TINY, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert read_bundle(bundle).record.seed == 7


def test_numbers_below_their_minimum_are_refused(tmp_path):
    for name in TINY:
        with pytest.raises(ValueError, match="too small"):
            write_bundle(doll(), tmp_path / "b", "train", **{**TINY, name: 0})
    assert not list(tmp_path.iterdir())


def refusal(folder) -> str:
    with pytest.raises(UserError) as caught:
        read_bundle(folder)
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message and message.endswith(".")
    return message


def test_no_bundle_at_all(tmp_path):
    assert "no truth bundle" in refusal(tmp_path)
    assert "no truth bundle" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", FILES)
def test_missing_truncated_and_damaged_files(bundle, name):
    path = bundle / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert name in (message := refusal(bundle)) and "bytes" in message
    path.write_bytes(b"")
    assert name in refusal(bundle)
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0x10
    path.write_bytes(bytes(damaged))
    assert name in (message := refusal(bundle)) and "damaged" in message
    path.unlink()
    assert f"lacks {name}" in refusal(bundle)


def change(bundle, edit):
    """Rewrite bundle.json."""
    record = json.loads((bundle / "bundle.json").read_text())
    edit(record)
    (bundle / "bundle.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda r: r.update(version=2), "format version 2"),
        (lambda r: r.update(format="something"), "format"),
        (lambda r: r.update(height=0), "height"),
        (lambda r: r.update(width=17), "rgba"),
        (lambda r: r.update(tracks=21), "track_world"),
        (lambda r: r.update(surprise=1), "surprise"),
        (lambda r: r.pop("caption"), "caption"),
        (lambda r: r["frames"].pop(), "asks for"),
        (lambda r: r["frames"].clear(), "frames"),
        (lambda r: r["cameras"].pop(), "asks for"),
        (lambda r: r["frames"][0].update(time=1.5), "frames.0.time"),
        (lambda r: r["frames"][0].update(next_frame=6), "next_frame"),
        (lambda r: r["frames"][0].update(split="spare"), "frames.0.split"),
        (lambda r: r["cameras"][1]["c2w"].pop(), "4 x 4"),
        (lambda r: r["cameras"][1]["c2w"][0].__setitem__(0, float("nan")), "cameras.1.c2w"),
        (lambda r: r["files"].pop("static.glb"), "lacks static.glb"),
    ],
)
def test_a_record_that_does_not_fit(bundle, edit, says):
    change(bundle, edit)
    assert says in refusal(bundle)


def test_a_record_that_is_no_json(bundle):
    text = (bundle / "bundle.json").read_text()
    (bundle / "bundle.json").write_text(text[: len(text) // 2])
    assert "damaged" in refusal(bundle)
    (bundle / "bundle.json").write_text("[1, 2]")
    assert "not a valid" in refusal(bundle)


def replace_tensors(bundle, kind, edit, finite=True):
    """Rewrite one tensor file and its size and checksum in bundle.json."""
    import hashlib

    path = bundle / f"{kind}.safetensors"
    tensors, metadata = load_tensors(path, f"truth-{kind}", 1)
    edit(tensors)
    save_tensors(path, tensors, kind=f"truth-{kind}", version=1, metadata=metadata)
    entry = FileRecord(
        bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    change(bundle, lambda r: r["files"].update({path.name: entry.model_dump()}))


@pytest.mark.parametrize("kind", ["depth", "normal", "flow"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(bundle, kind, value):
    replace_tensors(bundle, kind, lambda t: t[kind][0, 0, 3, 4].fill_(value))
    assert "NaN or infinity" in refusal(bundle)


def test_tensors_that_disagree_with_the_record(bundle):
    replace_tensors(bundle, "rgba", lambda t: t.update(rgba=t["rgba"][:, :, :8].contiguous()))
    assert re.search(r"rgba .*\[6, 6, 8, 16, 4\].*\[6, 6, 16, 16, 4\]", refusal(bundle))
    replace_tensors(bundle, "rgba", lambda t: t.update(rgba=torch.zeros(6, 6, 16, 16, 4)))
    assert "float32" in refusal(bundle)
    replace_tensors(bundle, "rgba", lambda t: t.update(red=t.pop("rgba")))
    assert "['red', 'rgba']" in refusal(bundle)


def test_command_line_writes_a_bundle_that_reads(tmp_path):
    arguments = [
        "render",
        "--seed",
        "19",
        "--species",
        "fox",
        "--motion",
        "walking",
        "--views",
        "1",
    ]
    arguments += ["--frames", "2", "--size", "16", "--tracks", "5", "--out", str(tmp_path / "fox")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "fox" in result.output
    record = read_bundle(tmp_path / "fox").record
    assert (record.seed, record.split, record.species, record.motion) == (
        19,
        "test",
        "fox",
        "walking",
    )
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, UserError)


@pytest.mark.parametrize(
    "options", [["--species"], [], ["--motions", "fox"], ["--mechanics"]], ids=str
)
def test_command_line_draws_sheets(tmp_path, options):
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(
        app, ["sheet", *options, "--size", "24", "--out", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0
    image = read_image(out)
    assert image.shape[0] > 48 and image.shape[1] > 96
    # Pictures are there: a fair share of the sheet is neither paper nor ink.
    assert ((image.max(axis=2) - image.min(axis=2)) > 0.2).mean() > 0.01


def test_command_line_refuses_two_sheets_and_unknown_names(tmp_path):
    out = ["--out", str(tmp_path / "x.png")]
    for options in (["--species", "--mechanics"], ["--motions", "unicorn"]):
        result = CliRunner().invoke(app, ["sheet", *options, *out])
        assert isinstance(result.exception, UserError)
    assert not list(tmp_path.iterdir())
