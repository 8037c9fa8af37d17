"""The parts of an asset as they are kept: in our world, one per material, textures embeddable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from animate124.media.glb import MeshPart
from animate124.media.images import decode_image, encode_png
from animate124.media.ply import GaussianArrays
from animate124.stages.placement import Placement
from animate124.stages.welding import split, weld

_EMBEDDABLE = (b"\x89PNG", b"\xff\xd8\xff")
# Gaussians that let nearly all light through, and those far off the rest.
_CLEAR, _OUTLIERS, _BEYOND = 0.05, 0.005, 1.3


def placed_parts(parts: Sequence[MeshPart], placement: Placement) -> list[MeshPart]:
    """The parts in our world, put together by material, with vertices of one place at one place.

    Raises:
        UserError: a texture that is no readable picture.
    """
    moved = [
        replace(
            part,
            vertices=placement.forward(part.vertices).astype(np.float32),
            normals=None if part.normals is None else part.normals @ placement.rotation.T,
        )
        for part in parts
    ]
    merged = [_joined(group) for group in _by_material(moved)]
    points, index = weld(np.concatenate([part.vertices for part in merged]))
    textures: dict[bytes, bytes] = {}
    names: set[str] = set()
    kept = []
    for part, vertices in zip(merged, split(points[index], merged), strict=True):
        look = part.material
        for data in (part.texture, *look.textures.values()):
            if data is not None and data not in textures:
                textures[data] = _embeddable(data, part.name)
        further = {name: textures[data] for name, data in look.textures.items()}
        texture = None if part.texture is None else textures[part.texture]
        kept.append(
            replace(
                part,
                name=_unused(part.name or "mesh", names),
                vertices=vertices,
                texture=texture,
                material=replace(look, textures=further),
            )
        )
    return kept


def _by_material(parts: Sequence[MeshPart]) -> list[list[MeshPart]]:
    """Parts that look alike and have normals alike, in the order of their first."""
    groups: list[tuple[tuple, list[MeshPart]]] = []
    for part in parts:
        textured = part.uv is not None and (part.texture is not None or part.material.textures)
        look = (
            part.texture,
            part.base_color,
            part.unlit,
            part.material,
            bool(textured),
            part.normals is None,
        )
        for known, group in groups:
            if known == look:
                group.append(part)
                break
        else:
            groups.append((look, [part]))
    return [group for _, group in groups]


def _joined(parts: list[MeshPart]) -> MeshPart:
    """Several parts as one."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])[:-1]
    uv = colours = None
    if any(part.uv is not None for part in parts):
        uv = np.concatenate([_or(part.uv, np.zeros((len(part.vertices), 2))) for part in parts])
    if any(part.colors is not None for part in parts):
        colours = np.concatenate([_rgba(part) for part in parts])
        if (colours[:, 3] == 1).all():
            colours = colours[:, :3]
    return replace(
        parts[0],
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([p.faces + k for p, k in zip(parts, offsets, strict=True)]),
        normals=None
        if parts[0].normals is None
        else np.concatenate([part.normals for part in parts]),
        uv=uv,
        colors=colours,
    )


def _or(found: np.ndarray | None, otherwise: np.ndarray) -> np.ndarray:
    return (otherwise if found is None else found).astype(np.float32)


def _rgba(part: MeshPart) -> np.ndarray:
    """Vertex colours [V, 4], white where there are none."""
    colours = np.ones((len(part.vertices), 4), np.float32)
    if part.colors is not None:
        colours[:, : part.colors.shape[1]] = part.colors
    return colours


def _embeddable(data: bytes, name: str) -> bytes:
    """A texture as PNG or JPEG, after it has been seen to be readable."""
    image = decode_image(data, f"of the material {name!r}")
    return data if data.startswith(_EMBEDDABLE) else encode_png(image)


def _unused(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken."""
    count, found = 2, name
    while found in taken:
        found, count = f"{name} {count}", count + 1
    taken.add(found)
    return found


def visible(gaussians: GaussianArrays) -> np.ndarray:
    """Which Gaussians [N] tell the size of a cloud: not the clear ones, not the few far off."""
    opacity = 1.0 / (1.0 + np.exp(-np.clip(gaussians.opacity_logits.astype(float), -50, 50)))
    seen = opacity >= _CLEAR
    if not seen.any():
        return np.ones(len(opacity), bool)
    middle = np.median(gaussians.positions[seen], axis=0)
    distance = np.linalg.norm(gaussians.positions - middle, axis=1)
    return seen & (distance <= np.quantile(distance[seen], 1.0 - _OUTLIERS))


def placed_gaussians(
    gaussians: GaussianArrays, placement: Placement, radius: float
) -> GaussianArrays:
    """The Gaussians in our world, of one colour each, without those far outside the sphere.

    Colours lose what depends on the direction of view: the later stages have none.
    """
    positions = placement.forward(gaussians.positions)
    kept = np.linalg.norm(positions, axis=1) <= _BEYOND * radius
    # scipy's quaternions end with w.
    own = Rotation.from_quat(np.roll(gaussians.rotations[kept].astype(float), -1, axis=1))
    turned = (Rotation.from_matrix(placement.rotation) * own).as_quat()
    return GaussianArrays(
        positions=positions[kept].astype(np.float32),
        sh=gaussians.sh[kept, :1],
        opacity_logits=gaussians.opacity_logits[kept],
        log_scales=(gaussians.log_scales[kept] + np.log(placement.scale)).astype(np.float32),
        rotations=np.roll(turned, 1, axis=1).astype(np.float32),
    )
