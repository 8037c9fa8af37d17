"""Where an asset stood and where it stands with us: a similarity, there and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate124.errors import UserError

PLACEMENT = "normalise.json"
_VERSION = 1
# Rows of the rotation that turns an up axis to +y: where our x, y and z come from. A z-up asset
# faces −y (as in Blender), one with −y up (as cameras see the world) faces −z.
_UPRIGHT = {
    "y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
}


@dataclass(frozen=True, eq=False)
class Placement:
    """ours = scale · rotation · (original − centre); rotation [3, 3] with det +1, centre [3]."""

    scale: float
    rotation: np.ndarray
    centre: np.ndarray

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the asset in our world, float64."""
        return self.scale * (np.asarray(points, float) - self.centre) @ self.rotation.T

    def back(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of our world where the asset had them, float64."""
        return np.asarray(points, float) @ self.rotation / self.scale + self.centre

    def record(self) -> dict[str, Any]:
        """For JSON; `matrix` and `inverse` are 4x4, row by row, for columns (x, y, z, 1)."""
        matrix, inverse = np.eye(4), np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.forward(np.zeros(3))
        inverse[:3, :3], inverse[:3, 3] = self.rotation.T / self.scale, self.centre
        return {
            "version": _VERSION,
            "scale": self.scale,
            "rotation": self.rotation.tolist(),
            "centre": self.centre.tolist(),
            "matrix": matrix.tolist(),
            "inverse": inverse.tolist(),
        }


def read_placement(folder: Path) -> Placement:
    """The placement that `intake` left in a folder.

    Raises UserError: it is missing or damaged.
    """
    path = folder / PLACEMENT
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["version"] != _VERSION:
            raise ValueError(f"version {record['version']}")
        rotation, centre = np.array(record["rotation"], float), np.array(record["centre"], float)
        if rotation.shape != (3, 3) or centre.shape != (3,):
            raise ValueError("a rotation and a centre are needed")
        return Placement(float(record["scale"]), rotation, centre)
    except FileNotFoundError:
        raise UserError(
            f"There is no file {path}: give the folder of `animate124 intake`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"The file {path} is damaged ({error}): run intake again.") from None


def place(points: np.ndarray, up: str, front: float, radius: float) -> Placement:
    """The placement that puts the sphere around points [N, 3] about the origin.

    Args:
        up: axis of the points that becomes +y, as "y" or "-z". front: azimuth in degrees, once
            upright, that becomes +z. radius: of the sphere afterwards, world units.

    Raises:
        ValueError: points of no extent.
    """
    centre, around = enclosing_sphere(points)
    if around <= 1e-12 * max(float(np.abs(points).max()), 1e-30):
        raise ValueError("it has no extent")
    turn = np.radians(front)
    sin, cos = np.sin(turn), np.cos(turn)
    about_y = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return Placement(radius / around, about_y @ np.array(_UPRIGHT[up], float), centre)


def enclosing_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Nearly the smallest sphere around points [N, 3]: centre [3] and radius; it holds them all.

    Bădoiu and Clarkson 2003, on the points that lie outermost in some direction.
    """
    points = np.asarray(points, float)
    k = np.arange(256) + 0.5
    up = 1.0 - 2.0 * k / len(k)
    turn = k * np.pi * (3.0 - np.sqrt(5.0))
    ring = np.sqrt(1.0 - up * up)
    directions = np.stack([ring * np.cos(turn), up, ring * np.sin(turn)], axis=1)
    middle = (points.min(0) + points.max(0)) / 2
    around = np.ascontiguousarray((points - middle).T)
    outer = points[np.unique([int((d @ around).argmax()) for d in directions])]
    centre = middle
    best, smallest = middle, np.inf
    for i in range(400):
        offset = outer - centre
        squared = np.einsum("ij,ij->i", offset, offset)
        far = int(squared.argmax())
        if squared[far] < smallest:
            best, smallest = centre, float(squared[far])
        centre = centre + offset[far] / (i + 2)
    return best, float(np.linalg.norm(points - best, axis=1).max())
