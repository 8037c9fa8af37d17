"""How a clip moves: smoothness, amplitude, and agreement with the true motion.

No smoothness figure means anything alone: a frozen clip has a perfect flicker score and no jitter.
Show `flicker_score` and `jitter` only beside `amplitude_ratio` and `motion_correlation`, which are
0 for a frozen clip.

A *clip* is `[F, H, W, 3]` in [0, 1]; *tracks* are positions `[F, N, D]` in world units (D = 3) or
pixels (D = 2); *flow* is `[..., H, W, 2]` in pixels per frame. Everything raises ValueError,
printing the shapes, on mismatching shapes, too few frames or NaN.
"""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from animate124.metrics.checks import (
    require_finite,
    require_layout,
    require_mask,
    require_same_shape,
    shapes,
)
from animate124.metrics.geometry import Chamfer

STILL = 1e-8
"""Below this amplitude the truth counts as still, and ratios to it are undefined (None)."""


def flicker_score(clip: Tensor) -> float:
    """VBench's temporal flickering: (255 − MAE)/255 of adjacent frames, MAE in 8-bit levels.

    On [0, 1] images this is 1 − mean |I_{k+1} − I_k| (Huang et al. 2024, `temporal_flickering.py`,
    without its rounding to 8 bits). A frozen clip scores 1.

    Args: `clip` [F, H, W, 3], F ≥ 2. Returns a float in [0, 1].
    """
    _require_clip(clip, frames=2)
    return 1.0 - clip.double().diff(dim=0).abs().mean().item()


def temporal_deviation(clip: Tensor) -> Tensor:
    """What moves in a clip: each frame less the clip's mean frame, `[F, H, W, 3]` float64."""
    _require_clip(clip, frames=1)
    return clip.double() - clip.double().mean(dim=0)


def amplitude(clip: Tensor) -> float:
    """Mean absolute deviation of every pixel from its mean over time, in intensity units.

    Args: `clip` [F, H, W, 3] in [0, 1]. Returns a float in [0, 0.5]; 0 for a frozen clip.
    """
    return temporal_deviation(clip).abs().mean().item()


def amplitude_ratio(clip: Tensor, truth: Tensor) -> float | None:
    """`amplitude` of the clip over that of the truth: 0 frozen, 1 as lively as the truth.

    It does not say that the motion is right: noise and shuffled frames also reach 1; read it with
    `motion_correlation`. Args: `clip`, `truth` [F, H, W, 3]. Returns None where the truth is still.
    """
    require_same_shape(clip=clip, truth=truth)
    true_amplitude = amplitude(truth)
    return amplitude(clip) / true_amplitude if true_amplitude > STILL else None


def motion_correlation(clip: Tensor, truth: Tensor) -> float | None:
    """Cosine between the two clips' `temporal_deviation`s: 1 for the true motion, 0 for none.

    Any frozen clip scores 0, and so, on average, does motion unrelated to the truth's.
    Args: `clip`, `truth` [F, H, W, 3]. Returns a float in [−1, 1], None where the truth is still.
    """
    require_same_shape(clip=clip, truth=truth)
    ours, theirs = temporal_deviation(clip), temporal_deviation(truth)
    if theirs.abs().mean() <= STILL:
        return None
    if ours.abs().mean() <= STILL:
        return 0.0
    return ((ours * theirs).sum() / (ours.norm() * theirs.norm())).item()


def moving_mask(clip: Tensor, threshold: float = 0.1) -> Tensor:
    """Pixels whose value changes over the clip by more than `threshold` in some channel.

    Args: `clip` [F, H, W, 3]; `threshold` in intensity units. Returns a boolean mask [H, W].
    """
    _require_clip(clip, frames=1)
    return (clip.amax(dim=0) - clip.amin(dim=0) > threshold).any(dim=-1)


def flow_amplitude(flow: Tensor, mask: Tensor) -> float:
    """Mean flow length over the pixels of `mask`, in pixels per frame.

    Args: `flow` [..., H, W, 2], `mask` boolean [..., H, W], not empty.
    """
    return _masked_lengths(flow, mask, flow=flow)


def flow_error(flow: Tensor, truth: Tensor, mask: Tensor) -> float:
    """End-point error: mean length of the flow difference over `mask`, in pixels per frame.

    Args: `flow`, `truth` [..., H, W, 2]; `mask` boolean [..., H, W], not empty.
    """
    require_same_shape(flow=flow, truth=truth)
    return _masked_lengths(flow.double() - truth.double(), mask, flow=flow, truth=truth)


