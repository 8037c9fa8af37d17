"""Ray marching through an occupancy grid on CPU (numba). Specification: kernels/reference.py."""

import numba as nb
import numpy as np

CHUNK = 128  # rays a task; small enough to balance two threads, large enough to amortise a task


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _march_ray(o, d, density, threshold, low, high, bound, step, jitter, stop, out):
    """Distances of one ray's samples into `out`; returns how many."""
    side = density.shape[0]
    near, far = np.float32(0), np.float32(1e9)
    clip_near, clip_far = np.float32(0), np.float32(1e9)
    for a in range(3):
        inverse = np.float32(1) / (d[a] if abs(d[a]) >= 1e-12 else np.float32(1e-12))
        t0, t1 = (-bound - o[a]) * inverse, (bound - o[a]) * inverse
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
        t0, t1 = (low[a] - o[a]) * inverse, (high[a] - o[a]) * inverse
        clip_near, clip_far = max(clip_near, min(t0, t1)), min(clip_far, max(t0, t1))
    clip_far = min(far, clip_far)
    first = np.ceil(near / step)
    # The box of occupied cells only skips candidates that would be dropped anyway.
    k = max(0, int(clip_near / step - first - jitter) - 1)
    scale = np.float32(side / (2 * bound))
    optical = np.float32(0)
    kept = 0
    x, y, z = (o[0] + bound) * scale, (o[1] + bound) * scale, (o[2] + bound) * scale
    dx, dy, dz = d[0] * scale, d[1] * scale, d[2] * scale
    inverse_step = np.float32(1) / step
    while kept < out.shape[0]:
        t = (first + k + jitter) * step
        if t >= clip_far + step or t >= far:
            break
        px, py, pz = x + t * dx, y + t * dy, z + t * dz
        cx, cy, cz = int(np.floor(px)), int(np.floor(py)), int(np.floor(pz))
        if cx < 0 or cy < 0 or cz < 0 or cx >= side or cy >= side or cz >= side:
            k += 1
            continue
        value = density[cz, cy, cx]
        if value > threshold:
            out[kept] = t
            kept += 1
            optical += value * step
            if optical > stop:
                break
            k += 1
        else:
            # Jump to the first candidate at or beyond the exit of this empty cell.
            leave = np.float32(1e9)
            if dx != 0:
                leave = min(leave, ((cx + 1 if dx > 0 else cx) - px) / dx)
            if dy != 0:
                leave = min(leave, ((cy + 1 if dy > 0 else cy) - py) / dy)
            if dz != 0:
                leave = min(leave, ((cz + 1 if dz > 0 else cz) - pz) / dz)
            k += max(1, int(leave * inverse_step))
    return kept


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def march(
    origins, directions, groups, density, threshold, boxes, bound, step, jitter, stop, scratch
):
    """Fill scratch [R, M] with distances; returns how many each ray has, int64 [R].

    boxes: float32 [G, 2, 3], the corners of a box that holds all occupied cells of a group.
    """
    rays = origins.shape[0]
    counts = np.zeros(rays, np.int64)
    tasks = (rays + CHUNK - 1) // CHUNK
    for task in nb.prange(tasks):
        for r in range(task * CHUNK, min(rays, (task + 1) * CHUNK)):
            g = groups[r]
            counts[r] = _march_ray(
                origins[r], directions[r], density[g], threshold[g], boxes[g, 0], boxes[g, 1],
                bound, step, jitter[r], stop, scratch[r],
            )  # fmt: skip
    return counts


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def pack(origins, directions, bound, scratch, offsets, distances, points):
    """Pack scratch into distances [N] and unit-cube points [3, N]."""
    rays = origins.shape[0]
    unit = np.float32(0.5 / bound)
    tasks = (rays + CHUNK - 1) // CHUNK
    for task in nb.prange(tasks):
        for r in range(task * CHUNK, min(rays, (task + 1) * CHUNK)):
            for k in range(offsets[r + 1] - offsets[r]):
                n = offsets[r] + k
                t = scratch[r, k]
                distances[n] = t
                for a in range(3):
                    points[a, n] = (origins[r, a] + t * directions[r, a] + bound) * unit
