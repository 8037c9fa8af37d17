"""Volume rendering quadrature on CUDA (Triton). Specification: kernels/reference.py.

One ray per program of one warp: neighbouring lanes read neighbouring samples, and sums along the
ray are scans within a block of BLOCK samples, carried from block to block.
"""

import triton
import triton.language as tl

BLOCK = 32  # samples a program handles at a time


@triton.jit
def _absorbed(depth):
    """1 − exp(−depth) without cancellation at small depths (Taylor series of expm1 below 0.1)."""
    series = depth * (1 - depth / 2 * (1 - depth / 3 * (1 - depth / 4 * (1 - depth / 5))))
    return tl.where(depth < 0.1, series, 1 - tl.exp(-depth))


@triton.jit
def forward(
    density, colour, c_row, c_column, distances, offsets, step, rgb, opacity, distance, weights,
    through,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """density [N], colour [N, 3] with strides, distances [N], offsets int64 [R + 1] -> rgb [R, 3],
    opacity [R], distance [R], weights [N], through [N]: the light that passes a sample."""
    ray = tl.program_id(0)
    first, last = tl.load(offsets + ray), tl.load(offsets + ray + 1)
    lane = tl.arange(0, BLOCK)
    carried = 0.0  # optical depth before the block
    red, green, blue, total, far = 0.0, 0.0, 0.0, 0.0, 0.0
    for start in range(first, last, BLOCK):
        n = start + lane
        mask = n < last
        depth = tl.load(density + n, mask=mask, other=0.0) * step
        # The exclusive sum is a scan over the previous samples: the inclusive one less the sample's
        # own depth would lose what lies in front of a very dense sample.
        previous = tl.load(density + n - 1, mask=mask & (lane > 0), other=0.0) * step
        before = carried + tl.cumsum(previous, 0)
        weight = tl.exp(-before) * _absorbed(depth)
        tl.store(weights + n, weight, mask=mask)
        tl.store(through + n, tl.exp(-(before + depth)), mask=mask)
        pixel = colour + n * c_row
        red += tl.sum(weight * tl.load(pixel, mask=mask, other=0.0), 0)
        green += tl.sum(weight * tl.load(pixel + c_column, mask=mask, other=0.0), 0)
        blue += tl.sum(weight * tl.load(pixel + 2 * c_column, mask=mask, other=0.0), 0)
        far += tl.sum(weight * tl.load(distances + n, mask=mask, other=0.0), 0)
        total += tl.sum(weight, 0)
        carried += tl.sum(depth, 0)
    tl.store(rgb + 3 * ray, red)
    tl.store(rgb + 3 * ray + 1, green)
    tl.store(rgb + 3 * ray + 2, blue)
    tl.store(opacity + ray, total)
    tl.store(distance + ray, far)


@triton.jit
def _pull(
    n, mask, colour, c_row, c_column, distances, d_weights, red, green, blue, d_total, d_far
):  # fmt: skip
    """Gradient of the weights of samples n; 0 outside the mask."""
    pixel = colour + n * c_row
    return (
        red * tl.load(pixel, mask=mask, other=0.0)
        + green * tl.load(pixel + c_column, mask=mask, other=0.0)
        + blue * tl.load(pixel + 2 * c_column, mask=mask, other=0.0)
        + d_far * tl.load(distances + n, mask=mask, other=0.0)
        + tl.load(d_weights + n, mask=mask, other=0.0)
        + tl.where(mask, d_total, 0.0)
    )


@triton.jit
def backward(
    colour, c_row, c_column, distances, offsets, step, weights, through,
    d_rgb, d_opacity, d_distance, d_weights, d_density, d_colour, samples,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients d_density [N] and d_colour [3, N] from those of the four outputs of `forward`.

    With g_n the gradient of weight n and T_n the light that reaches sample n,
    dL/dsigma_n = step·(T_{n+1}·g_n − Σ_{m>n} w_m·g_m): blocks from the back, the sum carried along.
    """
    ray = tl.program_id(0)
    first, last = tl.load(offsets + ray), tl.load(offsets + ray + 1)
    red, green = tl.load(d_rgb + 3 * ray), tl.load(d_rgb + 3 * ray + 1)
    blue = tl.load(d_rgb + 3 * ray + 2)
    d_total, d_far = tl.load(d_opacity + ray), tl.load(d_distance + ray)
    lane = tl.arange(0, BLOCK)
    behind = 0.0  # Σ w·g over the blocks behind this one
    blocks = (last - first + BLOCK - 1) // BLOCK
    for i in range(0, blocks):
        n = first + (blocks - 1 - i) * BLOCK + lane
        mask = n < last
        weight = tl.load(weights + n, mask=mask, other=0.0)
        pull = _pull(
            n, mask, colour, c_row, c_column, distances, d_weights, red, green, blue, d_total, d_far
        )
        # Terms of the next samples, for the same reason as in the forward pass.
        more = (n + 1 < last) & (lane < BLOCK - 1)
        term = tl.load(weights + n + 1, mask=more, other=0.0) * _pull(
            n + 1, more, colour, c_row, c_column, distances, d_weights,
            red, green, blue, d_total, d_far,
        )  # fmt: skip
        later = behind + tl.cumsum(term, 0, reverse=True)
        light = tl.load(through + n, mask=mask, other=0.0)
        tl.store(d_density + n, step * (light * pull - later), mask=mask)
        tl.store(d_colour + n, red * weight, mask=mask)
        tl.store(d_colour + samples + n, green * weight, mask=mask)
        tl.store(d_colour + 2 * samples + n, blue * weight, mask=mask)
        behind += tl.sum(weight * pull, 0)
