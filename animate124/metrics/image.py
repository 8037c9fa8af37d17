"""How far an image is from the truth: PSNR, SSIM, silhouettes, with foreground-only variants.

Images are float RGB in [0, 1], channel-last, `[..., H, W, 3]`; alpha and masks are `[..., H, W]`,
boolean or coverage in [0, 1]. A pixel is *foreground* where its mask or alpha is above 0.5. Leading
axes (views, frames) are kept: each function gives one float64 number per image, and averaging is
the caller's choice. All raise ValueError, printing the shapes, on mismatching shapes or on NaN.

Foreground variants matter because a small subject on a plain background scores tens of decibels
for its background alone.
"""

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from animate124.metrics.checks import require_finite, require_layout, require_same_shape, shapes

FOREGROUND = 0.5
PSNR_CAP = 100.0
"""Decibels given to a perfect image, so that records stay valid JSON (8-bit rounding: 59 dB)."""
SSIM_WINDOW = 11


def foreground(alpha: Tensor) -> Tensor:
    """Boolean mask of the pixels more than half covered; a boolean mask is returned as it is."""
    return alpha if alpha.dtype == torch.bool else alpha > FOREGROUND


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio −10·log10(MSE) over all pixels and channels, in dB.

    Args: `image`, `truth` [..., H, W, 3] in [0, 1]. Returns [...], at most `PSNR_CAP`.
    """
    _require_images(image, truth)
    return _decibels(_squared_error(image, truth).mean(dim=(-2, -1)))


def psnr_foreground(image: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """PSNR with the MSE taken only over the foreground pixels of `mask`, in dB.

    Args: `image`, `truth` [..., H, W, 3]; `mask` [..., H, W], the truth's silhouette. What the
        prediction paints outside the mask does not count: see `psnr_union` for that.
    Returns: [...], at most `PSNR_CAP`; NaN for an image whose mask has no foreground pixel.
    """
    _require_images(image, truth)
    _require_masks(truth, mask=mask)
    return _decibels(_masked_mean(_squared_error(image, truth), foreground(mask)))


def psnr_union(image: Tensor, truth: Tensor, alpha: Tensor, truth_alpha: Tensor) -> Tensor:
    """PSNR over pixels that are foreground in the truth *or* in the prediction, in dB.

    Unlike `psnr_foreground` this punishes floaters: what is painted where nothing should be.

    Args: `image`, `truth` [..., H, W, 3]; `alpha`, `truth_alpha` [..., H, W], both silhouettes.
    Returns: [...], at most `PSNR_CAP`; NaN where both silhouettes are empty.
    """
    _require_images(image, truth)
    _require_masks(truth, alpha=alpha, truth_alpha=truth_alpha)
    union = foreground(alpha) | foreground(truth_alpha)
    return _decibels(_masked_mean(_squared_error(image, truth), union))


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity, Gaussian window of σ = 1.5 (Wang et al. 2004), mean over channels.

    Args: `image`, `truth` [..., H, W, 3], at least 11 pixels each way. Returns [...] in [−1, 1];
        as in scikit-image, the 5 border pixels, where the window would leave the image, are out.
    """
    return _ssim(image, truth)[0]


def ssim_foreground(image: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean of the full SSIM map (see `ssim`, border included) over the foreground of `mask`.

    Args and result as for `psnr_foreground`, in [−1, 1].
    """
    _require_masks(truth, mask=mask)
    return _masked_mean(_ssim(image, truth)[1], foreground(mask))


def both_ssim(image: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(`ssim`, `ssim_foreground`) from one pass over the images, which is where the time goes."""
    _require_masks(truth, mask=mask)
    whole, local = _ssim(image, truth)
    return whole, _masked_mean(local, foreground(mask))


def silhouette_iou(alpha: Tensor, truth_alpha: Tensor) -> Tensor:
    """Intersection over union of the two foregrounds; 1 where both are empty.

    Args: `alpha`, `truth_alpha` [..., H, W]. Returns [...] in [0, 1].
    """
    require_layout("... H W", alpha=alpha, truth_alpha=truth_alpha)
    require_same_shape(alpha=alpha, truth_alpha=truth_alpha)
    ours, theirs = foreground(alpha), foreground(truth_alpha)
    union = (ours | theirs).sum(dim=(-2, -1)).double()
    overlap = (ours & theirs).sum(dim=(-2, -1)).double()
    return torch.where(union > 0, overlap / union.clamp(min=1), 1.0)


def alpha_error(alpha: Tensor, truth_alpha: Tensor) -> Tensor:
    """Mean absolute difference of coverage over all pixels: fog and soft edges, which IoU misses.

    Args: `alpha`, `truth_alpha` [..., H, W] in [0, 1]. Returns [...] in [0, 1].
    """
    require_layout("... H W", alpha=alpha, truth_alpha=truth_alpha)
    require_same_shape(alpha=alpha, truth_alpha=truth_alpha)
    return (alpha.double() - truth_alpha.double()).abs().mean(dim=(-2, -1))


def _squared_error(image: Tensor, truth: Tensor) -> Tensor:
    """Channel-mean squared error per pixel, [..., H, W] float64."""
    return (image.double() - truth.double()).square().mean(dim=-1)


def _decibels(mse: Tensor) -> Tensor:
    return -10.0 * torch.log10(mse.clamp(min=10.0 ** (-PSNR_CAP / 10.0)))


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` [..., H, W] over `mask`, NaN where the mask is empty."""
    return (values * mask).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1))


def _ssim(image: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM per image [...] and its channel-mean map [..., H, W], both float64."""
    _require_images(image, truth)
    if min(truth.shape[-3:-1]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs {SSIM_WINDOW} pixels each way, got {shapes(truth=truth)}")
    lead, size = truth.shape[:-3], truth.shape[-3:]
    pairs = zip(_flat(image, size), _flat(truth, size), strict=True)
    results = [
        structural_similarity(
            ours,
            theirs,
            channel_axis=-1,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        for ours, theirs in pairs
    ]
    whole = torch.tensor([value for value, _ in results], dtype=torch.float64)
    local = torch.from_numpy(np.stack([full.mean(axis=-1) for _, full in results]))
    return whole.reshape(lead), local.double().reshape(*lead, *size[:2])


def _flat(image: Tensor, size: torch.Size) -> np.ndarray:
    return image.detach().cpu().double().reshape(-1, *size).numpy()


def _require_images(image: Tensor, truth: Tensor) -> None:
    require_layout("... H W 3", image=image, truth=truth)
    require_same_shape(image=image, truth=truth)


def _require_masks(truth: Tensor, **masks: Tensor) -> None:
    for name, mask in masks.items():
        if mask.shape != truth.shape[:-1]:
            raise ValueError(f"a mask must match its image: {shapes(truth=truth, **{name: mask})}")
    require_finite(**masks)
