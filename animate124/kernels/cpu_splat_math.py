"""One Gaussian's projection and its gradient (numba scalars). See kernels/splat_reference.py.

With J the projection's Jacobian, W the camera's rotation, R and S the Gaussian's rotation and
scales, the 2D covariance is U Uᵀ for U = J W R S [2, 3]: its two rows are all that is needed.
"""

import numba as nb
import numpy as np

from animate124.kernels import splat_reference as spec

LOW_PASS = np.float32(spec.LOW_PASS)
FACTOR_MIN = np.float32(spec.FACTOR_MIN)
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def rotation(q):
    """The nine entries, row by row, of the rotation of a unit quaternion (w, x, y, z)."""
    w, x, y, z = q[0], q[1], q[2], q[3]
    return (
        ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y),
        TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x),
        TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y),
    )  # fmt: skip


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _local(p, matrix):
    """Position in image axes."""
    return (
        matrix[0, 0] * p[0] + matrix[0, 1] * p[1] + matrix[0, 2] * p[2] + matrix[0, 3],
        matrix[1, 0] * p[0] + matrix[1, 1] * p[1] + matrix[1, 2] * p[2] + matrix[1, 3],
        matrix[2, 0] * p[0] + matrix[2, 1] * p[1] + matrix[2, 2] * p[2] + matrix[2, 3],
    )


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def project(p, q, s, matrix, focal):
    """Position in image axes (3), and the rows of U (3 + 3); no use where the depth is not > 0."""
    x, y, z = _local(p, matrix)
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = rotation(q)
    scale, x_z, y_z = focal / z, x / z, y / z
    # Rows of J W.
    a0 = scale * (matrix[0, 0] - x_z * matrix[2, 0])
    a1 = scale * (matrix[0, 1] - x_z * matrix[2, 1])
    a2 = scale * (matrix[0, 2] - x_z * matrix[2, 2])
    b0 = scale * (matrix[1, 0] - y_z * matrix[2, 0])
    b1 = scale * (matrix[1, 1] - y_z * matrix[2, 1])
    b2 = scale * (matrix[1, 2] - y_z * matrix[2, 2])
    return (
        x, y, z,
        s[0] * (a0 * r00 + a1 * r10 + a2 * r20),
        s[1] * (a0 * r01 + a1 * r11 + a2 * r21),
        s[2] * (a0 * r02 + a1 * r12 + a2 * r22),
        s[0] * (b0 * r00 + b1 * r10 + b2 * r20),
        s[1] * (b0 * r01 + b1 * r11 + b2 * r21),
        s[2] * (b0 * r02 + b1 * r12 + b2 * r22),
    )  # fmt: skip


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def _covariance_gradient(a, b, c, opacity, antialias, g):
    """Gradients of the 2D covariance (a, b, c) before the low-pass filter, and of the opacity.

    g: of the centre (2), the conic (3) and the lowered opacity.
    """
    plain = a * c - b * b
    wide, high = a + LOW_PASS, c + LOW_PASS
    inverse = ONE / (wide * high - b * b)
    k0, k1, k2 = high * inverse, -b * inverse, wide * inverse  # the conic K
    # −K G K with G the conic's gradient as a symmetric matrix.
    g0, g1, g2 = g[2], HALF * g[3], g[4]
    m00, m01 = k0 * g0 + k1 * g1, k0 * g1 + k1 * g2
    m10, m11 = k1 * g0 + k2 * g1, k1 * g1 + k2 * g2
    d_a = -(m00 * k0 + m01 * k1)
    d_b = -TWO * (m00 * k1 + m01 * k2)
    d_c = -(m10 * k1 + m11 * k2)
    factor = ONE
    if antialias:
        square = plain * inverse
        if square > FACTOR_MIN:
            factor = np.sqrt(square)
            half = HALF * g[5] * opacity * factor
            d_a += half * (c / plain - high * inverse)
            d_b += half * TWO * b * (inverse - ONE / plain)
            d_c += half * (a / plain - wide * inverse)
        else:
            factor = np.sqrt(FACTOR_MIN)
    return d_a, d_b, d_c, g[5] * factor


