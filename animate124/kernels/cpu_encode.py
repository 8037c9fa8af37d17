"""Multi-resolution encoding on CPU (numba). The specification is kernels/reference.py.

Work goes in blocks of samples whose points, rows and weights stay in the first-level cache. Rows
and weights of a block are found first, in loops that the compiler turns into vector instructions;
the loops that then fetch or scatter by row, which it cannot, have nothing else to do.
"""

import numba as nb
import numpy as np

from animate124.kernels.cpu_pairs import add_scaled, lane, pair

BLOCK = 256  # samples; a multiple of every vector length
_Y, _Z = np.uint32(2654435761), np.uint32(805459861)


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _load(x, first, count, points):
    """Copy x[:, first:first+count], clamped to [0, 1], into points [3 · BLOCK], zero beyond."""
    for axis in range(3):
        source, target = x[axis, first : first + count], points[axis * BLOCK : (axis + 1) * BLOCK]
        for n in range(count):
            target[n] = min(max(source[n], np.float32(0)), np.float32(1))
        for n in range(count, BLOCK):
            target[n] = np.float32(0)


@nb.njit(inline="always")
def _cell(position, top):
    """Lower corner of the cell around a position, as float32 (exact) along one axis."""
    return min(np.floor(position), top)


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _corners(points, resolution, hashed, size, row, weight):
    """Rows and trilinear weights of a block's corners: corner k of sample n at [k · BLOCK + n].

    Corner k is at the cell's lower corner plus the bits of k (x lowest). Fixed trip counts and one
    array per kind let the compiler prove that nothing overlaps.
    """
    one, scale, top = np.float32(1), np.float32(resolution), np.float32(resolution - 1)
    xs, ys, zs = points[:BLOCK], points[BLOCK : 2 * BLOCK], points[2 * BLOCK :]
    for n in range(BLOCK):
        px, py, pz = xs[n] * scale, ys[n] * scale, zs[n] * scale
        fx, fy, fz = px - _cell(px, top), py - _cell(py, top), pz - _cell(pz, top)
        gx, gy, gz = one - fx, one - fy, one - fz
        yz = gy * gz
        weight[n], weight[n + BLOCK] = yz * gx, yz * fx
        yz = fy * gz
        weight[n + 2 * BLOCK], weight[n + 3 * BLOCK] = yz * gx, yz * fx
        yz = gy * fz
        weight[n + 4 * BLOCK], weight[n + 5 * BLOCK] = yz * gx, yz * fx
        yz = fy * fz
        weight[n + 6 * BLOCK], weight[n + 7 * BLOCK] = yz * gx, yz * fx
    unit = np.uint32(1)
    if hashed:
        mask = np.uint32(size - 1)
        for n in range(BLOCK):
            x0 = np.uint32(np.int32(_cell(xs[n] * scale, top)))
            y0 = np.uint32(np.uint32(np.int32(_cell(ys[n] * scale, top))) * _Y)
            z0 = np.uint32(np.uint32(np.int32(_cell(zs[n] * scale, top))) * _Z)
            x1, y1, z1 = np.uint32(x0 + unit), np.uint32(y0 + _Y), np.uint32(z0 + _Z)
            yz = y0 ^ z0
            row[n], row[n + BLOCK] = (x0 ^ yz) & mask, (x1 ^ yz) & mask
            yz = y1 ^ z0
            row[n + 2 * BLOCK], row[n + 3 * BLOCK] = (x0 ^ yz) & mask, (x1 ^ yz) & mask
            yz = y0 ^ z1
            row[n + 4 * BLOCK], row[n + 5 * BLOCK] = (x0 ^ yz) & mask, (x1 ^ yz) & mask
            yz = y1 ^ z1
            row[n + 6 * BLOCK], row[n + 7 * BLOCK] = (x0 ^ yz) & mask, (x1 ^ yz) & mask
    else:
        side = np.uint32(resolution + 1)
        for n in range(BLOCK):
            x0 = np.uint32(np.int32(_cell(xs[n] * scale, top)))
            y0 = np.uint32(np.int32(_cell(ys[n] * scale, top)))
            z0 = np.uint32(np.int32(_cell(zs[n] * scale, top)))
            r = np.uint32(x0 + np.uint32(side * np.uint32(y0 + np.uint32(side * z0))))
            row[n], row[n + BLOCK] = r, r + unit
            r += side
            row[n + 2 * BLOCK], row[n + 3 * BLOCK] = r, r + unit
            r += np.uint32(side * side) - side
            row[n + 4 * BLOCK], row[n + 5 * BLOCK] = r, r + unit
            r += side
            row[n + 6 * BLOCK], row[n + 7 * BLOCK] = r, r + unit


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _gather(values, count, row, weight, out0, out1):
    """Features of a block's samples from the pairs `values` [rows]."""
    for n in range(count):
        even = odd = 0.0  # two chains: a multiply-add waits for the one before it
        for k in range(0, 8, 2):
            i = k * BLOCK + n
            even = add_scaled(even, weight[i], values[row[i]])
            odd = add_scaled(odd, weight[i + BLOCK], values[row[i + BLOCK]])
        total = add_scaled(even, np.float32(1), odd)
        out0[n], out1[n] = lane(total, 0), lane(total, 1)


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _scatter(values, count, row, weight, gradient0, gradient1):
    """Add a block's gradients to the pairs `values` [rows]."""
    for n in range(count):
        gradient = pair(gradient0[n], gradient1[n])
        for k in range(8):
            i = k * BLOCK + n
            values[row[i]] = add_scaled(values[row[i]], weight[i], gradient)


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def forward(x, tables, segments, resolutions, hashed, offsets, active, out):
    """x [3, N], tables [G, rows] of pairs, segments [S, 3] (group, from, to) -> out [2L, N]."""
    for s in nb.prange(segments.shape[0]):
        table = tables[segments[s, 0]]
        begin, end = segments[s, 1], segments[s, 2]
        points = np.empty(3 * BLOCK, np.float32)
        row, weight = np.empty(8 * BLOCK, np.uint32), np.empty(8 * BLOCK, np.float32)
        out[2 * active :, begin:end] = np.float32(0)
        for first in range(begin, end, BLOCK):
            count = min(BLOCK, end - first)
            last = first + count
            _load(x, first, count, points)
            for level in range(min(active, resolutions.shape[0])):
                values = table[offsets[level] : offsets[level + 1]]
                _corners(points, resolutions[level], hashed[level], len(values), row, weight)
                out0, out1 = out[2 * level, first:last], out[2 * level + 1, first:last]
                _gather(values, count, row, weight, out0, out1)


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def backward(x, gradient, starts, resolutions, hashed, offsets, active, out):
    """gradient [2L, N] -> out [G, rows] of pairs, overwritten. A task owns a (group, level)."""
    levels = resolutions.shape[0]
    for task in nb.prange(out.shape[0] * levels):
        group, level = task // levels, task % levels
        values = out[group, offsets[level] : offsets[level + 1]]
        values[:] = 0.0
        if level >= active:
            continue
        points = np.empty(3 * BLOCK, np.float32)
        row, weight = np.empty(8 * BLOCK, np.uint32), np.empty(8 * BLOCK, np.float32)
        for first in range(starts[group], starts[group + 1], BLOCK):
            count = min(BLOCK, starts[group + 1] - first)
            last = first + count
            _load(x, first, count, points)
            _corners(points, resolutions[level], hashed[level], len(values), row, weight)
            g0, g1 = gradient[2 * level, first:last], gradient[2 * level + 1, first:last]
            _scatter(values, count, row, weight, g0, g1)
