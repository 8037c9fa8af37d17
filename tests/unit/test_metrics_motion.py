"""Motion metrics against hand-computed values and against VBench's definition in 8 bits."""

import math

import numpy as np
import pytest
import torch

from animate124.metrics import motion


def clip_of(values):
    """A clip [F, 2, 2, 3] of flat grey frames."""
    return torch.tensor(values, dtype=torch.float64)[:, None, None, None].expand(-1, 2, 2, 3)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_frozen_clip_is_perfectly_smooth_and_does_not_move():
    truth = noise(6, 4, 4, 3)
    frozen = truth[:1].expand(6, -1, -1, -1)
    assert motion.flicker_score(frozen) == 1.0
    assert motion.jitter(frozen) == 0.0
    assert motion.amplitude_ratio(frozen, truth) == pytest.approx(0.0, abs=1e-12)
    assert motion.motion_correlation(frozen, truth) == 0.0


def test_the_truth_has_ratio_and_correlation_one():
    truth = noise(6, 4, 4, 3)
    assert motion.amplitude_ratio(truth, truth) == 1.0
    assert motion.motion_correlation(truth, truth) == pytest.approx(1.0)


def test_flicker_is_vbench_on_eight_bit_frames():
    frames = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    steps = [np.abs(frames[k].astype(float) - frames[k + 1]).mean() for k in range(4)]
    expected = (255.0 - np.mean(steps)) / 255.0
    result = motion.flicker_score(torch.from_numpy(frames).double() / 255.0)
    assert result == pytest.approx(expected, abs=1e-12)


def test_amplitude_by_hand():
    # Mean 0.5, deviations 0.3, 0.1, 0.1, 0.3.
    clip = clip_of([0.2, 0.4, 0.6, 0.8])
    assert motion.amplitude(clip) == pytest.approx(0.2)
    half = clip_of([0.35, 0.45, 0.55, 0.65])
    assert motion.amplitude_ratio(half, clip) == pytest.approx(0.5)
    assert motion.motion_correlation(half, clip) == pytest.approx(1.0)


def test_correlation_tells_wrong_motion_from_right():
    clip = clip_of([0.2, 0.4, 0.6, 0.8])
    assert motion.motion_correlation(clip.flip(0), clip) == pytest.approx(-1.0)
    assert motion.amplitude_ratio(clip.flip(0), clip) == pytest.approx(1.0)
    # Deviations (−3, −1, 1, 3) against (−1, 3, −3, 1): 3 − 3 − 3 + 3 = 0.
    assert motion.motion_correlation(clip_of([0.4, 0.8, 0.2, 0.6]), clip) == pytest.approx(0.0)


def test_ratios_to_a_still_truth_are_undefined():
    still, lively = clip_of([0.5, 0.5, 0.5]), clip_of([0.1, 0.5, 0.9])
    assert motion.amplitude_ratio(lively, still) is None
    assert motion.motion_correlation(lively, still) is None


def test_moving_mask_marks_what_changes():
    clip = torch.zeros(3, 2, 2, 3)
    clip[1, 0, 1, 2] = 0.2
    clip[2, 1, 0, 0] = 0.05
    assert motion.moving_mask(clip).tolist() == [[False, True], [False, False]]


def test_flow_error_and_amplitude():
    truth = torch.zeros(2, 2, 3, 2)
    flow = truth.clone()
    flow[..., 0], flow[..., 1] = 3.0, 4.0
    flow[:, :, 2] = 100.0
    mask = torch.ones(2, 2, 3, dtype=torch.bool)
    mask[:, :, 2] = False
    assert motion.flow_error(flow, truth, mask) == pytest.approx(5.0)
    assert motion.flow_amplitude(flow, mask) == pytest.approx(5.0)
    assert motion.flow_error(flow, flow, mask) == 0.0


def test_trajectory_error_and_visibility():
    truth = torch.zeros(2, 2, 3)
    tracks = truth.clone()
    tracks[:, 0, 0] = 0.5
    tracks[1, 1] = torch.tensor([2.0, 3.0, 6.0])  # length 7
    assert motion.trajectory_error(tracks, truth) == pytest.approx((0.5 + 0.5 + 0.0 + 7.0) / 4)
    visible = torch.tensor([[True, True], [True, False]])
    assert motion.trajectory_error(tracks, truth, visible) == pytest.approx(1.0 / 3)


