"""Triangle lists of strips and fans (glTF 2.0 specification, section 3.7.2.1)."""

import numpy as np

TRIANGLES, STRIP, FAN = 4, 5, 6


def triangles(indices: np.ndarray, mode: int) -> np.ndarray:
    """Faces [F, 3] of the vertex numbers [I] in their order; degenerate ones of strips are dropped.

    Raises ValueError for a mode that draws no triangles or a list that does not divide into them.
    """
    if mode == TRIANGLES:
        return indices.reshape(-1, 3)
    if mode not in (STRIP, FAN) or len(indices) < 3:
        raise ValueError(f"mode {mode} with {len(indices)} indices is no triangles")
    count = len(indices) - 2
    first, second, third = indices[:count], indices[1 : count + 1], indices[2:]
    if mode == FAN:
        faces = np.stack([second, third, np.full(count, indices[0])], axis=1)
    else:
        odd = np.arange(count) % 2 == 1
        faces = np.stack([first, np.where(odd, third, second), np.where(odd, second, third)], 1)
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]
