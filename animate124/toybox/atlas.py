"""Procedural paint baked to a texture: one square per part, packed into one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from animate124.kernels.raster import rasterize
from animate124.media.images import linear_to_srgb
from animate124.toybox.meshes import Mesh
from animate124.toybox.paint import paint_fragments, paint_table
from animate124.toybox.rig import Rig

TEXEL = 0.006
_PLAIN_CELL, _SMALLEST_CELL, _LARGEST_CELL = 8, 64, 256
# Texels between a part's square and its cell's border, so that filtering stays within the part.
_GUTTER = 2


@dataclass(frozen=True, eq=False)
class Atlas:
    """`texture` [H, W, 3] float32 sRGB and `uv` [V, 2] in [0, 1], (0, 0) the top left corner.

    `uv` has one row per vertex of the mesh; those of parts that were not baked are 0.
    """

    texture: np.ndarray
    uv: np.ndarray


def bake_atlas(rig: Rig, mesh: Mesh, parts: Sequence[int], texel: float = TEXEL) -> Atlas:
    """Bake the paint of some of the rig's parts.

    Args:
        mesh: the tessellated rig. parts: indices of the parts to bake, at least one.
        texel: wanted world units per texel along the longest way around a part; a cell has 64 to
            256 texels a side, a plain part 8.
    """
    sizes = {index: _cell(rig, mesh, index, texel) for index in parts}
    places, width, height = _pack(sizes)
    table = paint_table(rig, mesh.local, mesh.part)
    texture = np.ones((height, width, 3), np.float32)
    uv = np.zeros_like(mesh.uv)
    for index, (x, y) in places.items():
        cell = sizes[index]
        texture[y : y + cell, x : x + cell] = _bake_cell(mesh, table, index, cell)
        own = mesh.part == index
        inner = cell - 2 * _GUTTER
        uv[own, 0] = (x + _GUTTER + mesh.uv[own, 0] * inner) / width
        uv[own, 1] = (y + _GUTTER + (1.0 - mesh.uv[own, 1]) * inner) / height
    return Atlas(texture, uv)


def _cell(rig: Rig, mesh: Mesh, index: int, texel: float) -> int:
    """Texels per side of a part's cell, a power of two."""
    if rig.parts[index].paint.pattern == "plain":
        return _PLAIN_CELL
    around = np.pi * np.ptp(mesh.local[mesh.part == index], axis=0).max()
    wanted = 2 ** int(np.ceil(np.log2(around / texel)))
    return int(np.clip(wanted, _SMALLEST_CELL, _LARGEST_CELL))


def _pack(sizes: dict[int, int]) -> tuple[dict[int, tuple[int, int]], int, int]:
    """Top left corners (x, y) of square cells, largest first on shelves; width and height."""
    area = sum(size * size for size in sizes.values())
    width = max(2 ** int(np.ceil(np.log2(np.sqrt(area)))), max(sizes.values()))
    places: dict[int, tuple[int, int]] = {}
    x = y = shelf = 0
    for index in sorted(sizes, key=lambda i: (-sizes[i], i)):
        if x + sizes[index] > width:
            x, y, shelf = 0, y + shelf, 0
        shelf = max(shelf, sizes[index])
        places[index] = (x, y)
        x += sizes[index]
    return places, width, y + shelf


def _bake_cell(mesh: Mesh, table: np.ndarray, index: int, cell: int) -> np.ndarray:
    """sRGB texels [cell, cell, 3] of one part.

    The part's triangles are laid flat by their uv before a camera that sees exactly one cell, so
    each texel centre finds its triangle and weights; texels outside copy the nearest inside.
    """
    inner = (cell - 2 * _GUTTER) / cell
    flat = np.concatenate([(mesh.uv - 0.5) * inner, np.full((len(mesh.uv), 1), -1.0)], axis=1)
    own = mesh.face_part == index
    faces = mesh.faces[own]
    fragments = rasterize(
        flat[None],
        faces,
        np.zeros(len(flat), np.int32),
        np.eye(4)[None, None, :3],
        np.zeros(1, np.int32),
        2.0 * np.degrees(np.arctan(0.5)),
        cell,
        cell,
    )
    colours = paint_fragments(
        table, faces, mesh.face_part[own], mesh.local, fragments.face, fragments.bary
    )[0]
    _, (rows, columns) = distance_transform_edt(fragments.face[0] < 0, return_indices=True)
    return linear_to_srgb(colours[rows, columns])