def test_jitter_is_the_third_difference():
    k = torch.arange(6, dtype=torch.float64)
    smooth = torch.stack([k, 3 * k**2 - k, 0 * k], dim=-1)[:, None]  # constant acceleration
    assert motion.jitter(smooth) == pytest.approx(0.0, abs=1e-12)
    cubic = torch.stack([k**3, 0 * k, 0 * k], dim=-1)[:, None]
    assert motion.jitter(cubic) == pytest.approx(6.0)
    shaking = torch.stack([(-1.0) ** k, 0 * k, 0 * k], dim=-1)[:, None]
    assert motion.jitter(shaking) == pytest.approx(8.0)


def test_motion_chamfer_sees_points_that_trade_places():
    start = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    truth = torch.stack([start, start])
    swapped = torch.stack([start, start.flip(0)])  # every frame has the right shape
    result = motion.motion_chamfer(swapped, truth)
    assert (result.accuracy, result.completeness) == (0.5, 0.5)
    assert motion.motion_chamfer(truth, truth).total == 0.0


def test_motion_chamfer_of_a_frozen_result_is_half_the_path():
    start = torch.tensor([[0.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    moved = start + torch.tensor([0.0, 0.0, 0.6])
    result = motion.motion_chamfer(torch.stack([start, start]), torch.stack([start, moved]))
    assert result.total == pytest.approx(0.6)  # 0.3 mean over two frames, both directions


def test_motion_chamfer_of_sets_of_different_size():
    truth = torch.zeros(3, 1, 3)
    tracks = torch.zeros(3, 2, 3)
    tracks[:, 1, 0] = 2.0
    result = motion.motion_chamfer(tracks, truth)
    assert (result.accuracy, result.completeness) == (1.0, 0.0)


def test_loops():
    angle = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
    circle = torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=-1)[:, None]
    assert motion.seam_ratio(circle) == pytest.approx(1.0)
    assert motion.loop_closure_error(torch.cat([circle, circle[:1]])) == pytest.approx(0.0)
    # Half of the circle: the seam is the diameter-long jump back.
    assert motion.loop_closure_error(circle[:5]) == pytest.approx(2.0)
    line = torch.arange(5.0)[:, None, None].expand(5, 1, 3)
    assert motion.seam_ratio(line) == pytest.approx(4.0)
    assert motion.seam_ratio(torch.ones(4, 2, 3)) is None


def test_refusals_print_the_shapes():
    clip = noise(4, 2, 2, 3)
    with pytest.raises(ValueError, match=r"clip \[4, 2, 2, 3\], truth \[3, 2, 2, 3\]"):
        motion.amplitude_ratio(clip, clip[:3])
    with pytest.raises(ValueError, match=r"at least 2 frames.*\[1, 2, 2, 3\]"):
        motion.flicker_score(clip[:1])
    with pytest.raises(ValueError, match=r"at least 4 frames.*\[3, 2, 2, 3\]"):
        motion.jitter(clip[:3])
    with pytest.raises(ValueError, match=r"holds NaN.*\[4, 2, 2, 3\]"):
        motion.flicker_score(clip * torch.nan)
    with pytest.raises(ValueError, match=r"tracks \[4, 2, 3\], truth \[4, 1, 3\]"):
        motion.trajectory_error(noise(4, 2, 3), noise(4, 1, 3))
    with pytest.raises(ValueError, match=r"visible \[2, 2\]"):
        motion.trajectory_error(noise(4, 2, 3), noise(4, 2, 3), torch.ones(2, 2) > 0)
    with pytest.raises(ValueError, match="frame counts differ"):
        motion.motion_chamfer(noise(4, 2, 3), noise(3, 2, 3))
    with pytest.raises(ValueError, match=r"mask must be boolean.*mask \[2, 2\], flow \[2, 2, 2\]"):
        motion.flow_amplitude(noise(2, 2, 2), torch.zeros(2, 2) > 0)
