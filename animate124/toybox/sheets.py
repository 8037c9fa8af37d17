"""Contact sheets: the toybox at a glance."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import contact_sheet
from animate124.toybox.clip import Clip
from animate124.toybox.render import render

_ELEVATION = 12.0
_SAMPLES = 3
_VIEWS = {"front": 0.0, "three-quarter": 40.0, "side": 90.0, "back": 180.0}


def views_sheet(clips: Sequence[Clip], size: int = 128, abreast: int = 1) -> np.ndarray:
    """Clips at t = 0 from the front, three quarters, the side and the back.

    Args:
        clips: at least one. size: pixels per picture side. abreast: clips per row.

    Returns:
        float32 [H, W, 3] sRGB.
    """
    azimuths = torch.tensor(list(_VIEWS.values()))
    cameras = Cameras(orbit(azimuths, _ELEVATION), DEFAULT_FOV_Y, size, size)
    rows, labels = [], []
    for start in range(0, len(clips), abreast):
        row = clips[start : start + abreast]
        rows.append([image for clip in row for image in _picture(clip, np.zeros(1), cameras)[:, 0]])
        labels.append(", ".join(clip.species for clip in row))
    return contact_sheet(rows, labels, list(_VIEWS) * min(abreast, len(clips)))


def times_sheet(clips: Sequence[Clip], frames: int = 8, size: int = 128) -> np.ndarray:
    """One row per clip, its motion in `frames` steps from the front and a little to the side.

    Returns:
        float32 [H, W, 3] sRGB.
    """
    cameras = Cameras(orbit(torch.tensor([25.0]), _ELEVATION), DEFAULT_FOV_Y, size, size)
    rows = [list(_picture(clip, clip.times(frames), cameras)[0]) for clip in clips]
    return contact_sheet(rows, [clip.motion for clip in clips])


def species_sheet(size: int = 128, seed: int = 0) -> np.ndarray:
    """Every species from all sides (see `views_sheet`), each drawn with `seed`."""
    from animate124.toybox.characters import SPECIES, sample_clip

    return views_sheet([sample_clip(seed, species=name) for name in SPECIES], size, abreast=3)


def motions_sheet(species: str, size: int = 128, seed: int = 0) -> np.ndarray:
    """One species through all its motions (see `times_sheet`), drawn with `seed`.

    Raises UserError for an unknown species.
    """
    from animate124.toybox.characters import motions_of, sample_clip

    names = motions_of(species)
    return times_sheet([sample_clip(seed, species, motion=name) for name in names], size=size)


def mechanics_sheet(size: int = 128) -> np.ndarray:
    """Every mechanics clip over time (see `times_sheet`)."""
    from animate124.toybox.mechanics import MECHANICS

    makers: dict[str, Callable[[], Clip]] = MECHANICS
    return times_sheet([make() for make in makers.values()], size=size)


def _picture(clip: Clip, times: np.ndarray, cameras: Cameras) -> np.ndarray:
    """rgb [V, F, H, W, 3]."""
    truth = render(clip, times, cameras, samples=_SAMPLES, channels=("rgb",))
    assert truth.rgb is not None
    return truth.rgb
