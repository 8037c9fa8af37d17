"""Textured triangle meshes rendered on the CPU, without any graphics library.

Visibility comes from `kernels.raster`; textures are sampled perspective-correctly between texels
and between levels (Williams, "Pyramidal parametrics", 1983), and see-through surfaces are peeled
layer by layer (Everitt, "Interactive order-independent transparency", 2001).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from animate124.geometry.cameras import Cameras
from animate124.kernels.raster import rasterize
from animate124.media.glb.model import MeshPart
from animate124.media.images import srgb_to_linear
from animate124.render.mesh_shade import shade_fragments
from animate124.render.texture import HEIGHT, WIDTH, pack_textures

LIGHTS = ("none", "studio")
_LAYERS = 6  # surfaces behind one another of which all but the last are see-through
_OPAQUE, _MASK, _BLEND = range(3)
_MODES = {"OPAQUE": _OPAQUE, "MASK": _MASK, "BLEND": _BLEND}
# Subsamples rasterised at once.
_BATCH = 1 << 20


@dataclass(frozen=True, eq=False)
class MeshScene:
    """Parts put together for rendering; made by `prepare`.

    vertices [V, 3], normals [V, 3], uv [V, 2], colours [V, 4] linear RGBA, faces [T, 3] int32 of
    all parts in a row (both sides of double-sided ones), face_part [T], detail [T] texels per
    world unit, materials [P, 8]: base colour linear RGBA, cutoff, mode, unlit, flat; texels and
    textures: see `pack_textures`; see_through: whether light gets through any surface.
    """

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    colours: np.ndarray
    faces: np.ndarray
    face_part: np.ndarray
    detail: np.ndarray
    materials: np.ndarray
    texels: np.ndarray
    textures: np.ndarray
    see_through: bool


def prepare(parts: Sequence[MeshPart]) -> MeshScene:
    """Parts in world space (as from `glb.posed_parts`) as one scene.

    A part without normals is shown with flat faces.

    Raises:
        UserError: a texture that is no readable picture.
    """
    texels, textures = pack_textures(parts)
    faces, face_part, offset = [], [], 0
    for index, part in enumerate(parts):
        own = np.asarray(part.faces, np.int64) + offset
        both = [own, own[:, ::-1]] if part.material.double_sided else [own]
        faces += both
        face_part.append(np.full(sum(map(len, both)), index, np.int32))
        offset += len(part.vertices)
    triangles = np.concatenate(faces).astype(np.int32)
    owners = np.concatenate(face_part)
    vertices = np.concatenate([p.vertices for p in parts]).astype(np.float64)
    uv = _stacked(parts, "uv", 2, 0.0)
    colours = np.concatenate([_rgba(part) for part in parts])
    colours[:, :3] = srgb_to_linear(colours[:, :3])
    modes = np.array([_mode(part) for part in parts])
    materials = np.zeros((len(parts), 8))
    for row, part, mode in zip(materials, parts, modes, strict=True):
        row[:3], row[3] = srgb_to_linear(np.array(part.base_color[:3])), part.base_color[3]
        row[4], row[5] = part.material.alpha_cutoff, mode
        row[6], row[7] = part.unlit, part.normals is None
    return MeshScene(
        vertices=vertices,
        normals=_stacked(parts, "normals", 3, 0.0).astype(np.float64),
        uv=uv,
        colours=colours,
        faces=triangles,
        face_part=owners,
        detail=_detail(vertices, uv, triangles, textures[owners]),
        materials=materials,
        texels=texels,
        textures=textures,
        see_through=bool((modes != _OPAQUE).any()),
    )


def render_mesh(
    scene: MeshScene,
    cameras: Cameras,
    samples: int = 2,
    light: str = "none",
    shapes: np.ndarray | None = None,
    shape_normals: np.ndarray | None = None,
    which: np.ndarray | None = None,
) -> np.ndarray:
    """Images of a scene.

    Args:
        cameras: N of them. samples: subsamples per pixel side (box filter).
        light: "none" shows colours as they are, "studio" under the toybox's light
            (`toybox.shade`), which depends on the world normal alone; unlit parts stay as they are.
        shapes: [M, V, 3] and shape_normals [M, V, 3], to show the scene's vertices elsewhere;
            which: [N] of the M for each camera, the first if left out.

    Returns:
        float32 [N, H, W, 4] sRGB in [0, 1] with straight alpha: colours are the mean of the
        subsamples that hit, alpha the share that do.

    Raises:
        ValueError: unknown light, or samples < 1.
    """
    if light not in LIGHTS or samples < 1:
        raise ValueError(f"light {light!r} must be one of {LIGHTS}, samples {samples} at least 1")
    count, height, width = len(cameras), cameras.height, cameras.width
    vertices = scene.vertices[None] if shapes is None else np.ascontiguousarray(shapes, np.float64)
    normals = scene.normals[None] if shape_normals is None else shape_normals
    source = np.zeros(count, np.int32) if which is None else np.asarray(which, np.int32)
    pose = cameras.c2w.double().cpu().numpy()
    turn = pose[:, :3, :3].transpose(0, 2, 1)
    matrices = np.ascontiguousarray(np.concatenate([turn, -turn @ pose[:, :3, 3:]], 2)[:, None])
    edge = (height * samples, width * samples)
    images = np.empty((count, height, width, 4), np.float32)
    batch = max(_BATCH // (edge[0] * edge[1]), 1)
    for start in range(0, count, batch):
        some = slice(start, min(start + batch, count))
        sampled = _sampled(
            scene,
            vertices,
            np.ascontiguousarray(normals, np.float64),
            matrices[some],
            source[some],
            cameras.fov_y,
            edge,
            light,
        )
        images[some] = _resolved(sampled, samples)
    return images


def _sampled(
    scene: MeshScene,
    vertices: np.ndarray,
    normals: np.ndarray,
    matrices: np.ndarray,
    source: np.ndarray,
    fov_y: float,
    edge: tuple[int, int],
    light: str,
) -> np.ndarray:
    """Premultiplied sRGB with alpha of every subsample, [N, H, W, 4]."""
    groups = np.zeros(vertices.shape[1], np.int32)
    sampled = np.zeros((len(matrices), *edge, 4), np.float32)
    beyond = None
    eyes = -np.einsum("nji,nj->ni", matrices[:, 0, :, :3], matrices[:, 0, :, 3])
    step = 2.0 * np.tan(np.radians(fov_y) / 2.0) / edge[0]
    for _ in range(_LAYERS if scene.see_through else 1):
        found = rasterize(
            vertices, scene.faces, groups, matrices, source, fov_y, *edge, beyond=beyond
        )
        more = shade_fragments(scene, found, vertices, normals, source, eyes, step, light, sampled)
        if not more:
            break
        # Where nothing more is to be seen, nothing more is drawn.
        beyond = np.where((found.face >= 0) & (sampled[..., 3] < 1.0), found.depth, np.inf)
        beyond = beyond.astype(np.float32)
    return sampled


def _resolved(sampled: np.ndarray, samples: int) -> np.ndarray:
    """Pixels with straight alpha from premultiplied subsamples."""
    count, height, width = sampled.shape[:3]
    shape = (count, height // samples, samples, width // samples, samples, 4)
    pixels = sampled.reshape(shape).mean((2, 4))
    pixels[..., :3] /= np.maximum(pixels[..., 3:], 1e-6)
    return np.clip(pixels, 0.0, 1.0)


def _stacked(parts: Sequence[MeshPart], name: str, width: int, missing: float) -> np.ndarray:
    """An array of every part in a row, `missing` where a part has none."""
    found = [
        np.full((len(p.vertices), width), missing) if getattr(p, name) is None else getattr(p, name)
        for p in parts
    ]
    return np.concatenate(found).astype(np.float32)


def _rgba(part: MeshPart) -> np.ndarray:
    """Vertex colours [V, 4], white where there are none."""
    colours = np.ones((len(part.vertices), 4), np.float32)
    if part.colors is not None:
        colours[:, : part.colors.shape[1]] = part.colors
    return colours


def _mode(part: MeshPart) -> int:
    """How a part's alpha counts."""
    stated = part.material.alpha_mode
    if stated is not None:
        return _MODES.get(stated, _OPAQUE)
    faded = part.colors is not None and np.min(part.colors[:, 3:], initial=1.0) < 1.0
    return _BLEND if part.base_color[3] < 1.0 or faded else _OPAQUE


def _detail(
    vertices: np.ndarray, uv: np.ndarray, faces: np.ndarray, textures: np.ndarray
) -> np.ndarray:
    """Texels per world unit [T] of every triangle: the root of its texture's over its own area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    size = textures[:, [WIDTH, HEIGHT]]
    a, b, c = (uv[faces[:, k]] * size for k in range(3))
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    return np.sqrt(np.abs(ux * vy - uy * vx) / np.maximum(area, 1e-30))
