"""Where a truth bundle's cameras stand and when its frames lie: what to fit, what to hold out."""

import numpy as np
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.toybox.clip import Clip

HELD_OUT_VIEWS = 4

_LOWEST, _HIGHEST = -10.0, 40.0
_GOLDEN = 0.6180339887498949
_HELD_OUT_ELEVATIONS = (5.0, 32.0, -6.0, 20.0)


def fit_angles(views: int) -> np.ndarray:
    """Azimuth and elevation [views, 2] in degrees of the cameras to fit.

    Azimuths are evenly spaced from 0, the reference view at elevation 0; the elevations follow the
    golden ratio's low-discrepancy sequence between −10° and 40°.
    """
    index = np.arange(views)
    azimuth = 360.0 * index / views
    share = (0.2 + index * _GOLDEN) % 1.0
    return np.stack([azimuth, _LOWEST + share * (_HIGHEST - _LOWEST)], axis=1)


def held_out_angles(views: int) -> np.ndarray:
    """Azimuth and elevation [4, 2] in degrees of the cameras held out beside `fit_angles(views)`.

    A quarter turn apart, turned together so that the smallest angle to a fit azimuth is greatest.
    """
    fit = fit_angles(views)[:, 0]
    quarter = 90.0 * np.arange(HELD_OUT_VIEWS)
    turns = np.arange(0.0, 90.0, 1.0)
    gaps = np.abs((quarter[None, :, None] + turns[:, None, None] - fit + 180.0) % 360.0 - 180.0)
    azimuth = quarter + turns[gaps.min(axis=(1, 2)).argmax()]
    return np.stack([azimuth, np.asarray(_HELD_OUT_ELEVATIONS)], axis=1)


def cameras_at(angles: np.ndarray, size: int) -> Cameras:
    """Square cameras of `size` pixels at azimuths and elevations [V, 2], at the default radius."""
    azimuth, elevation = torch.from_numpy(angles).unbind(1)
    return Cameras(orbit(azimuth, elevation), DEFAULT_FOV_Y, size, size)


def frame_plan(clip: Clip, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit times and the midpoints between them, in temporal order.

    Returns:
        times [N] in [0, 1]; held_out [N] bool; next_frame [N] int32, the next frame of the same
        kind: the last of each kind points to its first in a loop, else nowhere (−1). N is
        2·frames for a loop, whose last midpoint lies before its end, else 2·frames − 1.
    """
    fit = clip.times(frames)
    ends = np.append(fit, 1.0) if clip.loop else fit
    between = (ends[:-1] + ends[1:]) / 2
    count = len(fit) + len(between)
    times = np.empty(count)
    times[0::2], times[1::2] = fit, between
    follow = np.arange(count) + 2
    beyond = follow >= count
    follow[beyond] = np.arange(count)[beyond] % 2 if clip.loop else -1
    return times, np.arange(count) % 2 == 1, follow.astype(np.int32)
