"""The fit stage end to end at tiny size: outputs, scores, sameness over reruns and kills."""

import json
import os
import random
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import kill  # noqa: E402

from animate124.fields.store import load_field  # noqa: E402
from animate124.media.images import read_image  # noqa: E402
from animate124.media.video import read_video  # noqa: E402
from animate124.render.volume import render_images  # noqa: E402
from animate124.settings.base import parse  # noqa: E402
from animate124.settings.fit import FitSettings  # noqa: E402
from animate124.stages.fit import OUTPUTS, SCORES, fit, work_folder  # noqa: E402
from animate124.stages.fit_task import FitTask  # noqa: E402
from animate124.toybox.bundle import read_bundle, write_bundle  # noqa: E402
from animate124.toybox.characters import sample_clip  # noqa: E402
from animate124.training import LOG_NAME  # noqa: E402

EVERY_STEP = "train.checkpoint_seconds=0"
BLEND = "interpolation=blend"  # finding the motion takes longer than all else at this size


def settings(*more):
    return parse(FitSettings, [*kill.TINY, EVERY_STEP, *more])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth") / "car"
    write_bundle(sample_clip(18), folder, "dev", 4, 4, 20, 2, 16)
    return folder


@pytest.fixture(scope="module")
def fitted(bundle, tmp_path_factory):
    """The output folder and the metrics of an undisturbed fit."""
    out = tmp_path_factory.mktemp("fit") / "out"
    return out, fit(bundle, out, settings())


def test_everything_is_written_and_nothing_else(fitted):
    out, _ = fitted
    assert {p.name for p in out.iterdir()} == {*OUTPUTS, SCORES}
    for name in ("video.mp4", "turntable.mp4"):
        frames, fps = read_video(out / name)
        assert frames.shape == (4, 16, 16, 3) and fps == 24
        assert frames.min() < 0.8 and frames.max() > 0.95  # a subject on white
    sheet = read_image(out / "sheet.png")
    assert sheet.shape[0] > 8 * 20 and sheet.shape[1] > 4 * 20  # truth and field of 4 views
    assert parse(FitSettings, out / "settings.json") == settings()
    work = work_folder(out)
    assert work == out.parent / ".out.work"
    assert sorted(p.name for p in work.iterdir()) == [LOG_NAME, "previews"]
    assert sorted(p.name for p in (work / "previews").iterdir()) == [
        "000030.png",
        "000060.png",
        "000080.png",
    ]


def assert_better(metrics):
    """Better than nothing, than the mean of the fit views, and than the fog that a fit starts from
    (which has psnr_fg 13.6, but psnr 10 and iou 0.24)."""
    for name in ("white", "mean_fit_views", "static_nearest_view"):
        row = metrics["baselines"][name]
        for key in ("psnr", "psnr_fg", "psnr_union", "iou"):
            assert metrics[key] > row[key] + (0.05 if key == "iou" else 1.5), (name, key)


def test_metrics_have_the_documented_keys_and_beat_the_trivial(fitted):
    out, returned = fitted
    metrics = json.loads((out / SCORES).read_text())
    assert metrics == returned
    assert {
        *("psnr", "psnr_fg", "psnr_fg_fit_times", "ssim_fg", "iou", "depth_mae"),
        *("flicker", "amplitude_ratio", "motion_correlation"),
        *("caption", "bundle", "steps", "loss", "settings_digest", "version"),
        *("seconds", "seconds_outputs", "peak_memory_mib", "baselines"),
    } <= metrics.keys()
    rows = metrics["baselines"]
    assert {"oracle", "static_own_view", "nearest_view_frame", "shuffled_time"} < set(rows)
    assert_better(metrics)
    assert rows["oracle"]["psnr_fg"] == 100
    assert metrics["steps"] == kill.STEPS and metrics["bundle"] == "car"
    assert 0 < metrics["seconds"] < 300 and metrics["peak_memory_mib"] > 100
    log = [json.loads(line) for line in (work_folder(out) / LOG_NAME).read_text().splitlines()]
    assert metrics["loss"] == pytest.approx(log[-1]["loss"], rel=1e-6)  # summed in float64
    assert metrics["loss"] < log[0]["loss"] / 3


