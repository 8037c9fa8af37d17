"""Textures as the mesh renderer samples them: linear light, premultiplied, at every size."""

from collections.abc import Sequence

import numpy as np

from animate124.media.glb.model import MeshPart
from animate124.media.images import decode_image, resize, srgb_to_linear

_LARGEST = 2048  # texels per edge: no picture here shows more

# Columns of the texture table, one row per part: where its levels start (row of the texel list),
# how many there are, width and height of the first, wrapping of u and v.
START, LEVELS, WIDTH, HEIGHT, WRAP_U, WRAP_V = range(6)


def pack_textures(parts: Sequence[MeshPart]) -> tuple[np.ndarray, np.ndarray]:
    """All textures of some parts in one list.

    Returns:
        texels [P, 4] float32, premultiplied linear RGBA, level after level (each half the edge of
        the one before, rounded down, to one texel), and the table [parts, 6] int64 of where to find
        them; LEVELS is 0 for a part without a texture.

    Raises:
        UserError: a texture that is no readable picture.
    """
    table = np.zeros((len(parts), 6), np.int64)
    places: dict[bytes, np.ndarray] = {}
    texels: list[np.ndarray] = []
    count = 0
    for row, part in zip(table, parts, strict=True):
        if part.texture is None:
            continue
        if part.texture not in places:
            levels = _levels(decode_image(part.texture, f"of the material {part.name!r}"))
            height, width = levels[0].shape[:2]
            places[part.texture] = np.array([count, len(levels), width, height])
            texels += [level.reshape(-1, 4) for level in levels]
            count += sum(level.shape[0] * level.shape[1] for level in levels)
        row[:4] = places[part.texture]
        row[4:] = part.material.wrap
    return np.concatenate([*texels, np.zeros((1, 4), np.float32)]), table


def _levels(image: np.ndarray) -> list[np.ndarray]:
    """Premultiplied linear RGBA of an sRGB image [H, W, 3|4], from its size down to one texel."""
    height, width = image.shape[:2]
    if max(height, width) > _LARGEST:
        factor = _LARGEST / max(height, width)
        image = resize(image, max(round(height * factor), 1), max(round(width * factor), 1), "area")
    level = np.ones((*image.shape[:2], 4), np.float32)
    level[..., 3:] = image[..., 3:] if image.shape[2] == 4 else 1.0
    level[..., :3] = srgb_to_linear(image[..., :3]) * level[..., 3:]
    levels = [level]
    while max(level.shape[:2]) > 1:
        level = _halved(_halved(level, 0), 1)
        levels.append(level)
    return levels


def _halved(level: np.ndarray, axis: int) -> np.ndarray:
    """Means of neighbours along an axis; the last one of an odd number is dropped."""
    count = level.shape[axis] // 2
    if count == 0:
        return level
    pairs = np.moveaxis(level, axis, 0)[: 2 * count]
    return np.ascontiguousarray(np.moveaxis((pairs[0::2] + pairs[1::2]) / 2, 0, axis))
