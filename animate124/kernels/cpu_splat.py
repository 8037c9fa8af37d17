"""Gaussian splatting on CPU (numba). Specification: kernels/splat_reference.py.

One task draws one image (or a band of its rows): it projects, sorts by depth and then goes through
the Gaussians, nearest first, each touching only the pixels of its own footprint. A small Gaussian
covers some sixteen pixels, so there is nothing for tiles to cull, no list of intersections to
build, and a task owns its pixels: the backward pass needs no atomics. It runs front to back once
more and takes what lies behind as the total minus what has passed.
"""

import numba as nb
import numpy as np

from animate124.kernels import splat_reference as spec
from animate124.kernels.cpu_splat_math import project, project_backward

LOW_PASS = np.float32(spec.LOW_PASS)
NEAR = np.float32(spec.NEAR)
ALPHA_MIN, ALPHA_MAX = np.float32(spec.ALPHA_MIN), np.float32(spec.ALPHA_MAX)
T_MIN = np.float32(spec.T_MIN)
FACTOR_MIN = np.float32(spec.FACTOR_MIN)
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
CHUNK = 256  # Gaussians a task of the projection's backward pass
DIGIT = 11  # bits a pass of the radix sort

SCREEN = 7  # numbers per projected Gaussian: centre (2), conic (3), opacity, depth
GRADIENTS = SCREEN + 3  # the same and the colour's


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _radix_argsort(keys, order, spare, count):
    """Indices of the first `count` keys (of positive floats as integers), stable; in `order`."""
    mask = (1 << DIGIT) - 1
    bins = np.empty(1 << DIGIT, np.int32)
    for k in range(count):
        order[k] = k
    for turn in range(3):
        shift = turn * DIGIT
        bins[:] = 0
        for k in range(count):
            bins[(keys[k] >> shift) & mask] += 1
        total = np.int32(0)
        for d in range(1 << DIGIT):
            mine = bins[d]
            bins[d] = total
            total += mine
        for k in range(count):
            d = (keys[order[k]] >> shift) & mask
            spare[bins[d]] = order[k]
            bins[d] += 1
        order[:count] = spare[:count]


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def prepare(
    positions, rotations, scales, opacities, matrices, source, focal, antialias, height, width,
    screen, boxes, order, counts,
):  # fmt: skip
    """Project and sort: fills screen [V, N, 7], boxes [V, N, 4] (first and last column, row) and
    order [V, N] in the order of depth, the first counts [V] of each."""
    number = positions.shape[1]
    middle_x, middle_y = HALF * np.float32(width), HALF * np.float32(height)
    for v in nb.prange(len(source)):
        m = source[v]
        found = np.empty(number, np.int32)
        raw = np.empty((number, SCREEN), np.float32)
        box = np.empty((number, 4), np.int32)
        depths = np.empty(number, np.float32)
        count = 0
        for i in range(number):
            x, y, z, u0, u1, u2, v0, v1, v2 = project(
                positions[m, i], rotations[m, i], scales[m, i], matrices[v], focal
            )
            if z <= NEAR:
                continue
            a = u0 * u0 + u1 * u1 + u2 * u2
            b = u0 * v0 + u1 * v1 + u2 * v2
            c = v0 * v0 + v1 * v1 + v2 * v2
            plain = a * c - b * b
            a += LOW_PASS
            c += LOW_PASS
            determinant = a * c - b * b
            opacity = opacities[i]
            if antialias:
                opacity *= np.sqrt(max(plain / determinant, FACTOR_MIN))
            if opacity < ALPHA_MIN:
                continue
            reach = TWO * np.log(opacity / ALPHA_MIN)
            wide, high = np.sqrt(reach * a), np.sqrt(reach * c)
            centre_x, centre_y = focal * x / z + middle_x, focal * y / z + middle_y
            # Clamped as floats: a far-off centre overflows an integer.
            left = np.int32(np.ceil(max(centre_x - wide - HALF, ZERO)))
            right = np.int32(np.floor(min(centre_x + wide - HALF, np.float32(width - 1))))
            top = np.int32(np.ceil(max(centre_y - high - HALF, ZERO)))
            bottom = np.int32(np.floor(min(centre_y + high - HALF, np.float32(height - 1))))
            if left > right or top > bottom:
                continue
            found[count] = i
            raw[count, 0], raw[count, 1] = centre_x, centre_y
            raw[count, 2], raw[count, 3] = c / determinant, -b / determinant
            raw[count, 4], raw[count, 5], raw[count, 6] = a / determinant, opacity, z
            box[count, 0], box[count, 1], box[count, 2], box[count, 3] = left, right, top, bottom
            depths[count] = z
            count += 1
        sequence = np.empty(number, np.int32)
        spare = np.empty(number, np.int32)
        _radix_argsort(depths.view(np.int32), sequence, spare, count)
        counts[v] = count
        for k in range(count):
            at = sequence[k]
            order[v, k] = found[at]
            for j in range(SCREEN):
                screen[v, k, j] = raw[at, j]
            for j in range(4):
                boxes[v, k, j] = box[at, j]


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def composite(screen, boxes, order, counts, colours, bands, out):
    """Draw out [V, H, W, 5] (zeroed), `bands` tasks an image."""
    height = out.shape[1]
    for task in nb.prange(len(counts) * bands):
        v, band = task // bands, task % bands
        low, high = height * band // bands, height * (band + 1) // bands
        light = np.ones((height, out.shape[2]), np.float32)
        for k in range(counts[v]):
            i = order[v, k]
            x, y, a, b = screen[v, k, 0], screen[v, k, 1], screen[v, k, 2], screen[v, k, 3]
            c, opacity, z = screen[v, k, 4], screen[v, k, 5], screen[v, k, 6]
            limit = np.log(ALPHA_MIN / opacity)
            red, green, blue = colours[i, 0], colours[i, 1], colours[i, 2]
            for row in range(max(boxes[v, k, 2], low), min(boxes[v, k, 3] + 1, high)):
                dy = np.float32(row) + HALF - y
                upright, mixed = -HALF * c * dy * dy, b * dy
                for column in range(boxes[v, k, 0], boxes[v, k, 1] + 1):
                    passing = light[row, column]
                    dx = np.float32(column) + HALF - x
                    power = upright - dx * (HALF * a * dx + mixed)
                    if passing < T_MIN or power < limit:
                        continue
                    alpha = min(opacity * np.exp(power), ALPHA_MAX)
                    weight = passing * alpha
                    light[row, column] = passing - weight
                    out[v, row, column, 0] += weight * red
                    out[v, row, column, 1] += weight * green
                    out[v, row, column, 2] += weight * blue
                    out[v, row, column, 3] += weight
                    out[v, row, column, 4] += weight * z


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def composite_backward(screen, boxes, order, counts, colours, bands, out, gradient, d_screen):
    """Gradients of screen and colour by Gaussian: fills d_screen [V · bands, N, 10] (zeroed)."""
    height, width = out.shape[1], out.shape[2]
    for task in nb.prange(len(counts) * bands):
        v, band = task // bands, task % bands
        low, high = height * band // bands, height * (band + 1) // bands
        light = np.ones((height, width), np.float32)
        behind = np.zeros((height, width), np.float32)
        for row in range(low, high):
            for column in range(width):
                for j in range(5):
                    behind[row, column] += gradient[v, row, column, j] * out[v, row, column, j]
        for k in range(counts[v]):
            i = order[v, k]
            x, y, a, b = screen[v, k, 0], screen[v, k, 1], screen[v, k, 2], screen[v, k, 3]
            c, opacity, z = screen[v, k, 4], screen[v, k, 5], screen[v, k, 6]
            limit = np.log(ALPHA_MIN / opacity)
            red, green, blue = colours[i, 0], colours[i, 1], colours[i, 2]
            g_x = g_y = g_a = g_b = g_c = g_opacity = g_z = ZERO
            g_red = g_green = g_blue = ZERO
            for row in range(max(boxes[v, k, 2], low), min(boxes[v, k, 3] + 1, high)):
                dy = np.float32(row) + HALF - y
                upright, mixed = -HALF * c * dy * dy, b * dy
                for column in range(boxes[v, k, 0], boxes[v, k, 1] + 1):
                    passing = light[row, column]
                    dx = np.float32(column) + HALF - x
                    power = upright - dx * (HALF * a * dx + mixed)
                    if passing < T_MIN or power < limit:
                        continue
                    shape = np.exp(power)
                    alpha = min(opacity * shape, ALPHA_MAX)
                    weight = passing * alpha
                    g0, g1 = gradient[v, row, column, 0], gradient[v, row, column, 1]
                    g2, g4 = gradient[v, row, column, 2], gradient[v, row, column, 4]
                    share = g0 * red + g1 * green + g2 * blue + g4 * z + gradient[v, row, column, 3]
                    rest = behind[row, column] - weight * share
                    behind[row, column] = rest
                    light[row, column] = passing - weight
                    g_red += weight * g0
                    g_green += weight * g1
                    g_blue += weight * g2
                    g_z += weight * g4
                    if alpha < ALPHA_MAX:
                        g_alpha = passing * share - rest / (ONE - alpha)
                        g_opacity += g_alpha * shape
                        g_power = g_alpha * alpha
                        g_x += g_power * (a * dx + b * dy)
                        g_y += g_power * (b * dx + c * dy)
                        g_a -= HALF * g_power * dx * dx
                        g_b -= g_power * dx * dy
                        g_c -= HALF * g_power * dy * dy
            into = d_screen[task, i]
            into[0], into[1], into[2], into[3], into[4] = g_x, g_y, g_a, g_b, g_c
            into[5], into[6], into[7], into[8], into[9] = g_opacity, g_z, g_red, g_green, g_blue


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def prepare_backward(
    positions, rotations, scales, opacities, matrices, source, focal, antialias, bands, d_screen,
    d_positions, d_rotations, d_scales, d_opacities, d_colours,
):  # fmt: skip
    """Carry d_screen [V · bands, N, 10] back through the projection, adding to zeroed arrays."""
    number = positions.shape[1]
    for task in nb.prange((number + CHUNK - 1) // CHUNK):
        total = np.empty(GRADIENTS, np.float32)
        for v in range(len(source)):
            m = source[v]
            for i in range(task * CHUNK, min(number, (task + 1) * CHUNK)):
                total[:] = ZERO
                for band in range(bands):
                    for j in range(GRADIENTS):
                        total[j] += d_screen[v * bands + band, i, j]
                something = ZERO
                for j in range(GRADIENTS):
                    something += abs(total[j])
                if something == ZERO:
                    continue
                d_opacities[i] += project_backward(
                    positions[m, i], rotations[m, i], scales[m, i], opacities[i], matrices[v],
                    focal, antialias, total, d_positions[m, i], d_rotations[m, i], d_scales[m, i],
                )  # fmt: skip
                for j in range(3):
                    d_colours[i, j] += total[SCREEN + j]
