"""The baselines are what they claim to be, and a frozen result never wins."""

import json
import math

import pytest
import torch

from animate124.metrics import baselines, image
from animate124.metrics.baselines import Split, Views

SPLIT = Split(fit_views=(0, 2), held_out_views=(1, 3), fit_frames=(0, 2, 4), held_out_frames=(1, 3))


def camera(azimuth, elevation=0.0, radius=2.2):
    """Camera-to-world whose centre alone matters here."""
    a, e = math.radians(azimuth), math.radians(elevation)
    c2w = torch.eye(4)
    c2w[:3, 3] = radius * torch.tensor(
        [math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]
    )
    return c2w


CAMERAS = torch.stack([camera(0), camera(30), camera(100), camera(80, radius=9.0)])


def scene(frames=5, size=16):
    """A square that walks to the right over white; colour tells the view, texture is random."""
    generator = torch.Generator().manual_seed(0)
    texture = torch.rand(4, 6, 6, 3, generator=generator) * 0.5
    rgb, alpha = torch.ones(4, frames, size, size, 3), torch.zeros(4, frames, size, size)
    for view in range(4):
        for frame in range(frames):
            at = 1 + 2 * frame
            rgb[view, frame, 4:10, at : at + 6] = texture[view]
            alpha[view, frame, 4:10, at : at + 6] = 1.0
    normals = torch.zeros(*alpha.shape, 3)
    normals[..., 2] = alpha
    return Views(rgb=rgb, alpha=alpha, depth=2.0 * alpha, normals=normals)


def code(views):
    """[V][F] of 10·view + frame, read back from the depth that `coded` has written."""
    return views.depth.mean(dim=(-2, -1)).round().int().tolist()


@pytest.fixture
def coded():
    truth = scene()
    marks = 10.0 * torch.arange(4)[:, None] + torch.arange(5.0)
    return Views(
        rgb=truth.rgb, alpha=truth.alpha, depth=marks[..., None, None].expand(4, 5, 16, 16)
    )


def test_nearest_fit_view_is_by_angle_not_by_distance():
    assert baselines.nearest_fit_views(CAMERAS, SPLIT) == [0, 2]
    tie = torch.stack([camera(-30), camera(0), camera(30), camera(180)])
    assert baselines.nearest_fit_views(tie, SPLIT)[0] == 0


def test_every_baseline_shows_the_frames_it_names(coded):
    made = baselines.baselines(coded, SPLIT, CAMERAS)
    assert code(made["oracle"]) == [[10, 11, 12, 13, 14], [30, 31, 32, 33, 34]]
    assert code(made["static_own_view"]) == [[10] * 5, [30] * 5]
    assert code(made["static_nearest_view"]) == [[0] * 5, [20] * 5]
    assert code(made["nearest_view"]) == [[0, 1, 2, 3, 4], [20, 21, 22, 23, 24]]
    assert code(made["nearest_view_frame"]) == [[0, 0, 2, 2, 4], [20, 20, 22, 22, 24]]
    assert code(made["mean_fit_views"]) == [[10, 11, 12, 13, 14]] * 2
    assert made["white"].rgb.min() == 1.0
    assert made["white"].alpha.max() == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_time_leaves_no_frame_in_its_place(coded, seed):
    rows = code(baselines.baselines(coded, SPLIT, CAMERAS, seed)["shuffled_time"])
    assert sorted(rows[0]) == [10, 11, 12, 13, 14]
    assert all(mark != 10 + frame for frame, mark in enumerate(rows[0]))
    assert [mark + 20 for mark in rows[0]] == rows[1]


def test_oracle_is_the_ceiling_and_the_table_is_json():
    truth = scene()
    made = baselines.table(truth.select(SPLIT.held_out_views), truth, SPLIT, CAMERAS)
    assert next(iter(made)) == "result"
    assert made["result"] == made["oracle"]
    best = made["oracle"]
    assert best["psnr"] == best["psnr_fg"] == best["psnr_union"] == image.PSNR_CAP
    assert best["ssim"] == best["ssim_fg"] == pytest.approx(1.0)
    assert (best["iou"], best["alpha_error"], best["depth_mae"]) == (1.0, 0.0, 0.0)
    assert best["normal_mean_deg"] == pytest.approx(0.0)
    assert best["flicker"] == best["flicker_truth"] < 1.0
    assert best["jitter_ratio"] == best["amplitude_ratio"] == 1.0
    assert best["motion_correlation"] == pytest.approx(1.0)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert all(row.keys() == best.keys() for row in made.values())