def test_scores_are_those_of_the_stored_field(bundle, fitted):
    """Whoever loads field.safetensors sees what was scored."""
    out, metrics = fitted
    truth = read_bundle(bundle)
    field, occupancy = load_field(out / "field.safetensors")
    errors, alphas = [], []
    for f in truth.held_out_frames.tolist():
        times = truth.times[f].float().expand(len(truth.held_out_views))
        images = render_images(
            field,
            occupancy,
            times,
            truth.cameras[truth.held_out_views],
            settings().field.step,
            supersample=2,
        )
        expected = truth.rgb()[truth.held_out_views, f]
        errors.append((images["rgb"].clamp(0, 1) - expected).square().mean((1, 2, 3)))
        alphas.append(truth.rgba[truth.held_out_views, f, ..., 3])
    psnr = (-10 * torch.stack(errors).log10()).mean().item()
    assert psnr == pytest.approx(metrics["psnr"], abs=1e-3)


def test_only_fit_views_and_times_are_seen(bundle):
    truth = read_bundle(bundle)
    task = FitTask(truth, settings(), "cpu")
    assert torch.equal(task.cameras.c2w, truth.cameras.c2w[truth.fit_views])
    assert task.times.tolist() == pytest.approx([0, 0.25, 0.5, 0.75])  # a loop of four frames
    assert len(task.field.grid.slices) == 4 and task.field.grid.loop
    alpha = truth.rgba[truth.fit_views][:, truth.fit_frames].float() / 255
    shape = task.pixels.shape
    assert shape == (4, 4, 400, 4)
    premultiplied = torch.cat([alpha[..., :3] * alpha[..., 3:], alpha[..., 3:]], -1)
    torch.testing.assert_close(task.pixels, premultiplied.reshape(shape))


def test_rerun_in_the_same_folder_gives_the_same_bytes(bundle, fitted):
    out, _ = fitted
    before = kill.contents(out)
    fit(bundle, out, settings())
    assert kill.contents(out) == before


def test_static_fit_is_of_one_moment(bundle, tmp_path):
    metrics = fit(bundle, tmp_path / "out", settings("frame=2"))
    truth = read_bundle(bundle)
    task = FitTask(truth, settings("frame=2"), "cpu")
    assert task.frames.tolist() == [truth.fit_frames[2]] and task.times.tolist() == [0]
    assert_better(metrics)
    # There is but one moment: frozen and moving predictions are the same.
    rows = metrics["baselines"]
    assert rows["static_nearest_view"]["psnr_fg"] == rows["nearest_view"]["psnr_fg"]
    assert rows["static_own_view"]["psnr_fg"] == rows["oracle"]["psnr_fg"] == 100
    field, _ = load_field(tmp_path / "out" / "field.safetensors")
    assert len(field.grid.slices) == 1


def test_killed_three_times_ends_with_the_same_bytes(bundle, tmp_path):
    """benchmarks/kill.py does the same twenty times, and with the motion between slices."""
    rng = random.Random(int.from_bytes(os.urandom(4), "big"))
    moments = [
        kill.Moment("step", rng.randrange(0, 40), rng.random() * 0.02),
        kill.Moment("step", rng.randrange(40, 70), rng.random() * 0.02),
        kill.Moment("file", rng.randrange(1, 5), rng.random() * 0.02),
    ]
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    kills = kill.run_killed(kill.fit_command(bundle, out, EVERY_STEP, BLEND), out, moments)
    assert len(kills) == 3, (moments, kills)
    for folder in (out, undisturbed):
        fit(bundle, folder, settings(BLEND))
    assert kill.contents(out) == kill.contents(undisturbed), (moments, kills)
