"""How well a mesh shows what its field shows: both rendered side by side."""

from __future__ import annotations

import numpy as np
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import contact_sheet
from animate124.metrics.image import psnr_union, silhouette_iou
from animate124.stages.export_mesh import Surface, fragments
from animate124.stages.finished_field import FinishedField

_AZIMUTHS = (0.0, 120.0, 240.0)
_SIZE, _SAMPLES = 96, 2
_MOMENTS = 8


def compare(
    scene: FinishedField, surface: Surface, paths: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Scores of the mesh against the field, and a sheet [H, W, 3] with the field above the mesh.

    paths: vertices [F, V, 3] at the times of one pass. The scores are silhouette IoU and PSNR (dB,
    over the pixels of either) at eight moments from three sides; with `_still` those of the mesh
    that does not move, which the animated one has to beat wherever the field moves.
    """
    chosen = np.unique(
        np.linspace(0, len(paths) - 1, min(_MOMENTS, len(paths))).round().astype(int)
    )
    times = scene.times(len(paths))[torch.from_numpy(chosen)]
    poses = orbit(torch.tensor(_AZIMUTHS), scene.elevation)
    # All sides of a moment together: finding what lies where is done once for them.
    found = [scene.images(poses, t.expand(len(poses)), _SIZE, _SAMPLES) for t in times]
    field, cover = (torch.stack([f[name] for f in found], 1) for name in ("rgb", "alpha"))
    scores: dict[str, float] = {}
    meshes = {
        "": _draw(surface, paths[chosen], poses, np.arange(len(chosen))),
        "_still": _draw(surface, paths[:1], poses, np.zeros(len(chosen), int)),
    }
    for name, (rgb, alpha) in meshes.items():
        iou, psnr = silhouette_iou(alpha, cover), psnr_union(rgb, field, alpha, cover)
        scores[f"silhouette_iou{name}"] = round(float(iou.mean()), 4)
        scores[f"psnr{name}"] = round(float(psnr.nanmean()), 4)
    rows = [row for pair in zip(field, meshes[""][0], strict=True) for row in pair]
    labels = [f"{kind} {a:.0f}°" for a in _AZIMUTHS for kind in ("field", "mesh")]
    columns = [f"t = {t:.2f}" for t in times.tolist()]
    return scores, contact_sheet([list(row.numpy()) for row in rows], labels, columns)


def _draw(
    surface: Surface, shapes: np.ndarray, poses: torch.Tensor, which: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """RGB [V, N, S, S, 3] over white and coverage [V, N, S, S] of the mesh in its own colours.

    From every pose [V, 4, 4]; picture n has shape which[n] of shapes [M, vertices, 3].
    """
    edge, count = _SIZE * _SAMPLES, len(which)
    cameras = Cameras(poses.repeat_interleave(count, 0), DEFAULT_FOV_Y, edge, edge)
    found = fragments(shapes, surface.faces, cameras, np.tile(which, len(poses)).astype(np.int32))
    corners = surface.faces[found.face]
    second, third = found.bary[..., 0:1], found.bary[..., 1:2]
    weights = np.stack([1 - second - third, second, third], -2)
    colour = (surface.colours[corners] * weights).sum(-2)
    hit = (found.face >= 0)[..., None]
    planes = np.concatenate([np.where(hit, colour, 1.0), hit], -1)
    shape = (len(poses), count, _SIZE, _SAMPLES, _SIZE, _SAMPLES, 4)
    image = torch.from_numpy(planes.reshape(shape).mean((3, 5)).astype(np.float32)).clamp(0, 1)
    return image[..., :3], image[..., 3]