def test_a_frozen_result_never_wins():
    truth = scene()
    frozen = truth.select(SPLIT.held_out_views, [0] * 5)
    made = baselines.table(frozen, truth, SPLIT, CAMERAS)
    row = made["result"]
    assert row == made["static_own_view"]
    assert row["flicker"] == 1.0
    assert row["jitter_ratio"] == 0.0
    assert row["amplitude_ratio"] == pytest.approx(0.0, abs=1e-9)
    assert row["motion_correlation"] == 0.0
    assert row["psnr_moving"] < made["nearest_view"]["psnr_moving"] < image.PSNR_CAP


def test_shuffled_time_has_the_amplitude_and_not_the_motion():
    made = baselines.table(scene().select(SPLIT.held_out_views), scene(), SPLIT, CAMERAS)
    row = made["shuffled_time"]
    assert row["amplitude_ratio"] == pytest.approx(1.0)
    assert row["motion_correlation"] < 0.2


def test_scores_are_taken_at_the_held_out_frames_only():
    truth = scene().select(SPLIT.held_out_views)
    rgb = truth.rgb.clone()
    rgb[:, [0, 2, 4]] = 0.0  # ruined where it was fitted
    rgb[:, [1, 3]] -= 0.1
    row = baselines.score(Views(rgb=rgb, alpha=truth.alpha), truth, SPLIT.held_out_frames)
    assert row["psnr"] == pytest.approx(20.0, abs=1e-4)
    assert row["psnr_fg"] == pytest.approx(20.0, abs=1e-4)
    assert "depth_mae" not in row


def test_floaters_cost_in_the_union_only():
    truth = scene().select(SPLIT.held_out_views)
    rgb, alpha = truth.rgb.clone(), truth.alpha.clone()
    rgb[:, :, 15], alpha[:, :, 15] = 0.0, 1.0  # a black bar of 16 pixels under the 36 of the square
    row = baselines.score(Views(rgb=rgb, alpha=alpha), truth, SPLIT.held_out_frames)
    assert row["psnr_fg"] == image.PSNR_CAP
    assert row["psnr_union"] == pytest.approx(-10 * math.log10(16 / 52))
    assert row["iou"] == pytest.approx(36 / 52)


def test_what_has_no_meaning_is_null():
    still = torch.full((1, 2, 8, 8, 3), 0.5)
    views = Views(rgb=still, alpha=torch.zeros(1, 2, 8, 8), depth=torch.zeros(1, 2, 8, 8))
    row = baselines.score(views, views, [1])
    nulls = {key for key, value in row.items() if value is None}
    assert nulls == {
        "psnr_fg",
        "psnr_union",
        "psnr_moving",
        "ssim",
        "ssim_fg",
        "depth_mae",
        "jitter_ratio",
        "amplitude_ratio",
        "motion_correlation",
    }


def test_refusals_print_the_shapes():
    truth = scene()
    with pytest.raises(ValueError, match=r"rgb \[4, 5, 16, 16, 3\], alpha \[4, 4, 16, 16\]"):
        Views(rgb=truth.rgb, alpha=truth.alpha[:, :4])
    with pytest.raises(ValueError, match="rgb holds NaN"):
        Views(rgb=truth.rgb * torch.nan, alpha=truth.alpha)
    with pytest.raises(ValueError, match=r"prediction \[1, 5, 16, 16, 3\], truth \[4, 5"):
        baselines.score(truth.select([0]), truth, [1])
    with pytest.raises(ValueError, match="both fitted and held out"):
        Split((0, 1), (1,), (0,), (1,))
    with pytest.raises(ValueError, match="held_out_frames must be distinct"):
        Split((0,), (1,), (0,), ())
    far = Split((0,), (7,), (0,), (1,))
    with pytest.raises(ValueError, match=r"does not fit truth \[4, 5, 16, 16, 3\], c2w \[4, 4"):
        baselines.baselines(truth, far, CAMERAS)
