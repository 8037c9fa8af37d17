"""Multi-resolution encoding on CUDA (Triton). The specification is kernels/reference.py.

A program handles BLOCK samples of one level; levels are the slow axis of the launch, so that one
level's rows stay in the second-level cache while all samples look them up.
"""

import triton
import triton.language as tl

BLOCK = 256  # samples a program handles

_PRIME_Y = tl.constexpr(2654435761)  # levels.PRIMES; x keeps stride 1
_PRIME_Z = tl.constexpr(805459861)


@triton.jit
def _cell(x, stride, n, mask, resolution):
    """Lower corner and fraction of the cell along one axis.

    Where x is not a number, so is the fraction, and with it the feature; the corner stays valid.
    """
    position = tl.load(x + n * stride, mask=mask, other=0.0)
    position = tl.maximum(position, 0.0, propagate_nan=tl.PropagateNan.ALL)
    position = tl.minimum(position, 1.0, propagate_nan=tl.PropagateNan.ALL) * resolution
    cell = tl.maximum(tl.minimum(position.to(tl.int32), resolution - 1), 0)
    return cell.to(tl.uint32), position - cell


@triton.jit
def _row(cx, cy, cz, corner: tl.constexpr, resolution, size, hashed):
    """Row within the level of one of the eight corners of a cell."""
    vx = cx + (corner & 1)
    vy = cy + (corner >> 1 & 1)
    vz = cz + (corner >> 2)
    side = (resolution + 1).to(tl.uint32)
    if hashed:  # the size is a power of two
        row = (vx ^ (vy * _PRIME_Y) ^ (vz * _PRIME_Z)) & (size - 1).to(tl.uint32)
    else:
        row = vx + side * (vy + side * vz)
    return row.to(tl.int64)


@triton.jit
def _weight(fx, fy, fz, corner: tl.constexpr):
    """Trilinear weight of one of the eight corners of a cell."""
    wx = fx if corner & 1 else 1 - fx
    wy = fy if corner >> 1 & 1 else 1 - fy
    wz = fz if corner >> 2 else 1 - fz
    return wx * wy * wz


@triton.jit
def forward(
    x, x_row, x_column, groups, tables, rows, level_table, out, out_row, out_column, samples,
    active,
    FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x [N, 3], groups int32 [N], tables [G, rows, F], level_table int32 [L, 4] -> out [N, L·F].

    level_table: resolution, first row, rows, hashed. x and out come with the strides of their axes.
    """
    level = tl.program_id(1)
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = n < samples
    target = out + n * out_row + level * FEATURES * out_column
    if level >= active:
        for feature in tl.static_range(FEATURES):
            tl.store(target + feature * out_column, tl.zeros((BLOCK,), tl.float32), mask=mask)
    else:
        resolution = tl.load(level_table + 4 * level)
        first = tl.load(level_table + 4 * level + 1)
        size = tl.load(level_table + 4 * level + 2)
        hashed = tl.load(level_table + 4 * level + 3)
        cx, fx = _cell(x, x_row, n, mask, resolution)
        cy, fy = _cell(x + x_column, x_row, n, mask, resolution)
        cz, fz = _cell(x + 2 * x_column, x_row, n, mask, resolution)
        base = tl.load(groups + n, mask=mask, other=0).to(tl.int64) * rows + first
        for feature in tl.static_range(FEATURES):
            total = tl.zeros((BLOCK,), tl.float32)
            for corner in tl.static_range(8):
                row = base + _row(cx, cy, cz, corner, resolution, size, hashed)
                value = tl.load(tables + row * FEATURES + feature, mask=mask, other=0.0)
                total += _weight(fx, fy, fz, corner) * value
            tl.store(target + feature * out_column, total, mask=mask)


@triton.jit
def backward(
    x, x_row, x_column, groups, gradient, g_row, g_column, rows, level_table, out, scale, samples,
    FEATURES: tl.constexpr, FIXED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """gradient [N, L·F] added into out [G, rows, F], which starts at zero; for active levels.

    FIXED: out is int64 and gets the products times scale [1], rounded towards zero. Whole numbers
    add up to the same sum in any order, so this form gives the same bytes every time.
    """
    level = tl.program_id(1)
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = n < samples
    resolution = tl.load(level_table + 4 * level)
    first = tl.load(level_table + 4 * level + 1)
    size = tl.load(level_table + 4 * level + 2)
    hashed = tl.load(level_table + 4 * level + 3)
    cx, fx = _cell(x, x_row, n, mask, resolution)
    cy, fy = _cell(x + x_column, x_row, n, mask, resolution)
    cz, fz = _cell(x + 2 * x_column, x_row, n, mask, resolution)
    base = tl.load(groups + n, mask=mask, other=0).to(tl.int64) * rows + first
    source = gradient + n * g_row + level * FEATURES * g_column
    for feature in tl.static_range(FEATURES):
        pull = tl.load(source + feature * g_column, mask=mask, other=0.0)
        if FIXED:
            pull *= tl.load(scale)
        for corner in tl.static_range(8):
            row = base + _row(cx, cy, cz, corner, resolution, size, hashed)
            value = _weight(fx, fy, fz, corner) * pull
            if FIXED:
                value = value.to(tl.int64)
            tl.atomic_add(out + row * FEATURES + feature, value, mask=mask, sem="relaxed")
