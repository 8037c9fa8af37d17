"""Where the subject sits in the square picture, and its estimated depth and normals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS, focal_length
from animate124.media.images import resize
from animate124.settings.preprocess import PreprocessSettings
from animate124.stages.preprocess_matte import INSIDE

# How far what is seen of a subject reaches towards the camera, as a share of its larger side: on
# 116 characters of the toybox's test split 0.41 ± 0.20 (median 0.37) between the 2nd and the 98th
# percentile, the farther of which lies at 2.20 ± 0.12: at the radius of the camera's orbit.
_RELIEF = 0.4
_PERCENTILES = (2.0, 98.0)
_SMOOTHING = 1 / 128  # of the edge: standard deviation of the filter that normals are taken after


@dataclass(frozen=True)
class Box:
    """The rectangle around the subject: edges in pixels, the right and bottom one exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, alpha: np.ndarray) -> Box | None:
        """Of the pixels inside a matte [H, W]; None if there is none."""
        rows, columns = (np.flatnonzero((alpha > INSIDE).any(axis=a)) for a in (1, 0))
        if len(rows) == 0:
            return None
        return cls(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    @property
    def larger(self) -> int:
        """The larger side, pixels."""
        return max(self.right - self.left, self.bottom - self.top)

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y), pixels."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def touched(self, height: int, width: int) -> list[str]:
        """The edges of its picture that it reaches, in words."""
        reached = {
            "left": self.left == 0,
            "top": self.top == 0,
            "right": self.right == width,
            "bottom": self.bottom == height,
        }
        return [name for name, true in reached.items() if true]


@dataclass(frozen=True)
class Placement:
    """The square of the source that becomes the result: left, top and edge, source pixels.

    It may reach beyond the source. `moved` tells whether it is another than the whole source.
    """

    left: int
    top: int
    edge: int
    moved: bool

    def record(self) -> dict[str, Any]:
        """As it stands in the stage's record."""
        return asdict(self)


def place(box: Box, height: int, width: int, settings: PreprocessSettings) -> Placement:
    """Where to cut: so that the subject's larger side is `fill` of the edge and its box central.

    A picture that is square, with a subject that sits well already, is left as it is.
    """
    edge = max(height, width)
    if settings.recentre == "never" or (
        settings.recentre == "auto" and height == width and _sits_well(box, edge, settings)
    ):
        left, top = (width - edge) // 2, (height - edge) // 2
        return Placement(left, top, edge, height != width)
    edge = max(round(box.larger / settings.fill), 1)
    x, y = box.centre
    return Placement(math.floor(x - edge / 2 + 0.5), math.floor(y - edge / 2 + 0.5), edge, True)


def _sits_well(box: Box, edge: int, settings: PreprocessSettings) -> bool:
    ratio = box.larger / edge / settings.fill
    off = max(abs(c / edge - 0.5) for c in box.centre)
    return abs(ratio - 1.0) <= settings.size_slack and off <= settings.centre_slack


def cut(rgba: np.ndarray, placement: Placement, size: int) -> np.ndarray:
    """The placed square of a straight-alpha picture [H, W, 4] at [size, size, 4], float32.

    What lies beyond the source is transparent; so are all colours where nothing is covered.
    """
    edge, (height, width) = placement.edge, rgba.shape[:2]
    square = np.zeros((edge, edge, 4), np.float32)
    top, left = max(placement.top, 0), max(placement.left, 0)
    bottom, right = min(placement.top + edge, height), min(placement.left + edge, width)
    square[
        top - placement.top : bottom - placement.top, left - placement.left : right - placement.left
    ] = rgba[top:bottom, left:right]
    return resize(square, size, size, "area" if edge >= size else "bilinear")


def nearness(relative: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Relative inverse depth [S, S] as shares: 0 far and 1 near in the subject, 0 outside.

    The 2nd and 98th percentile within the subject become 0 and 1, so that a few wild pixels on its
    edge do not squeeze all others. Inside, the least is one step of 16 bits, so that 0 is outside.
    """
    inside = alpha > INSIDE
    low, high = np.percentile(relative[inside], _PERCENTILES)
    share = (relative - low) / max(high - low, 1e-12)
    return np.where(inside, np.clip(share, 1 / 65535, 1.0), 0.0).astype(np.float32)


def distances(near: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Planar distances [S, S] to the reference camera in world units, of `nearness` [S, S].

    Relative inverse depth knows neither scale nor shift: the farthest is put at the centre of the
    scene and the nearest `_RELIEF` of the subject's larger side before it.
    """
    box = Box.around(alpha)
    assert box is not None, "a subject"
    side = (
        box.larger / len(alpha) * 2.0 * DEFAULT_RADIUS * math.tan(math.radians(DEFAULT_FOV_Y / 2))
    )
    far, close = 1.0 / DEFAULT_RADIUS, 1.0 / (DEFAULT_RADIUS - _RELIEF * side)
    return (1.0 / (far + near * (close - far))).astype(np.float32)


def normals(distance: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Unit normals [S, S, 3] of a surface seen by the reference camera; 0 outside the subject.

    Camera space: x right, y up, z to the camera. The cross product of the central differences of
    the points that the pixels show, after smoothing within the subject.

    Args:
        distance: planar distances [S, S], world units. alpha: its matte [S, S].
    """
    inside = alpha > INSIDE
    size = len(alpha)
    sigma = _SMOOTHING * size
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(inside, distance, 0.0), sigma)
    smooth = smooth / np.maximum(weight, 1e-6)
    rows, columns = ndimage.distance_transform_edt(
        ~inside, return_distances=False, return_indices=True
    )
    smooth = smooth[rows, columns]  # so that differences at the edge do not reach outside
    place = (np.arange(size) + 0.5 - size / 2) / focal_length(DEFAULT_FOV_Y, size)
    points = np.stack([place[None, :] * smooth, -place[:, None] * smooth, -smooth], axis=-1)
    right, up = np.gradient(points, axis=1), -np.gradient(points, axis=0)
    found = np.cross(right, up)
    found /= np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
    return np.where(inside[..., None], found, 0.0).astype(np.float32)
