"""Ray marching through an occupancy grid on CPU (numba). Specification: kernels/reference.py."""

import numba as nb
import numpy as np

CHUNK = 128  # rays a task; small enough to balance two threads, large enough to amortise a task
SHIFT = 3  # empty space is crossed in blocks of 2**SHIFT cells along an axis
# Steps to stay short of a block's exit when crossing it: the exit is known to float32 rounding
# only, and no candidate beyond it may be missed.
MARGIN = 1e-2


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def fill_blocks(density, threshold, used, blocks):
    """blocks bool [G, B, B, B], B = ceil(S / 2**SHIFT): where density exceeds the threshold at all.

    used: int64 [U], the groups to fill; the others stay as they are.
    """
    side, across = density.shape[1], blocks.shape[1]
    for task in nb.prange(used.shape[0] * across):
        g, z0 = used[task // across], task % across
        grid, limit = density[g], threshold[g]
        for y0 in range(across):
            for x0 in range(across):
                first, last = x0 << SHIFT, min((x0 + 1) << SHIFT, side)
                highest = np.float32(-np.inf)
                for z in range(z0 << SHIFT, min((z0 + 1) << SHIFT, side)):
                    for y in range(y0 << SHIFT, min((y0 + 1) << SHIFT, side)):
                        row = grid[z, y, first:last]
                        for x in range(last - first):
                            highest = max(highest, row[x])
                blocks[g, z0, y0, x0] = highest > limit


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _march_ray(o, d, density, threshold, blocks, low, high, bound, step, jitter, stop, out):
    """Distances of one ray's samples into `out`; returns how many."""
    side = density.shape[0]
    one, size = np.float32(1), np.float32(1 << SHIFT)
    near, far = np.float32(0), np.float32(1e9)
    clip_near, clip_far = np.float32(0), np.float32(1e9)
    for a in range(3):
        inverse = one / (d[a] if abs(d[a]) >= 1e-12 else np.float32(1e-12))
        t0, t1 = (-bound - o[a]) * inverse, (bound - o[a]) * inverse
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
        t0, t1 = (low[a] - o[a]) * inverse, (high[a] - o[a]) * inverse
        clip_near, clip_far = max(clip_near, min(t0, t1)), min(clip_far, max(t0, t1))
    clip_far = min(far, clip_far)
    first = np.ceil(near / step)
    # The box of occupied cells only skips candidates that would be dropped anyway.
    k = max(0, int(clip_near / step - first - jitter) - 1)
    scale = np.float32(side / (2 * bound))
    x, y, z = (o[0] + bound) * scale, (o[1] + bound) * scale, (o[2] + bound) * scale
    dx, dy, dz = d[0] * scale, d[1] * scale, d[2] * scale
    # Steps it takes to move by one cell along each axis.
    sx = one / (abs(dx) * step) if dx != 0 else np.float32(1e9)
    sy = one / (abs(dy) * step) if dy != 0 else np.float32(1e9)
    sz = one / (abs(dz) * step) if dz != 0 else np.float32(1e9)
    optical = np.float32(0)
    kept = 0
    while kept < out.shape[0]:
        t = (first + k + jitter) * step
        if t >= clip_far + step or t >= far:
            break
        px, py, pz = x + t * dx, y + t * dy, z + t * dz
        cx, cy, cz = int(np.floor(px)), int(np.floor(py)), int(np.floor(pz))
        if cx < 0 or cy < 0 or cz < 0 or cx >= side or cy >= side or cz >= side:
            k += 1
            continue
        bx, by, bz = cx >> SHIFT, cy >> SHIFT, cz >> SHIFT
        if blocks[bz, by, bx]:
            value = density[cz, cy, cx]
            if value > threshold:
                out[kept] = t
                kept += 1
                optical += value * step
                if optical > stop:
                    break
            k += 1
        else:
            # On to the first candidate beyond the exit of this empty block.
            qx, qy, qz = px - (bx << SHIFT), py - (by << SHIFT), pz - (bz << SHIFT)
            leave = (size - qx if dx > 0 else qx) * sx
            leave = min(leave, (size - qy if dy > 0 else qy) * sy)
            leave = min(leave, (size - qz if dz > 0 else qz) * sz)
            k += 1 + max(0, int(leave - MARGIN))
    return kept


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def march(
    origins, directions, groups, density, threshold, blocks, boxes, bound, step, jitter, stop,
    scratch,
):  # fmt: skip
    """Fill scratch [R, M] with distances; returns how many each ray has, int64 [R].

    blocks: from `fill_blocks`. boxes: float32 [G, 2, 3], the corners of a box that holds all
    occupied cells of a group.
    """
    rays = origins.shape[0]
    counts = np.zeros(rays, np.int64)
    tasks = (rays + CHUNK - 1) // CHUNK
    for task in nb.prange(tasks):
        for r in range(task * CHUNK, min(rays, (task + 1) * CHUNK)):
            g = groups[r]
            counts[r] = _march_ray(
                origins[r], directions[r], density[g], threshold[g], blocks[g], boxes[g, 0],
                boxes[g, 1], bound, step, jitter[r], stop, scratch[r],
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
