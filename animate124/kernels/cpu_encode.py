"""Multi-resolution encoding on CPU (numba). The specification is kernels/reference.py."""

import numba as nb
import numpy as np

_Y, _Z = np.uint32(2654435761), np.uint32(805459861)


@nb.njit(inline="always")
def _corner(px, py, pz, resolution):
    """Lower corner of the cell around a point, and the point's fractions."""
    top = resolution - 1
    cx, cy, cz = min(int(px), top), min(int(py), top), min(int(pz), top)
    ux, uy, uz = np.uint32(cx), np.uint32(cy), np.uint32(cz)
    return ux, uy, uz, px - np.float32(cx), py - np.float32(cy), pz - np.float32(cz)


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def forward(x, tables, segments, resolutions, hashed, offsets, active, out):
    """x [3, N] in [0, 1], tables [G, rows, 2], segments [S, 3] (group, from, to) -> out [2L, N]."""
    one = np.float32(1)
    zero = np.float32(0)
    for s in nb.prange(segments.shape[0]):
        table = tables[segments[s, 0]]
        first, last = segments[s, 1], segments[s, 2]
        xs, ys, zs = x[0, first:last], x[1, first:last], x[2, first:last]
        for level in range(resolutions.shape[0]):
            out0 = out[2 * level, first:last]
            out1 = out[2 * level + 1, first:last]
            if level >= active:
                out0[:] = zero
                out1[:] = zero
                continue
            is_hashed = hashed[level]
            resolution = resolutions[level]
            scale = np.float32(resolution)
            values = table[offsets[level] : offsets[level + 1]]
            mask = np.uint32(values.shape[0] - 1)
            side = np.uint32(resolution + 1)
            for n in range(last - first):
                px = min(max(xs[n], zero), one) * scale
                py = min(max(ys[n], zero), one) * scale
                pz = min(max(zs[n], zero), one) * scale
                ux, uy, uz, fx, fy, fz = _corner(px, py, pz, resolution)
                gx, gy, gz = one - fx, one - fy, one - fz
                a = zero
                b = zero
                for k in range(4):
                    vy = uy + np.uint32(k & 1)
                    vz = uz + np.uint32(k >> 1)
                    if is_hashed:
                        h = (vy * _Y) ^ (vz * _Z)
                        r0 = (ux ^ h) & mask
                        r1 = ((ux + np.uint32(1)) ^ h) & mask
                    else:
                        r0 = ux + side * (vy + side * vz)
                        r1 = r0 + np.uint32(1)
                    w = (fy if k & 1 else gy) * (fz if k >> 1 else gz)
                    w0 = w * gx
                    w1 = w * fx
                    a += w0 * values[r0, 0] + w1 * values[r1, 0]
                    b += w0 * values[r0, 1] + w1 * values[r1, 1]
                out0[n] = a
                out1[n] = b


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def backward(x, gradient, starts, resolutions, hashed, offsets, active, out):
    """gradient [2L, N] -> out [G, rows, 2], overwritten. A task owns a (group, level): no races."""
    one = np.float32(1)
    zero = np.float32(0)
    levels = resolutions.shape[0]
    for task in nb.prange(out.shape[0] * levels):
        group, level = task // levels, task % levels
        values = out[group, offsets[level] : offsets[level + 1]]
        values[:] = zero
        if level >= active:
            continue
        first, last = starts[group], starts[group + 1]
        xs, ys, zs = x[0, first:last], x[1, first:last], x[2, first:last]
        g0 = gradient[2 * level, first:last]
        g1 = gradient[2 * level + 1, first:last]
        is_hashed = hashed[level]  # out here: the writes to the table could be to `hashed`, too
        resolution = resolutions[level]
        scale = np.float32(resolution)
        mask = np.uint32(values.shape[0] - 1)
        side = np.uint32(resolution + 1)
        for n in range(last - first):
            px = min(max(xs[n], zero), one) * scale
            py = min(max(ys[n], zero), one) * scale
            pz = min(max(zs[n], zero), one) * scale
            ux, uy, uz, fx, fy, fz = _corner(px, py, pz, resolution)
            gx, gy, gz = one - fx, one - fy, one - fz
            a = g0[n]
            b = g1[n]
            for k in range(4):
                vy = uy + np.uint32(k & 1)
                vz = uz + np.uint32(k >> 1)
                if is_hashed:
                    h = (vy * _Y) ^ (vz * _Z)
                    r0 = (ux ^ h) & mask
                    r1 = ((ux + np.uint32(1)) ^ h) & mask
                else:
                    r0 = ux + side * (vy + side * vz)
                    r1 = r0 + np.uint32(1)
                w = (fy if k & 1 else gy) * (fz if k >> 1 else gz)
                w0 = w * gx
                w1 = w * fx
                values[r0, 0] += w0 * a
                values[r0, 1] += w0 * b
                values[r1, 0] += w1 * a
                values[r1, 1] += w1 * b
