"""Volume rendering quadrature on CPU (numba). Specification: kernels/reference.py."""

import numba as nb
import numpy as np

CHUNK = 256  # rays a task


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _absorbed(depth, keep):
    """1 − keep, with keep = exp(−depth): by Taylor's series where the difference would cancel."""
    one = np.float32(1)
    if depth > np.float32(0.1):
        return one - keep
    tail = one - depth * np.float32(1 / 4) * (one - depth * np.float32(1 / 5))
    return depth * (one - depth * np.float32(1 / 2) * (one - depth * np.float32(1 / 3) * tail))


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def forward(density, colour, distances, offsets, step, rgb, opacity, distance, weights):
    """density [N], colour [3, N], distances [N] -> rgb [R, 3], opacity, distance [R], weights."""
    rays = offsets.shape[0] - 1
    tasks = (rays + CHUNK - 1) // CHUNK
    for task in nb.prange(tasks):
        for r in range(task * CHUNK, min(rays, (task + 1) * CHUNK)):
            light = np.float32(1)
            red = green = blue = total = far = np.float32(0)
            for n in range(offsets[r], offsets[r + 1]):
                depth = density[n] * step
                keep = np.exp(-depth)
                w = light * _absorbed(depth, keep)
                light *= keep
                weights[n] = w
                red += w * colour[0, n]
                green += w * colour[1, n]
                blue += w * colour[2, n]
                total += w
                far += w * distances[n]
            rgb[r, 0], rgb[r, 1], rgb[r, 2] = red, green, blue
            opacity[r] = total
            distance[r] = far


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def backward(
    density, colour, distances, offsets, step, weights,
    d_rgb, d_opacity, d_distance, d_weights, d_density, d_colour,
):  # fmt: skip
    """Gradients d_density [N] and d_colour [3, N] from those of the four outputs of `forward`.

    With g_n the gradient of weight n and T_n the light that reaches sample n,
    dL/dsigma_n = step·(T_{n+1}·g_n − Σ_{m>n} w_m·g_m): one sweep from the back.
    """
    rays = offsets.shape[0] - 1
    tasks = (rays + CHUNK - 1) // CHUNK
    for task in nb.prange(tasks):
        for r in range(task * CHUNK, min(rays, (task + 1) * CHUNK)):
            first, last = offsets[r], offsets[r + 1]
            red, green, blue = d_rgb[r, 0], d_rgb[r, 1], d_rgb[r, 2]
            behind = np.float32(0)
            # What passes sample n, from the front: 1 − Σ weights would cancel on opaque rays.
            through = np.float32(1)
            for n in range(first, last):
                through *= np.exp(-density[n] * step)
                d_density[n] = through
            for i in range(last - first):
                n = last - 1 - i
                g = (
                    red * colour[0, n] + green * colour[1, n] + blue * colour[2, n]
                    + d_opacity[r] + d_distance[r] * distances[n] + d_weights[n]
                )  # fmt: skip
                d_density[n] = step * (d_density[n] * g - behind)
                behind += weights[n] * g
                d_colour[0, n] = red * weights[n]
                d_colour[1, n] = green * weights[n]
                d_colour[2, n] = blue * weights[n]
