"""Numbers for what a scene shows: one flat row, the same for the scene and for each baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from animate124.metrics import image, motion
from animate124.stages.evaluate_views import Shown


def score(shown: Shown, picture: Tensor, alpha: Tensor, loop: bool, truth: Shown | None) -> dict:
    """One row; every value is finite or None.

    Against the picture, at t = 0 and where it was taken: `reference_psnr` (dB, over white),
    `reference_psnr_union` (over the pixels of either subject), `reference_iou`.

    Against the truth at t = 0, from all its views but the picture's: `novel_psnr`,
    `novel_psnr_union`, `novel_ssim` (None below 11 pixels), `novel_iou`. None without truth.

    Of the unseen sides over time: `amplitude` (mean absolute deviation from the mean over time),
    `amplitude_of_subject` (that, divided by the share of the picture covered), `flicker` (VBench's,
    1: frozen) and `jitter` (third difference), which a frozen result wins and which mean nothing
    without the amplitude beside them; `seam` (the step from the last moment to the first over the
    mean step: about 1 where a loop closes). With truth also `amplitude_ratio` and
    `motion_correlation`, the latter for information: another phase of the right motion is no fault.
    """
    clips = list(shown.sides)
    share = float(shown.sides_alpha.mean())
    amplitude = _mean(clips, motion.amplitude)
    row: dict[str, Any] = {
        "reference_psnr": float(image.psnr(shown.reference, picture)),
        "reference_psnr_union": float(
            image.psnr_union(shown.reference, picture, shown.reference_alpha, alpha)
        ),
        "reference_iou": float(image.silhouette_iou(shown.reference_alpha, alpha)),
        **_novel(shown, truth),
        "amplitude": amplitude,
        "amplitude_of_subject": amplitude / share if share > 1e-6 else 0.0,
        "flicker": _mean(clips, motion.flicker_score),
        "jitter": _mean(clips, motion.jitter),
        "seam": _mean(clips, motion.seam_ratio) if loop else None,
        "amplitude_ratio": None,
        "motion_correlation": None,
    }
    if truth is not None:
        pairs = list(zip(clips, truth.sides, strict=True))
        row["amplitude_ratio"] = _mean(pairs, lambda pair: motion.amplitude_ratio(*pair))
        row["motion_correlation"] = _mean(pairs, lambda pair: motion.motion_correlation(*pair))
    return {name: None if value is None else round(value, 4) for name, value in row.items()}


def _novel(shown: Shown, truth: Shown | None) -> dict[str, float | None]:
    names = ("novel_psnr", "novel_psnr_union", "novel_ssim", "novel_iou")
    if truth is None or not len(truth.around):
        return dict.fromkeys(names)
    ours, theirs = shown.around, truth.around
    union = image.psnr_union(ours, theirs, shown.around_alpha, truth.around_alpha)
    large = theirs.shape[1] >= image.SSIM_WINDOW
    values = (
        image.psnr(ours, theirs),
        union[~union.isnan()],
        image.ssim(ours, theirs) if large else None,
        image.silhouette_iou(shown.around_alpha, truth.around_alpha),
    )
    return {
        name: None if value is None else float(value.mean())
        for name, value in zip(names, values, strict=True)
    }


def coverage(shown: Shown) -> tuple[float, float, float]:
    """How much of the unseen sides is covered at t = 0, and the least and the most at any time,
    relative to that (0 and 0 where nothing is there)."""
    over_time = (shown.sides_alpha > image.FOREGROUND).float().mean((0, 2, 3))
    start = float(over_time[0])
    if start == 0.0:
        return 0.0, 0.0, 0.0
    return start, float(over_time.min()) / start, float(over_time.max()) / start


def _mean(items: Sequence[Any], measure: Callable[[Any], float | None]) -> float | None:
    """The mean over items of what is not None."""
    known = [value for item in items if (value := measure(item)) is not None]
    return sum(known) / len(known) if known else None
