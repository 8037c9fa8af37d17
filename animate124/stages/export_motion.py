"""Where the vertices of a field's surface go: along the motion found in the field itself."""

from __future__ import annotations

import numpy as np
import torch

from animate124.fields.flow import FlowField, estimate_flow
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras
from animate124.geometry.trajectories import spread_views
from animate124.stages.export_mesh import COARSE, density_grid, fragments, iou, isosurface
from animate124.stages.finished_field import FinishedField

_BASES = 8  # moments whose surface is tried
_VIEWS, _SIZE = 4, 64  # silhouettes that are compared at every moment
_GAIN = 0.006  # by which another moment's surface has to be better than that of t = 0


def motion(scene: FinishedField) -> FlowField | None:
    """The field with the motion between its time slices; None where there is but one slice."""
    if scene.moments == 1:
        return None
    field = scene.field
    return field if isinstance(field, FlowField) else estimate_flow(field, scene.occupancy)


def best_base(scene: FinishedField, flow: FlowField, level: float) -> int:
    """The time slice whose surface, moved along, agrees best with what is seen at all slices.

    Parts that touch at one moment are one piece in its surface and stay so: feet that meet grow a
    web between them. So the surface of a moment when they are apart is the better one. t = 0 is
    taken unless another moment is clearly better.
    """
    step = -(-scene.moments // _BASES)
    every = slice_times(scene)
    cameras = Cameras(spread_views(_VIEWS), DEFAULT_FOV_Y, _SIZE, _SIZE)
    seen = np.stack(
        [
            scene.images(cameras.c2w, torch.full((_VIEWS,), t), _SIZE)["alpha"].numpy() > 0.5
            for t in every
        ]
    )
    views = Cameras(cameras.c2w.repeat(len(every), 1, 1), DEFAULT_FOV_Y, _SIZE, _SIZE)
    which = np.arange(len(every), dtype=np.int32).repeat(_VIEWS)
    scores = {}
    for k in range(0, scene.moments, step):
        vertices, faces = isosurface(
            density_grid(scene, every[k], COARSE), level, scene.field.bound
        )
        if not len(faces):
            continue
        shapes = slice_paths(scene, flow, vertices, k)
        found = fragments(shapes, faces, views, which).face >= 0
        scores[k] = iou(found.reshape(seen.shape), seen)
    best = max(scores, key=scores.__getitem__, default=0)
    return best if scores.get(best, 0.0) > scores.get(0, 0.0) + _GAIN else 0


def slice_times(scene: FinishedField) -> list[float]:
    """The times of the slices."""
    return scene.times(scene.moments).tolist()


def slice_paths(
    scene: FinishedField, flow: FlowField | None, vertices: np.ndarray, base: int
) -> np.ndarray:
    """Positions float64 [slices, V, 3] at all slices of surface points [V, 3] of slice `base`.

    The points are handed from slice to slice by the displacement between them, backwards too where
    time does not loop. Small errors add up on the way; in a loop, what is missing at the end to the
    beginning is taken off evenly.
    """
    keys = {base: vertices}
    if flow is None:
        return vertices[None]
    count = scene.moments
    start = torch.from_numpy(vertices).float().to(flow.device)
    points = start
    for k in range(base, base + count if scene.loop else count - 1):
        points = points + flow.scene_flow(k % count, points)
        keys[k + 1] = points.cpu().double().numpy()
    if scene.loop:
        gap = vertices - keys.pop(base + count)
        return np.stack([keys[k] + gap * ((k - base) / count) for k in _from_zero(base, count)])
    points, side = start, 2 * flow.bound
    for k in range(base - 1, -1, -1):
        points = (flow.ends(k, 1.0, points / side + 0.5)[0] - 0.5) * side
        keys[k] = points.cpu().double().numpy()
    return np.stack([keys[k] for k in range(count)])


def _from_zero(base: int, count: int) -> list[int]:
    """The numbers base to base + count − 1, those of slices 0, 1, … first."""
    return [k if k >= base else k + count for k in range(count)]


def along(keys: np.ndarray, times: np.ndarray, loop: bool) -> np.ndarray:
    """The cubic through keys [K, ...] (Catmull and Rom 1974) at times [F] of [0, 1].

    Key k lies at k/K in a loop, else at k/(K − 1); beyond the ends of what does not loop the keys
    go on straight. One key is there at all times.
    """
    count = len(keys)
    if count == 1:
        return np.repeat(keys, len(times), 0)
    if loop:
        padded = np.concatenate([keys[-1:], keys, keys[:2]])
    else:
        padded = np.concatenate([2 * keys[:1] - keys[1:2], keys, 2 * keys[-1:] - keys[-2:-1]])
    place = np.asarray(times, float) * (count if loop else count - 1)
    low = np.minimum(place.astype(int), count - (1 if loop else 2))
    u = (place - low).reshape(-1, *[1] * (keys.ndim - 1))
    before, first, second, after = (padded[low + k] for k in range(4))
    return (
        first
        + u * (second - before) / 2
        + u**2 * (before - 2.5 * first + 2 * second - after / 2)
        + u**3 * (1.5 * (first - second) + (after - before) / 2)
    )
