"""Ray marching through an occupancy grid on CUDA (Triton). Specification: kernels/reference.py.

One ray per lane, in programs of one warp. The kernel runs twice: first to count each ray's samples,
then, with the counts summed up into offsets, to write them.
"""

import triton
import triton.language as tl

BLOCK = 32  # rays a program handles: a warp, so that a long ray holds up 31 others at most


@triton.jit
def _inverse(direction):
    return tl.div_rn(1.0, tl.where(tl.abs(direction) < 1e-12, 1e-12, direction))


@triton.jit
def _slab(origin, inverse, low, high):
    """Distances at which a ray enters and leaves the slab low..high along one axis."""
    t0, t1 = (low - origin) * inverse, (high - origin) * inverse
    return tl.minimum(t0, t1), tl.maximum(t0, t1)


@triton.jit
def _leave(position, cell, speed):
    """Distance to the face through which a ray leaves its cell along one axis."""
    ahead = tl.where(speed > 0, cell + 1.0, cell) - position
    return tl.where(speed == 0, 1e9, ahead / tl.where(speed == 0, 1.0, speed))


# `write` must not be specialised: both passes have to run the same instructions, or a sample that
# sits on a cell's face could be counted by one and dropped by the other.
@triton.jit(do_not_specialize=["write"])
def march(
    origins, directions, groups, density, threshold, boxes, jitter, counts, offsets, distances,
    points, rays, samples, side, bound, scale, unit, step, stop, write,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """write = 0: counts [R] of samples. write = 1: distances [N] and unit-cube points [3, N].

    origins, directions [R, 3]; groups int64 [R]; density [G, S, S, S]; threshold [G]; boxes
    [G, 2, 3]; jitter [R]; offsets int64 [R + 1], read in the second pass only; side: S; scale:
    cells per world unit; unit: half the inverse of bound. Launched without fused multiply-add, and
    with exact division where a rounding decides, so that it keeps the reference's samples.
    """
    r = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    alive = r < rays
    ox = tl.load(origins + 3 * r, mask=alive, other=0.0)
    oy = tl.load(origins + 3 * r + 1, mask=alive, other=0.0)
    oz = tl.load(origins + 3 * r + 2, mask=alive, other=0.0)
    dx = tl.load(directions + 3 * r, mask=alive, other=1.0)
    dy = tl.load(directions + 3 * r + 1, mask=alive, other=1.0)
    dz = tl.load(directions + 3 * r + 2, mask=alive, other=1.0)
    group = tl.load(groups + r, mask=alive, other=0)
    limit = tl.load(threshold + group, mask=alive, other=0.0)
    shift = tl.load(jitter + r, mask=alive, other=0.0)
    begin = tl.load(offsets + r, mask=alive & (write != 0), other=0)
    grid = density + group * side * side * side

    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    nx, fx = _slab(ox, ix, -bound, bound)
    ny, fy = _slab(oy, iy, -bound, bound)
    nz, fz = _slab(oz, iz, -bound, bound)
    near = tl.maximum(tl.maximum(nx, ny), tl.maximum(nz, 0.0))
    far = tl.minimum(tl.minimum(fx, fy), fz)
    box = boxes + 6 * group
    nx, fx = _slab(
        ox, ix, tl.load(box, mask=alive, other=0.0), tl.load(box + 3, mask=alive, other=0.0)
    )
    ny, fy = _slab(
        oy, iy, tl.load(box + 1, mask=alive, other=0.0), tl.load(box + 4, mask=alive, other=0.0)
    )
    nz, fz = _slab(
        oz, iz, tl.load(box + 2, mask=alive, other=0.0), tl.load(box + 5, mask=alive, other=0.0)
    )
    box_near = tl.maximum(tl.maximum(nx, ny), tl.maximum(nz, 0.0))
    # One step beyond the box: it is a short cut and may not decide over a candidate.
    end = tl.minimum(far, tl.minimum(tl.minimum(fx, fy), fz) + step)

    first = tl.ceil(tl.div_rn(near, step))
    k = tl.maximum(tl.floor(box_near / step - first - shift) - 1.0, 0.0)
    kept = tl.zeros((BLOCK,), tl.int64)
    optical = tl.zeros((BLOCK,), tl.float32)
    while tl.max(alive.to(tl.int32), 0) > 0:
        t = (first + k + shift) * step
        alive &= t < end
        px, py, pz = ox + t * dx, oy + t * dy, oz + t * dz
        qx, qy, qz = (px + bound) * scale, (py + bound) * scale, (pz + bound) * scale
        cx, cy, cz = tl.floor(qx), tl.floor(qy), tl.floor(qz)
        inside = alive & (cx >= 0) & (cy >= 0) & (cz >= 0) & (cx < side) & (cy < side) & (cz < side)
        cx, cy, cz = tl.where(inside, cx, 0.0), tl.where(inside, cy, 0.0), tl.where(inside, cz, 0.0)
        cell = (cz.to(tl.int32) * side + cy.to(tl.int32)) * side + cx.to(tl.int32)
        value = tl.load(grid + cell, mask=inside, other=0.0)
        keep = inside & (value > limit)
        n = begin + kept
        put = keep & (write != 0) & (n < samples)
        tl.store(distances + n, t, mask=put)
        tl.store(points + n, (px + bound) * unit, mask=put)
        tl.store(points + samples + n, (py + bound) * unit, mask=put)
        tl.store(points + 2 * samples + n, (pz + bound) * unit, mask=put)
        kept += keep.to(tl.int64)
        optical += tl.where(keep, value * step, 0.0)
        alive &= optical <= stop
        # From an empty cell, on to the last candidate before its exit, or the next one.
        leave = tl.minimum(_leave(qx, cx, dx), tl.minimum(_leave(qy, cy, dy), _leave(qz, cz, dz)))
        jump = tl.maximum(tl.floor(leave / (scale * step)), 1.0)
        k += tl.where(inside & (value <= limit), jump, 1.0)
    tl.store(counts + r, kept, mask=(r < rays) & (write == 0))
