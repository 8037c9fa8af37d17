"""How well a mesh shows what its field shows: both rendered side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import contact_sheet
from animate124.metrics.image import psnr_union, silhouette_iou
from animate124.stages.export_mesh import Surface, fragments
from animate124.stages.finished import Finished

_AZIMUTHS = (0.0, 120.0, 240.0)
_SIZE, _SAMPLES = 96, 2
_MOMENTS = 8


def compare(
    scene: Finished, surface: Surface, paths: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """Scores of the mesh against the field, and a sheet [H, W, 3] with the field above the mesh.

    paths: vertices [F, V, 3] at the times of one pass. The scores are silhouette IoU and PSNR (dB,
    over the pixels of either) at eight moments from three sides; with `_still` those of the mesh
    that does not move, which the animated one has to beat wherever the field moves.
    """
    chosen = np.unique(
        np.linspace(0, len(paths) - 1, min(_MOMENTS, len(paths))).round().astype(int)
    )
    times = scene.times(len(paths))[torch.from_numpy(chosen)]
    scores: dict[str, list] = {}
    rows = []
    for azimuth in _AZIMUTHS:
        poses = orbit(azimuth, scene.elevation).expand(len(chosen), 4, 4)
        field = scene.images(poses, times, _SIZE, _SAMPLES)
        truth = field["rgb"], field["alpha"]
        for name, shapes in (("", paths[chosen]), ("_still", paths[:1])):
            which = np.arange(len(chosen)) % len(shapes)
            ours = _draw(surface, shapes, poses, which)
            scores.setdefault(f"silhouette_iou{name}", []).append(
                silhouette_iou(ours[1], truth[1]).mean()
            )
            scores.setdefault(f"psnr{name}", []).append(
                psnr_union(ours[0], truth[0], ours[1], truth[1]).nanmean()
            )
            if not name:
                rows += [list(truth[0].numpy()), list(ours[0].numpy())]
    labels = [f"{kind} {a:.0f}°" for a in _AZIMUTHS for kind in ("field", "mesh")]
    sheet = contact_sheet(rows, labels, [f"t = {t:.2f}" for t in times.tolist()])
    return {name: round(float(np.mean(values)), 4) for name, values in scores.items()}, sheet


def _draw(
    surface: Surface, shapes: np.ndarray, poses: torch.Tensor, which: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """RGB [N, S, S, 3] over white and coverage [N, S, S] of the mesh in its own colours."""
    edge = _SIZE * _SAMPLES
    cameras = Cameras(poses.contiguous(), DEFAULT_FOV_Y, edge, edge)
    found = fragments(shapes, surface.faces, cameras, which.astype(np.int32))
    corners = surface.faces[found.face]
    second, third = found.bary[..., 0:1], found.bary[..., 1:2]
    weights = np.stack([1 - second - third, second, third], -2)
    colour = (surface.colours[corners] * weights).sum(-2)
    hit = found.face >= 0
    planes = np.concatenate([np.where(hit[..., None], colour, 1.0), hit[..., None]], -1)
    shape = (len(poses), _SIZE, _SAMPLES, _SIZE, _SAMPLES, 4)
    image = torch.from_numpy(planes.reshape(shape).mean((2, 4)).astype(np.float32))
    return image[..., :3].clamp(0, 1), image[..., 3].clamp(0, 1)
