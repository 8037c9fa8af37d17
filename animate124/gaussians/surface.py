"""Gaussians on the surface of a textured mesh: spread evenly, flat, in the mesh's own colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from animate124.errors import UserError
from animate124.gaussians.cloud import Cloud
from animate124.media.glb import MeshPart
from animate124.media.glb.material import CLAMP, MIRROR
from animate124.media.images import decode_image, linear_to_srgb, srgb_to_linear

CANDIDATES = 8  # random points per Gaussian that is to remain
WIDTH = 0.4  # standard deviation within the surface, in mean distances to the nearest neighbours
THICKNESS = 0.05  # across the surface, in the same within it
OPACITY = 0.98
_NEIGHBOURS = 6
_ROUNDS = 4


def from_mesh(parts: Sequence[MeshPart], count: int, generator: np.random.Generator) -> Cloud:
    """About `count` (within a few per cent) Gaussians on the surface of meshes in world space.

    Random points, uniform by area, are thinned until no two are nearer than a common distance
    (a Poisson disk sample: as even as it gets without a mesh of its own).

    Args:
        parts: from `media.glb.posed_parts`. generator: the only source of randomness.

    Raises:
        UserError: meshes without any area, or an unreadable texture.
    """
    found = [_sample(part, count * CANDIDATES, parts, generator) for part in parts]
    points, normals, colours = (np.concatenate([f[k] for f in found]) for k in range(3))
    chosen = _thinned(points, count, generator)
    points, normals, colours = points[chosen], normals[chosen], colours[chosen]
    near = min(_NEIGHBOURS, len(points) - 1)
    spacing = cKDTree(points).query(points, near + 1)[0][:, 1:].mean(1)
    scales = spacing[:, None] * WIDTH * np.array([1.0, 1.0, THICKNESS])
    tensors = {
        "positions": points, "log_scales": np.log(np.maximum(scales, 1e-6)),
        "rotations": _frames(normals), "colours": colours,
        "opacity_logits": np.full(len(points), np.log(OPACITY / (1 - OPACITY))),
    }  # fmt: skip
    found = {name: torch.tensor(value, dtype=torch.float32) for name, value in tensors.items()}
    return Cloud(**found, flat=True)


def _areas(part: MeshPart) -> np.ndarray:
    corners = part.vertices[part.faces].astype(float)
    edges = corners[:, 1:] - corners[:, :1]
    return np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2


def _sample(
    part: MeshPart, total: int, parts: Sequence[MeshPart], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """This part's share of `total` area-uniform points (Osada et al. 2002, equation 1): positions,
    unit normals and sRGB colours, all [n, 3]."""
    area, whole = _areas(part), sum(float(_areas(p).sum()) for p in parts)
    if whole <= 0:
        raise UserError("The asset's meshes have no area: give a mesh with proper triangles.")
    share = int(np.ceil(total * area.sum() / whole))
    if share == 0 or area.sum() == 0:
        return (np.zeros((0, 3)),) * 3
    face = generator.choice(len(area), size=share, p=area / area.sum())
    root, other = np.sqrt(generator.random(share)), generator.random(share)
    bary = np.stack([1 - root, root * (1 - other), root * other], axis=1)
    corners = part.faces[face]
    points = np.einsum("nk,nki->ni", bary, part.vertices[corners].astype(float))
    return points, _normals(part, corners, bary), _colours(part, corners, bary)


def _normals(part: MeshPart, corners: np.ndarray, bary: np.ndarray) -> np.ndarray:
    a, b, c = (part.vertices[corners[:, k]].astype(float) for k in range(3))
    normals = np.cross(b - a, c - a)
    if part.normals is not None:
        smooth = np.einsum("nk,nki->ni", bary, part.normals[corners].astype(float))
        long = np.linalg.norm(smooth, axis=1, keepdims=True) > 0.1
        normals = np.where(long, smooth, normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _colours(part: MeshPart, corners: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """What the mesh shows, without light: texture times vertex colours times base colour, in linear
    light as glTF multiplies them."""
    linear = np.broadcast_to(srgb_to_linear(np.asarray(part.base_color[:3], float)), bary.shape)
    if part.colors is not None:
        own = srgb_to_linear(part.colors[:, :3].astype(float))
        linear = linear * np.einsum("nk,nki->ni", bary, own[corners])
    if part.texture is not None:
        uv = np.einsum("nk,nki->ni", bary, part.uv[corners].astype(float))
        texture = decode_image(part.texture, f"texture of {part.name}")
        linear = linear * _look_up(texture, uv, part.material.wrap)
    return linear_to_srgb(np.clip(linear, 0.0, 1.0))


def _look_up(texture: np.ndarray, uv: np.ndarray, wrap: tuple[int, int]) -> np.ndarray:
    """Linear colours [n, 3] of an sRGB texture [H, W, C] at uv [n, 2], bilinear."""
    texels = srgb_to_linear(texture[..., :3])
    left, columns = _neighbours(uv[:, 0], texels.shape[1], wrap[0])
    top, rows = _neighbours(uv[:, 1], texels.shape[0], wrap[1])
    upper, lower = (
        left[:, None] * texels[row, columns[0]] + (1 - left)[:, None] * texels[row, columns[1]]
        for row in rows
    )
    return top[:, None] * upper + (1 - top)[:, None] * lower


def _neighbours(u: np.ndarray, size: int, wrap: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The weight of the first of the two texels [n] around texture coordinates, and both."""
    place = u * size - 0.5
    first = np.floor(place).astype(int)
    near = [first, first + 1]
    if wrap == CLAMP:
        near = [k.clip(0, size - 1) for k in near]
    elif wrap == MIRROR:
        near = [np.where(k // size % 2 == 0, k % size, size - 1 - k % size) for k in near]
    else:
        near = [k % size for k in near]
    return 1 - (place - first), near


def _thinned(points: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Indices of about `count` of the points, none nearer than a common distance to another."""
    order = generator.permutation(len(points))
    tree = cKDTree(points)
    box = np.ptp(points, axis=0)
    # A square of that many disks; corrected below by how many really fit.
    radius = 0.75 * np.sqrt(max(box[0] * box[1] + box[1] * box[2] + box[2] * box[0], 1e-12) / count)
    kept = np.arange(len(points))
    for _ in range(_ROUNDS):
        kept = _independent(tree.query_pairs(radius, output_type="ndarray"), order)
        if abs(len(kept) - count) <= 0.02 * count:
            break
        radius *= np.sqrt(len(kept) / count)
    return kept


def _independent(pairs: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Points that greedy thinning in the given `order` keeps: no two of them are a pair.

    In rounds (Luby 1986): who comes before all undecided neighbours stays, and they go.
    """
    count = len(order)
    undecided, kept = np.ones(count, bool), np.zeros(count, bool)
    one, other = pairs[:, 0], pairs[:, 1]
    while undecided.any():
        alive = undecided[one] & undecided[other]
        one, other = one[alive], other[alive]
        first = np.full(count, count)
        np.minimum.at(first, one, order[other])
        np.minimum.at(first, other, order[one])
        new = undecided & (order < first)
        kept |= new
        undecided &= ~new
        undecided[other[new[one]]] = False
        undecided[one[new[other]]] = False
    return np.flatnonzero(kept)


def _frames(normals: np.ndarray) -> np.ndarray:
    """Quaternions [n, 4] (w, x, y, z) of rotations that take +z to the normals."""
    aside = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(aside, normals)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    matrices = np.stack([first, np.cross(normals, first), normals], axis=2)
    return Rotation.from_matrix(matrices).as_quat(scalar_first=True)
