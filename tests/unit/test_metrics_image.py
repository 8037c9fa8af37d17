"""Image metrics against hand-computed values, scikit-image, and an SSIM written from the paper."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from skimage.metrics import peak_signal_noise_ratio

from animate124.metrics import image


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_constant_error_of_a_tenth_is_twenty_decibels():
    truth = torch.full((2, 3, 8, 8, 3), 0.5)
    result = image.psnr(truth + 0.1, truth)
    assert result.shape == (2, 3)
    assert torch.allclose(result, torch.full((2, 3), 20.0, dtype=torch.float64), atol=1e-5)


def test_halving_the_error_gains_six_decibels():
    truth = torch.zeros(8, 8, 3)
    gain = image.psnr(truth + 0.1, truth) - image.psnr(truth + 0.2, truth)
    assert gain.item() == pytest.approx(20 * math.log10(2), abs=1e-5)


def test_psnr_agrees_with_scikit_image_and_is_symmetric():
    ours, theirs = noise(16, 20, 3), noise(16, 20, 3, seed=1)
    expected = peak_signal_noise_ratio(theirs.numpy(), ours.numpy(), data_range=1.0)
    assert image.psnr(ours, theirs).item() == pytest.approx(expected, abs=1e-4)
    assert image.psnr(ours, theirs) == image.psnr(theirs, ours)


def test_a_perfect_image_gets_the_cap():
    truth = noise(8, 8, 3)
    assert image.psnr(truth, truth).item() == image.PSNR_CAP


def test_foreground_psnr_sees_the_mask_only():
    truth = torch.zeros(4, 4, 3)
    mask = torch.zeros(4, 4)
    mask[:2] = 1.0
    ours = truth.clone()
    ours[:2] += 0.1  # inside: MSE 0.01, 20 dB
    ours[2:] += 0.9  # a floater outside the truth's mask
    assert image.psnr_foreground(ours, truth, mask).item() == pytest.approx(20.0, abs=1e-5)
    # The floater shows in the union: MSE (8·0.01 + 8·0.81)/16 = 0.41.
    union = image.psnr_union(ours, truth, torch.ones(4, 4), mask)
    assert union.item() == pytest.approx(-10 * math.log10(0.41), abs=1e-5)


def test_foreground_is_more_than_half_covered():
    alpha = torch.tensor([[0.0, 0.5, 0.51, 1.0]])
    assert image.foreground(alpha).tolist() == [[False, False, True, True]]


def test_an_empty_mask_has_no_foreground_psnr():
    truth = noise(2, 4, 4, 3)
    mask = torch.zeros(2, 4, 4)
    mask[1, 0, 0] = 1.0
    result = image.psnr_foreground(truth + 0.1, truth, mask)
    assert result[0].isnan()
    assert result[1].item() == pytest.approx(20.0, abs=1e-4)


def wang_ssim(ours, theirs):
    """Eq. 13 of Wang et al. 2004 by separable convolution; the map of one channel."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()

    def blur(x):
        return convolve1d(convolve1d(x, taps, axis=0, mode="reflect"), taps, axis=1, mode="reflect")

    mean_a, mean_b = blur(ours), blur(theirs)
    var_a, var_b = blur(ours**2) - mean_a**2, blur(theirs**2) - mean_b**2
    cov = blur(ours * theirs) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * cov + c2) / (var_a + var_b + c2)


def test_ssim_is_the_papers_formula():
    ours, theirs = noise(20, 24, 3), noise(20, 24, 3, seed=1)
    ours = 0.7 * theirs + 0.3 * ours
    full = np.stack(
        [
            wang_ssim(ours[..., c].double().numpy(), theirs[..., c].double().numpy())
            for c in range(3)
        ]
    ).mean(axis=0)
    assert image.ssim(ours, theirs).item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-6)
    mask = torch.zeros(20, 24, dtype=torch.bool)
    mask[:7, 3:9] = True
    local = image.ssim_foreground(ours, theirs, mask)
    assert local.item() == pytest.approx(full[:7, 3:9].mean(), abs=1e-6)
    whole, again = image.both_ssim(ours, theirs, mask)
    assert whole == image.ssim(ours, theirs)
    assert again == local


def test_ssim_of_two_constants_is_the_luminance_term():
    # Variances vanish, so SSIM = (2·0.2·0.4 + c1)/(0.2² + 0.4² + c1) with c1 = 1e-4.
    ours, theirs = torch.full((2, 12, 12, 3), 0.2), torch.full((2, 12, 12, 3), 0.4)
    result = image.ssim(ours, theirs)
    assert result.shape == (2,)
    assert result[0].item() == pytest.approx((0.16 + 1e-4) / (0.2 + 1e-4), abs=1e-5)
    assert image.ssim(ours, ours)[0].item() == pytest.approx(1.0)


def test_silhouette_iou_of_shifted_squares():
    truth = torch.zeros(2, 8, 8)
    ours = torch.zeros(2, 8, 8)
    truth[0, :, 0:4] = 1.0
    ours[0, :, 2:6] = 1.0  # 2 columns of 6 shared; the second pair is empty on both sides
    assert image.silhouette_iou(ours, truth).tolist() == [pytest.approx(1 / 3), 1.0]


def test_alpha_error_sees_fog_that_iou_does_not():
    truth = torch.zeros(4, 4)
    truth[0, 0] = 1.0
    fog = truth.clamp(min=0.4)
    assert image.silhouette_iou(fog, truth).item() == 1.0
    assert image.alpha_error(fog, truth).item() == pytest.approx(0.4 * 15 / 16)


def test_metrics_follow_a_change_of_order():
    ours, theirs = noise(3, 12, 12, 3), noise(3, 12, 12, 3, seed=1)
    order = [2, 0, 1]
    for metric in (image.psnr, image.ssim):
        assert torch.equal(metric(ours[order], theirs[order]), metric(ours, theirs)[order])


def test_refusals_print_the_shapes():
    truth = noise(12, 12, 3)
    with pytest.raises(ValueError, match=r"image \[12, 11, 3\], truth \[12, 12, 3\]"):
        image.psnr(noise(12, 11, 3), truth)
    with pytest.raises(ValueError, match=r"mask \[12, 11\]"):
        image.psnr_foreground(truth, truth, torch.ones(12, 11))
    with pytest.raises(ValueError, match=r"\.\.\. H W 3.*\[12, 12, 4\]"):
        image.psnr(noise(12, 12, 4), noise(12, 12, 4))
    with pytest.raises(ValueError, match=r"image holds NaN.*\[12, 12, 3\]"):
        image.psnr(torch.full_like(truth, torch.nan), truth)
    with pytest.raises(ValueError, match="11 pixels each way"):
        image.ssim(truth[:10], truth[:10])
    with pytest.raises(ValueError, match="shapes differ"):
        image.silhouette_iou(torch.ones(4, 4), torch.ones(4, 5))
