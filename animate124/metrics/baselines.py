"""Scores of a result beside those of the trivial predictions it has to beat.

A result is what a fitted field shows of the *held-out views* at *all* frames. Image metrics are
averaged over the held-out frames only; motion needs neighbouring frames and takes them all.
`table` gives the same flat record for the result and for every baseline:

=====================  =========================================================================
`oracle`               the truth itself: the ceiling of every metric
`static_own_view`      each held-out view's own true first frame, frozen: the best frozen result
`static_nearest_view`  the nearest fit view's first frame, frozen
`nearest_view`         the nearest fit view at the same time
`nearest_view_frame`   the nearest fit view at the nearest fit frame: the nearest thing fitted to
`shuffled_time`        the held-out view's own truth with its frames in a wrong order
`mean_fit_views`       the mean over the fit views at the same time
`white`                nothing: white, alpha 0
=====================  =========================================================================

The baselines that copy a held-out view's own truth know what no result can know; they are there
because metrics that they win say nothing about motion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from animate124.metrics import geometry, image, motion
from animate124.metrics.checks import require_finite, require_layout, shapes

Scores = dict[str, float | None]


@dataclass(frozen=True)
class Views:
    """What V cameras see over F frames; raises ValueError on mismatching shapes or NaN."""

    rgb: Tensor
    """[V, F, H, W, 3] in [0, 1], composited over white; frames in the order of time."""
    alpha: Tensor
    """[V, F, H, W] coverage in [0, 1]."""
    depth: Tensor | None = None
    """[V, F, H, W] planar depth in world units, 0 where nothing is hit."""
    normals: Tensor | None = None
    """[V, F, H, W, 3] unit normals in world axes, 0 where nothing is hit."""

    def __post_init__(self) -> None:
        named = {name: value for name, value in vars(self).items() if value is not None}
        require_layout("V F H W 3", rgb=self.rgb)
        if any(value.shape[:4] != self.rgb.shape[:4] for value in named.values()):
            raise ValueError(f"shapes differ: {shapes(**named)}")
        if self.alpha.ndim != 4:
            raise ValueError(f"alpha must be [V F H W], got {shapes(**named)}")
        require_finite(**named)

    def select(self, views: Sequence[int], frames: Sequence[int] | None = None) -> "Views":
        """The given views, in the given order, at the given frames (all when None)."""
        when = slice(None) if frames is None else list(frames)
        picked = {
            name: value[list(views)][:, when]
            for name, value in vars(self).items()
            if value is not None
        }
        return Views(**picked)


@dataclass(frozen=True)
class Split:
    """Indices of the views and frames that were fitted to and of those held out for scoring.

    Raises ValueError when a list is empty or repeats itself, or when views or frames overlap.
    """

    fit_views: tuple[int, ...]
    held_out_views: tuple[int, ...]
    fit_frames: tuple[int, ...]
    held_out_frames: tuple[int, ...]

    def __post_init__(self) -> None:
        for name, indices in vars(self).items():
            if not indices or len(set(indices)) != len(indices) or min(indices) < 0:
                raise ValueError(f"{name} must be distinct indices, got {list(indices)}")
        if set(self.fit_views) & set(self.held_out_views):
            raise ValueError(f"views both fitted and held out: {self}")
        if set(self.fit_frames) & set(self.held_out_frames):
            raise ValueError(f"frames both fitted and held out: {self}")


def nearest_fit_views(c2w: Tensor, split: Split) -> list[int]:
    """For each held-out view, the fit view whose camera stands at the smallest angle to it.

    Args: `c2w` [V, 4, 4] camera-to-world; angles are seen from the world origin, where the subject
        stands. Ties go to the fit view listed first. Returns indices into V, one a held-out view.
    """
    require_layout("V 4 4", c2w=c2w)
    towards = torch.nn.functional.normalize(c2w[:, :3, 3].double(), dim=-1)
    cosines = towards[list(split.held_out_views)] @ towards[list(split.fit_views)].T
    # Rounded, so that views equally far up to rounding error are a tie on every machine.
    return [split.fit_views[i] for i in cosines.mul(1e9).round().argmax(dim=1).tolist()]


def baselines(truth: Views, split: Split, c2w: Tensor, seed: int = 0) -> dict[str, Views]:
    """The trivial predictions of the module's table, each for the held-out views at all frames.

    Args: `truth` of all V views; `split`; `c2w` [V, 4, 4]; `seed` for the shuffling of time.
    Returns: name → Views of shape [len(held_out_views), F, ...].
    """
    frames = truth.rgb.shape[1]
    _require_split(truth, split, c2w)
    nearest = nearest_fit_views(c2w, split)
    first = [0] * frames
    # Of two fit frames equally near in time the earlier is taken.
    near_frames = [min(sorted(split.fit_frames), key=lambda k: abs(k - f)) for f in range(frames)]
    own = truth.select(split.held_out_views)
    seen = truth.select(split.fit_views)
    averaged = {
        name: value.mean(dim=0).expand(len(split.held_out_views), *value.shape[1:])
        for name, value in vars(seen).items()
        if value is not None
    }
    return {
        "oracle": own,
        "static_own_view": truth.select(split.held_out_views, first),
        "static_nearest_view": truth.select(nearest, first),
        "nearest_view": truth.select(nearest),
        "nearest_view_frame": truth.select(nearest, near_frames),
        "shuffled_time": truth.select(split.held_out_views, _wrong_order(frames, seed)),
        "mean_fit_views": Views(**averaged),
        "white": Views(
            rgb=torch.ones_like(own.rgb),
            alpha=torch.zeros_like(own.alpha),
            depth=None if own.depth is None else torch.zeros_like(own.depth),
            normals=None if own.normals is None else torch.zeros_like(own.normals),
        ),
    }


def score(prediction: Views, truth: Views, held_out_frames: Sequence[int]) -> Scores:
    """One flat record of how near `prediction` comes to `truth`; every value is finite or None.

    Over the held-out frames, averaged over images: `psnr`, `psnr_fg` (truth's foreground),
    `psnr_union` (either's foreground), `psnr_moving` (pixels that change by more than 0.1 in the
    true clip), all in dB up to 100; `ssim`, `ssim_fg`; `iou`, `alpha_error`; and, where both sides
    have them, `depth_mae` (world units) and `normal_mean_deg` over the truth's foreground.

    Over all frames, averaged over views: `flicker` and `flicker_truth` (VBench score, 1 = frozen),
    `jitter_ratio` (third difference of colour against the truth's), `amplitude_ratio` and
    `motion_correlation` (both 0 = frozen, 1 = truth).

    A value is None where it has no meaning: no foreground, a still truth, an image too small for
    SSIM, fewer than 2 frames (flicker) or 4 frames (jitter).

    Args: `prediction`, `truth` of the same held-out views, [V, F, ...]; `held_out_frames` indices
        into F. Raises ValueError on mismatching shapes.
    """
    if prediction.rgb.shape != truth.rgb.shape:
        raise ValueError(f"shapes differ: {shapes(prediction=prediction.rgb, truth=truth.rgb)}")
    everywhere = range(truth.rgb.shape[0])
    ours, theirs = (
        prediction.select(everywhere, held_out_frames),
        truth.select(everywhere, held_out_frames),
    )
    moving = torch.stack([motion.moving_mask(clip) for clip in truth.rgb])
    moving = moving[:, None].expand(theirs.alpha.shape)
    size = min(theirs.rgb.shape[2:4])
    ssims = (
        image.both_ssim(ours.rgb, theirs.rgb, theirs.alpha)
        if size >= image.SSIM_WINDOW
        else (None, None)
    )
    return {
        "psnr": _mean(image.psnr(ours.rgb, theirs.rgb)),
        "psnr_fg": _mean(image.psnr_foreground(ours.rgb, theirs.rgb, theirs.alpha)),
        "psnr_union": _mean(image.psnr_union(ours.rgb, theirs.rgb, ours.alpha, theirs.alpha)),
        "psnr_moving": _mean(image.psnr_foreground(ours.rgb, theirs.rgb, moving)),
        "ssim": _mean(ssims[0]),
        "ssim_fg": _mean(ssims[1]),
        "iou": _mean(image.silhouette_iou(ours.alpha, theirs.alpha)),
        "alpha_error": _mean(image.alpha_error(ours.alpha, theirs.alpha)),
        **_surface_scores(ours, theirs),
        **_motion_scores(prediction.rgb, truth.rgb),
    }


def table(
    result: Views, truth: Views, split: Split, c2w: Tensor, seed: int = 0
) -> dict[str, Scores]:
    """`score` of the result and of every baseline, by name; `result` comes first.

    Args: `result` of the held-out views at all frames, [len(held_out_views), F, ...]; the rest as
        for `baselines`. Returns: "result" and the baselines' names → flat records, valid as JSON.
    """
    own = truth.select(split.held_out_views)
    rows = {"result": result, **baselines(truth, split, c2w, seed)}
    # A field the result lacks would make rows of different keys.
    dropped = {name: None for name in ("depth", "normals") if getattr(result, name) is None}
    return {
        name: score(replace(row, **dropped), own, split.held_out_frames)
        for name, row in rows.items()
    }


def _surface_scores(ours: Views, theirs: Views) -> Scores:
    mask = image.foreground(theirs.alpha)
    scores: Scores = {}
    if ours.depth is not None and theirs.depth is not None:
        some = mask.any().item()
        scores["depth_mae"] = (
            geometry.depth_error(ours.depth, theirs.depth, mask).mae if some else None
        )
    if ours.normals is not None and theirs.normals is not None:
        angles = geometry.normal_angles(ours.normals, theirs.normals, mask) if mask.any() else None
        scores["normal_mean_deg"] = _mean(angles)
    return scores


def _motion_scores(clips: Tensor, truths: Tensor) -> Scores:
    """Motion figures averaged over views; clips whose truth is still are left out of ratios."""
    frames = clips.shape[1]
    pairs = list(zip(clips, truths, strict=True))
    return {
        "flicker": _average([motion.flicker_score(c) for c in clips]) if frames > 1 else None,
        "flicker_truth": _average([motion.flicker_score(c) for c in truths])
        if frames > 1
        else None,
        "jitter_ratio": _average([_jitter_ratio(c, t) for c, t in pairs]) if frames > 3 else None,
        "amplitude_ratio": _average([motion.amplitude_ratio(c, t) for c, t in pairs]),
        "motion_correlation": _average([motion.motion_correlation(c, t) for c, t in pairs]),
    }


def _jitter_ratio(clip: Tensor, truth: Tensor) -> float | None:
    true_jitter = motion.jitter(truth)
    return motion.jitter(clip) / true_jitter if true_jitter > motion.STILL else None


def _wrong_order(frames: int, seed: int) -> list[int]:
    """A random order of time, a single cycle, so that no frame stays where it belongs."""
    if frames == 1:
        return [0]
    generator = torch.Generator().manual_seed(seed)
    cycle = torch.randperm(frames, generator=generator).tolist()
    order = [0] * frames
    for here, there in zip(cycle, cycle[1:] + cycle[:1], strict=True):
        order[here] = there
    return order


def _mean(values: Tensor | None) -> float | None:
    """Mean of the values that are numbers; None where there is none."""
    if values is None or values.isnan().all():
        return None
    return values.nanmean().item()


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _require_split(truth: Views, split: Split, c2w: Tensor) -> None:
    views, frames = truth.rgb.shape[:2]
    if (
        c2w.shape[0] != views
        or max(*split.fit_views, *split.held_out_views) >= views
        or max(*split.fit_frames, *split.held_out_frames) >= frames
    ):
        raise ValueError(f"{split} does not fit {shapes(truth=truth.rgb, c2w=c2w)}")
