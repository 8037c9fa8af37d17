"""Two-layer perceptron on CPU (numba), feature-major, in cache-sized blocks of samples.

Specification: kernels/reference.py. Torch's own path writes every hidden activation to memory and
reads it back; here a block's activations stay in the first-level cache, and the backward pass
recomputes them.
"""

import numba as nb
import numpy as np

BLOCK = 128  # samples a block: 32 hidden rows × 128 × 4 bytes = 16 KiB
PARTS = 16  # fixed number of partial sums, so that results do not depend on the thread count


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _layer(w, b, x, y):
    """y [J, BLOCK] = w [J, I] · x [I, BLOCK] + b [J], four rows by four columns at a time."""
    for j in range(0, w.shape[0], 4):
        y0, y1, y2, y3 = y[j], y[j + 1], y[j + 2], y[j + 3]
        for n in range(BLOCK):
            y0[n] = b[j]
            y1[n] = b[j + 1]
            y2[n] = b[j + 2]
            y3[n] = b[j + 3]
        for i in range(0, w.shape[1], 4):
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            a0, a1, a2, a3 = w[j, i], w[j, i + 1], w[j, i + 2], w[j, i + 3]
            b0, b1, b2, b3 = w[j + 1, i], w[j + 1, i + 1], w[j + 1, i + 2], w[j + 1, i + 3]
            c0, c1, c2, c3 = w[j + 2, i], w[j + 2, i + 1], w[j + 2, i + 2], w[j + 2, i + 3]
            d0, d1, d2, d3 = w[j + 3, i], w[j + 3, i + 1], w[j + 3, i + 2], w[j + 3, i + 3]
            for n in range(BLOCK):
                p, q, r, s = x0[n], x1[n], x2[n], x3[n]
                y0[n] += a0 * p + a1 * q + a2 * r + a3 * s
                y1[n] += b0 * p + b1 * q + b2 * r + b3 * s
                y2[n] += c0 * p + c1 * q + c2 * r + c3 * s
                y3[n] += d0 * p + d1 * q + d2 * r + d3 * s


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _outer(g, x, out):
    """out [J, I] += g [J, BLOCK] · x [I, BLOCK]ᵀ, four rows by two columns at a time."""
    for j in range(0, out.shape[0], 4):
        g0, g1, g2, g3 = g[j], g[j + 1], g[j + 2], g[j + 3]
        for i in range(0, out.shape[1], 2):
            x0, x1 = x[i], x[i + 1]
            a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = np.float32(0)
            for n in range(BLOCK):
                u, v = x0[n], x1[n]
                a0 += g0[n] * u
                a1 += g0[n] * v
                b0 += g1[n] * u
                b1 += g1[n] * v
                c0 += g2[n] * u
                c1 += g2[n] * v
                d0 += g3[n] * u
                d1 += g3[n] * v
            out[j, i] += a0
            out[j, i + 1] += a1
            out[j + 1, i] += b0
            out[j + 1, i + 1] += b1
            out[j + 2, i] += c0
            out[j + 2, i + 1] += c1
            out[j + 3, i] += d0
            out[j + 3, i + 1] += d1


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _load(x, first, count, block):
    """Copy x[:, first:first+count] into block [I, BLOCK], zero beyond."""
    for i in range(x.shape[0]):
        source, target = x[i, first : first + count], block[i]
        for n in range(count):
            target[n] = source[n]
        for n in range(count, BLOCK):
            target[n] = 0


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _relu(h):
    for j in range(h.shape[0]):
        row = h[j]
        for n in range(BLOCK):
            row[n] = max(row[n], np.float32(0))


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def forward(x, w1, b1, w2, b2, out):
    """x [I, N] -> out [O, N]; I, H and O are multiples of 4."""
    samples = x.shape[1]
    blocks = (samples + BLOCK - 1) // BLOCK
    for part in nb.prange(PARTS):
        xb = np.empty((x.shape[0], BLOCK), np.float32)
        h = np.empty((w1.shape[0], BLOCK), np.float32)
        y = np.empty((w2.shape[0], BLOCK), np.float32)
        for block in range(part * blocks // PARTS, (part + 1) * blocks // PARTS):
            first = block * BLOCK
            count = min(BLOCK, samples - first)
            _load(x, first, count, xb)
            _layer(w1, b1, xb, h)
            _relu(h)
            _layer(w2, b2, h, y)
            for o in range(out.shape[0]):
                target, source = out[o, first : first + count], y[o]
                for n in range(count):
                    target[n] = source[n]


@nb.njit(parallel=True, fastmath=True, error_model="numpy", cache=True)
def backward(x, gradient, w1, b1, w1t, w2t, d_x, d_w1, d_b1, d_w2, d_b2):
    """gradient [O, N] -> d_x [I, N], and partial sums d_w1 [PARTS, H, I] … to be added up."""
    samples = x.shape[1]
    blocks = (samples + BLOCK - 1) // BLOCK
    hidden, inputs, outputs = w1.shape[0], w1.shape[1], gradient.shape[0]
    no_hidden = np.zeros(hidden, np.float32)
    no_input = np.zeros(inputs, np.float32)
    for part in nb.prange(PARTS):
        xb = np.empty((inputs, BLOCK), np.float32)
        gb = np.empty((outputs, BLOCK), np.float32)
        h = np.empty((hidden, BLOCK), np.float32)
        dh = np.empty((hidden, BLOCK), np.float32)
        dx = np.empty((inputs, BLOCK), np.float32)
        for block in range(part * blocks // PARTS, (part + 1) * blocks // PARTS):
            first = block * BLOCK
            count = min(BLOCK, samples - first)
            _load(x, first, count, xb)
            _load(gradient, first, count, gb)
            _layer(w1, b1, xb, h)
            _relu(h)
            _layer(w2t, no_hidden, gb, dh)
            for j in range(hidden):
                h_row, d_row = h[j], dh[j]
                total = np.float32(0)
                for n in range(BLOCK):
                    d_row[n] = d_row[n] if h_row[n] > 0 else np.float32(0)
                    total += d_row[n]
                d_b1[part, j] += total
            for o in range(outputs):
                total = np.float32(0)
                row = gb[o]
                for n in range(BLOCK):
                    total += row[n]
                d_b2[part, o] += total
            _outer(gb, h, d_w2[part])
            _outer(dh, xb, d_w1[part])
            _layer(w1t, no_input, dh, dx)
            for i in range(inputs):
                target, source = d_x[i, first : first + count], dx[i]
                for n in range(count):
                    target[n] = source[n]