def trajectory_error(tracks: Tensor, truth: Tensor, visible: Tensor | None = None) -> float:
    """Mean end-point error of tracked points over all frames, in the tracks' unit.

    Args: `tracks`, `truth` [F, N, D] with row n the same point in both; `visible` boolean [F, N]
        to leave out hidden points, not empty. Returns the mean Euclidean distance.
    """
    require_layout("F N D", tracks=tracks, truth=truth)
    require_same_shape(tracks=tracks, truth=truth)
    distance = (tracks.double() - truth.double()).norm(dim=-1)
    if visible is None:
        return distance.mean().item()
    if visible.shape != distance.shape or not visible.any():
        raise ValueError(f"visible must mark points: {shapes(tracks=tracks, visible=visible)}")
    return distance[visible].mean().item()


def jitter(signal: Tensor) -> float:
    """Mean length of the third finite difference over time, per frame³.

    x_{k+3} − 3x_{k+2} + 3x_{k+1} − x_k vanishes for constant acceleration, so it sees shaking and
    not speed. Zero for a frozen signal: read it beside the amplitude.

    Args: `signal` [F, ..., D], F ≥ 4: tracks, or a clip with D = 3 colours. Returns the mean
    length over the last axis, in the signal's unit.
    """
    _require_frames(signal, 4)
    return signal.double().diff(n=3, dim=0).norm(dim=-1).mean().item()


def motion_chamfer(tracks: Tensor, truth: Tensor) -> Chamfer:
    """Chamfer distance between motions (ActionBench's CD-M): paired once, compared in all frames.

    Each point is paired with its nearest neighbour of the other set *in the first frame* and keeps
    that partner; its distance is the mean over frames of the distance to the partner. Unlike a
    per-frame Chamfer distance this sees points that move wrongly within the right shape.

    Args: `tracks` [F, N, 3], `truth` [F, M, 3], world units. Returns both directions' means;
        ActionBench prints their sum, `total`.
    """
    require_layout("F N 3", tracks=tracks, truth=truth)
    require_finite(tracks=tracks, truth=truth)
    if tracks.shape[0] != truth.shape[0]:
        raise ValueError(f"frame counts differ: {shapes(tracks=tracks, truth=truth)}")
    ours, theirs = tracks.double().cpu(), truth.double().cpu()
    nearest_truth = torch.from_numpy(cKDTree(theirs[0].numpy()).query(ours[0].numpy())[1])
    nearest_ours = torch.from_numpy(cKDTree(ours[0].numpy()).query(theirs[0].numpy())[1])
    return Chamfer(
        accuracy=(ours - theirs[:, nearest_truth]).norm(dim=-1).mean().item(),
        completeness=(theirs - ours[:, nearest_ours]).norm(dim=-1).mean().item(),
    )


def loop_closure_error(signal: Tensor) -> float:
    """Mean distance between the first and the last frame of a clip that should close.

    For signals whose last frame lies at t = 1, the moment of the first (frame k at k/(F−1)); for a
    loop sampled at k/F use `seam_ratio`.

    Args: `signal` [F, ..., D], F ≥ 2. Returns the mean length over the last axis, in its unit.
    """
    _require_frames(signal, 2)
    return (signal[-1].double() - signal[0].double()).norm(dim=-1).mean().item()


def seam_ratio(signal: Tensor) -> float | None:
    """The step from the last frame back to the first over the mean step between neighbours.

    For loops sampled at k/F, whose seam is a step like any other: about 1 when the loop closes.

    Args: `signal` [F, ..., D], F ≥ 3. Returns None where the signal is still.
    """
    _require_frames(signal, 3)
    step = signal.double().diff(dim=0).norm(dim=-1).mean().item()
    return loop_closure_error(signal) / step if step > STILL else None


def _masked_lengths(vectors: Tensor, mask: Tensor, **named: Tensor) -> float:
    require_layout("... H W 2", vectors=vectors)
    require_finite(**named)
    require_mask(mask, vectors[..., 0], **named)
    return vectors.double().norm(dim=-1)[mask].mean().item()


def _require_clip(clip: Tensor, frames: int) -> None:
    require_layout("F H W 3", clip=clip)
    _require_frames(clip, frames)


def _require_frames(signal: Tensor, frames: int) -> None:
    require_finite(signal=signal)
    if signal.ndim < 2 or signal.shape[0] < frames or signal.numel() == 0:
        raise ValueError(f"needs at least {frames} frames, got {shapes(signal=signal)}")
