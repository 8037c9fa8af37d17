"""A clip: a rig that moves, with the words that say what it is and does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from animate124.toybox.rig import Pose, Rig

Deform = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Clip:
    """One moving character.

    `pose(t)` gives the pose at time t in [0, 1]; `deform(vertices [V, 3], t) -> [V, 3]`, applied in
    rest space before the pose, is for the non-rigid mechanics clips. When `loop` is true the motion
    has period 1: t = 0 and t = 1 are the same moment, and frame k of F lies at k / F; otherwise at
    k / (F − 1).
    """

    rig: Rig
    pose: Callable[[float], Pose]
    species: str
    motion: str
    caption: str
    loop: bool = True
    deform: Deform | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def times(self, frames: int) -> np.ndarray:
        """Frame times [frames] in [0, 1]: k/F for a loop, k/(F−1) otherwise (0 for one frame)."""
        if self.loop or frames == 1:
            return np.arange(frames) / frames
        return np.arange(frames) / (frames - 1)
