"""Geometry of a multi-resolution grid: how many vertices each level has and where they lie."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Müller et al. 2022 (Instant-NGP), eq. 4: large primes for y and z; x keeps stride 1 so that the
# two x-neighbours of a cell usually share a cache line.
PRIMES = (1, 2654435761, 805459861)


@dataclass(frozen=True)
class GridLevels:
    """Levels of a 3D multi-resolution grid over the unit cube [0, 1]³.

    levels: number of levels L. features: features per vertex F. coarsest, finest: cells along an
    axis at the first and last level, geometric in between. log2_size: a level keeps at most
    2**log2_size vertices; up to that it is stored densely, beyond it is hashed over all three axes
    (so every level sees x, y and z; the published tiled grid drops z on its finer levels).
    """

    levels: int = 8
    features: int = 2
    coarsest: int = 8
    finest: int = 128
    log2_size: int = 15

    @cached_property
    def resolutions(self) -> np.ndarray:
        """Cells per axis at each level, int64 [L]."""
        if self.levels == 1:
            return np.array([self.coarsest])
        growth = (self.finest / self.coarsest) ** (1 / (self.levels - 1))
        return np.round(self.coarsest * growth ** np.arange(self.levels)).astype(np.int64)

    @cached_property
    def hashed(self) -> np.ndarray:
        """Whether a level is hashed, bool [L]."""
        return (self.resolutions + 1) ** 3 > 2**self.log2_size

    @cached_property
    def sizes(self) -> np.ndarray:
        """Table rows of each level, int64 [L]."""
        return np.where(self.hashed, 2**self.log2_size, (self.resolutions + 1) ** 3)

    @cached_property
    def offsets(self) -> np.ndarray:
        """First table row of each level, int64 [L + 1]; the last entry is the number of rows."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @property
    def rows(self) -> int:
        """Rows of the whole table."""
        return int(self.offsets[-1])

    @property
    def width(self) -> int:
        """Length of the feature vector, L·F."""
        return self.levels * self.features