@nb.njit(fastmath=True, error_model="numpy", cache=True)
def project_backward(p, q, s, opacity, matrix, focal, antialias, g, d_p, d_q, d_s):
    """Add to d_p [3], d_q [4], d_s [3] what g says: the gradients of the centre (2), the conic (3),
    the lowered opacity and the depth. Returns the gradient of the opacity."""
    x, y, z, u0, u1, u2, v0, v1, v2 = project(p, q, s, matrix, focal)
    a = u0 * u0 + u1 * u1 + u2 * u2
    b = u0 * v0 + u1 * v1 + u2 * v2
    c = v0 * v0 + v1 * v1 + v2 * v2
    d_a, d_b, d_c, d_opacity = _covariance_gradient(a, b, c, opacity, antialias, g)
    # U = (J W)(R S): to the left factor (d_left, [2, 3]) and to the right one (R S).
    scale, x_z, y_z = focal / z, x / z, y / z
    r = rotation(q)
    left0 = (
        scale * (matrix[0, 0] - x_z * matrix[2, 0]),
        scale * (matrix[0, 1] - x_z * matrix[2, 1]),
        scale * (matrix[0, 2] - x_z * matrix[2, 2]),
    )
    left1 = (
        scale * (matrix[1, 0] - y_z * matrix[2, 0]),
        scale * (matrix[1, 1] - y_z * matrix[2, 1]),
        scale * (matrix[1, 2] - y_z * matrix[2, 2]),
    )
    du = (TWO * d_a * u0 + d_b * v0, TWO * d_a * u1 + d_b * v1, TWO * d_a * u2 + d_b * v2)
    dv = (TWO * d_c * v0 + d_b * u0, TWO * d_c * v1 + d_b * u1, TWO * d_c * v2 + d_b * u2)
    # Of J W: rows du, dv times (R S)ᵀ.
    e0, e1, e2 = du[0] * s[0], du[1] * s[1], du[2] * s[2]
    f0, f1, f2 = dv[0] * s[0], dv[1] * s[1], dv[2] * s[2]
    dl0 = (
        e0 * r[0] + e1 * r[1] + e2 * r[2],
        e0 * r[3] + e1 * r[4] + e2 * r[5],
        e0 * r[6] + e1 * r[7] + e2 * r[8],
    )
    dl1 = (
        f0 * r[0] + f1 * r[1] + f2 * r[2],
        f0 * r[3] + f1 * r[4] + f2 * r[5],
        f0 * r[6] + f1 * r[7] + f2 * r[8],
    )
    # Of R S: the columns of (J W)ᵀ (du; dv); its scale part at once.
    d_s[0] += (u0 * du[0] + v0 * dv[0]) / s[0]
    d_s[1] += (u1 * du[1] + v1 * dv[1]) / s[1]
    d_s[2] += (u2 * du[2] + v2 * dv[2]) / s[2]
    d_turn00, d_turn01, d_turn02 = (
        left0[0] * e0 + left1[0] * f0, left0[0] * e1 + left1[0] * f1, left0[0] * e2 + left1[0] * f2,
    )  # fmt: skip
    d_turn10, d_turn11, d_turn12 = (
        left0[1] * e0 + left1[1] * f0, left0[1] * e1 + left1[1] * f1, left0[1] * e2 + left1[1] * f2,
    )  # fmt: skip
    d_turn20, d_turn21, d_turn22 = (
        left0[2] * e0 + left1[2] * f0, left0[2] * e1 + left1[2] * f1, left0[2] * e2 + left1[2] * f2,
    )  # fmt: skip
    w, i, j, k = q[0], q[1], q[2], q[3]
    d_q[0] += TWO * (
        i * (d_turn21 - d_turn12) + j * (d_turn02 - d_turn20) + k * (d_turn10 - d_turn01)
    )
    d_q[1] += TWO * (
        j * (d_turn01 + d_turn10) + k * (d_turn02 + d_turn20) + w * (d_turn21 - d_turn12)
        - TWO * i * (d_turn11 + d_turn22)
    )  # fmt: skip
    d_q[2] += TWO * (
        i * (d_turn01 + d_turn10) + k * (d_turn12 + d_turn21) + w * (d_turn02 - d_turn20)
        - TWO * j * (d_turn00 + d_turn22)
    )  # fmt: skip
    d_q[3] += TWO * (
        i * (d_turn02 + d_turn20) + j * (d_turn12 + d_turn21) + w * (d_turn10 - d_turn01)
        - TWO * k * (d_turn00 + d_turn11)
    )  # fmt: skip
    # Of J: its entries are focal / z, −focal x / z² and −focal y / z².
    j00 = dl0[0] * matrix[0, 0] + dl0[1] * matrix[0, 1] + dl0[2] * matrix[0, 2]
    j02 = dl0[0] * matrix[2, 0] + dl0[1] * matrix[2, 1] + dl0[2] * matrix[2, 2]
    j11 = dl1[0] * matrix[1, 0] + dl1[1] * matrix[1, 1] + dl1[2] * matrix[1, 2]
    j12 = dl1[0] * matrix[2, 0] + dl1[1] * matrix[2, 1] + dl1[2] * matrix[2, 2]
    d_x = scale * (g[0] - j02 / z)
    d_y = scale * (g[1] - j12 / z)
    bend = TWO * (j02 * x_z + j12 * y_z) - j00 - j11
    d_z = scale * (bend / z - x_z * g[0] - y_z * g[1]) + g[6]
    d_p[0] += matrix[0, 0] * d_x + matrix[1, 0] * d_y + matrix[2, 0] * d_z
    d_p[1] += matrix[0, 1] * d_x + matrix[1, 1] * d_y + matrix[2, 1] * d_z
    d_p[2] += matrix[0, 2] * d_x + matrix[1, 2] * d_y + matrix[2, 2] * d_z
    return d_opacity
