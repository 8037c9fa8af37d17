"""Geometry metrics against hand-computed values and brute force."""

import math

import pytest
import torch

from animate124.metrics import geometry


def test_depth_error_over_the_mask():
    truth = torch.tensor([[2.0, 2.0, 5.0]])
    depth = torch.tensor([[2.1, 1.7, 0.0]])
    mask = torch.tensor([[True, True, False]])
    error = geometry.depth_error(depth, truth, mask)
    assert error.mae == pytest.approx(0.2, abs=1e-6)
    assert error.rmse == pytest.approx(math.sqrt((0.01 + 0.09) / 2), abs=1e-6)


def test_alignment_undoes_scale_and_shift_and_nothing_else():
    truth = torch.linspace(1.0, 3.0, 12).reshape(3, 4)
    mask = torch.ones(3, 4, dtype=torch.bool)
    exact = geometry.aligned_depth_error(0.5 * truth - 4.0, truth, mask)
    assert exact.rmse == pytest.approx(0.0, abs=1e-6)
    # Least squares by hand: points (0,0), (1,1), (2,0) are best met by the constant 1/3.
    bent = geometry.aligned_depth_error(
        torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.0, 1.0, 0.0]]), mask[:1, :3]
    )
    assert bent.mae == pytest.approx((1 / 3 + 2 / 3 + 1 / 3) / 3)
    assert bent.rmse == pytest.approx(math.sqrt((1 / 9 + 4 / 9 + 1 / 9) / 3))


def test_alignment_of_a_constant_depth_is_the_mean():
    truth = torch.tensor([[1.0, 3.0]])
    error = geometry.aligned_depth_error(torch.full((1, 2), 7.0), truth, truth > 0)
    assert error.mae == pytest.approx(1.0)


def test_depth_correlation():
    truth = torch.tensor([[1.0, 2.0, 3.0]])
    mask = truth > 0
    assert geometry.depth_correlation(2 * truth + 1, truth, mask) == pytest.approx(1.0)
    assert geometry.depth_correlation(-truth, truth, mask) == pytest.approx(-1.0)
    # Deviations (−1, 1, 0) and (−1, 0, 1): 1 / (√2·√2).
    swapped = torch.tensor([[1.0, 3.0, 2.0]])
    assert geometry.depth_correlation(swapped, truth, mask) == pytest.approx(0.5)
    assert geometry.depth_correlation(torch.ones(1, 3), truth, mask) is None


def test_normal_angles():
    truth = torch.tensor([[[0.0, 0.0, 1.0]] * 5])
    ours = torch.tensor(
        [[[0.0, 0.0, 2.0], [0.0, 1.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]]
    )
    mask = torch.ones(1, 5, dtype=torch.bool)
    angles = geometry.normal_angles(ours, truth, mask)
    assert angles.tolist() == pytest.approx([0.0, 45.0, 90.0, 180.0, 90.0])


def test_small_normal_angles_keep_their_digits():
    angle = 1e-4
    ours = torch.tensor([[[0.0, math.sin(angle), math.cos(angle)]]], dtype=torch.float64)
    truth = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
    mask = torch.ones(1, 1, dtype=torch.bool)
    found = geometry.normal_angles(ours, truth, mask).item()
    assert found == pytest.approx(math.degrees(angle), rel=1e-9)


def test_chamfer_and_f_score_by_hand():
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    truth = torch.tensor([[0.0, 0.0, 0.3]])
    distance = geometry.chamfer(points, truth)
    assert distance.accuracy == pytest.approx((0.3 + math.sqrt(1.09)) / 2)
    assert distance.completeness == pytest.approx(0.3)
    assert distance.total == pytest.approx(distance.accuracy + 0.3)
    # At 0.5: one of two points is near, every truth point is: 2·0.5·1/1.5.
    assert geometry.f_score(points, truth, 0.5) == pytest.approx(2 / 3)
    assert geometry.f_score(points, truth, 0.1) == 0.0
    assert geometry.f_score(points, points, 0.0) == 1.0


def test_chamfer_against_brute_force_and_under_a_turn():
    generator = torch.Generator().manual_seed(0)
    ours = torch.rand(70, 3, generator=generator, dtype=torch.float64)
    theirs = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    distances = torch.cdist(ours, theirs)
    result = geometry.chamfer(ours, theirs)
    assert result.accuracy == pytest.approx(distances.min(dim=1).values.mean().item())
    assert result.completeness == pytest.approx(distances.min(dim=0).values.mean().item())
    turn, _ = torch.linalg.qr(torch.rand(3, 3, generator=generator, dtype=torch.float64))
    turned = geometry.chamfer(ours @ turn.T + 5.0, theirs @ turn.T + 5.0)
    assert turned.total == pytest.approx(result.total)
    swapped = geometry.chamfer(theirs, ours)
    assert (swapped.completeness, swapped.accuracy) == (result.accuracy, result.completeness)


def test_refusals_print_the_shapes():
    depth, mask = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"depth \[2, 3\], truth \[3, 2\]"):
        geometry.depth_error(depth, depth.T, mask)
    with pytest.raises(ValueError, match=r"mask must be boolean.*mask \[2, 3\]"):
        geometry.depth_error(depth, depth, ~mask)
    with pytest.raises(ValueError, match="mask must be boolean"):
        geometry.depth_error(depth, depth, depth)
    with pytest.raises(ValueError, match="truth holds NaN"):
        geometry.depth_correlation(depth, depth * torch.nan, mask)
    with pytest.raises(ValueError, match=r"N 3.*points \[2, 2\]"):
        geometry.chamfer(torch.ones(2, 2), torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"points \[0, 3\]"):
        geometry.chamfer(torch.ones(0, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"H W 3.*normals \[2, 3\]"):
        geometry.normal_angles(depth, depth, mask)
