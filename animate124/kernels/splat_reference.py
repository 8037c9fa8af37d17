"""Readable torch reference of Gaussian splatting: the specification, the fallback and the oracle.

EWA splatting (Zwicker et al. 2001) as in 3D Gaussian Splatting (Kerbl et al. 2023): a 3D Gaussian
is projected with the camera's local affine approximation, widened by a low-pass filter, and the
images are composited front to back. With `antialias` the opacity is lowered by as much as the
low-pass filter widens the footprint (Yu et al. 2024, "Mip-Splatting", section 5.2), so that small
Gaussians do not grow fat in small images.

All is differentiable by autograd in the float inputs. What is cut away (ALPHA_MIN, T_MIN, ALPHA_MAX
and the floor of the antialiasing factor) has no gradient.
"""

import torch
from torch import Tensor

LOW_PASS = 0.3  # square pixels, added to both variances of every projected Gaussian
NEAR = 0.05  # world units: what lies nearer to the camera's plane is not drawn
ALPHA_MIN = 1.0 / 255.0  # a Gaussian covers no pixel by less
ALPHA_MAX = 0.99  # and none by more
T_MIN = 1e-4  # where less light than this gets through, nothing further behind is drawn
FACTOR_MIN = 2.5e-5  # of the antialiasing factor's square

# OpenGL camera axes (x right, y up, looks along −z) to those of an image (y down, looks along +z).
_AXES = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))


def rotation_matrix(quaternion: Tensor) -> Tensor:
    """Rotations [..., 3, 3] of unit quaternions [..., 4] (w, x, y, z)."""
    w, x, y, z = quaternion.unbind(-1)
    rows = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def image_matrix(views: Tensor) -> Tensor:
    """World to image axes [V, 3, 4] of world-to-camera matrices [V, 4, 4] in OpenGL form."""
    return torch.tensor(_AXES, dtype=views.dtype, device=views.device) @ views[:, :3]


def splat(
    positions: Tensor,
    rotations: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colours: Tensor,
    views: Tensor,
    source: Tensor,
    focal: float,
    height: int,
    width: int,
    antialias: bool = True,
) -> Tensor:
    """Images of M states of a cloud of N Gaussians, seen from V cameras at once.

    Args:
        positions: [M, N, 3] world coordinates. rotations: [M, N, 4] unit quaternions (w, x, y, z).
        scales: [M, N, 3] standard deviations along the rotated axes, world units, > 0.
        opacities: [N] in [0, 1]. colours: [N, 3]; both are the same in all states.
        views: [V, 4, 4] world to camera in OpenGL form (`geometry.cameras.world_to_camera`).
        source: int64 [V] in [0, M), which state each camera looks at.
        focal: focal length in pixels; the principal point is the image centre.
        antialias: see the module.

    Returns:
        [V, H, W, 5]: colour premultiplied on black (3), alpha, and depth: planar, world units,
        the sum over Gaussians of their weight in the pixel times their centre's depth (divide by
        alpha for the mean).
    """
    images = []
    for matrix, m in zip(image_matrix(views), source.tolist(), strict=True):
        state = positions[m], rotations[m], scales[m]
        flat = _project(*state, opacities, matrix, focal, height, width, antialias)
        images.append(_composite(*flat, colours, height, width))
    return torch.stack(images)


def _project(positions, rotations, scales, opacities, matrix, focal, height, width, antialias):
    """Centres [N, 2] in pixels, conics [N, 3], opacities [N] (0: not drawn) and depths [N]."""
    world, shift = matrix[:, :3], matrix[:, 3]
    local = positions @ world.T + shift
    drawn = local[:, 2] > NEAR
    x, y, z = torch.where(drawn[:, None], local, local.new_ones(3)).unbind(-1)
    centre = torch.stack([focal * x / z + width / 2, focal * y / z + height / 2], -1)
    # The projection's Jacobian (Zwicker et al. 2001, equation 29) times the camera's rotation.
    rows = [world[0] - (x / z)[:, None] * world[2], world[1] - (y / z)[:, None] * world[2]]
    affine = (focal / z)[:, None, None] * torch.stack(rows, 1)
    half = affine @ (rotation_matrix(rotations) * scales[:, None, :])
    covariance = half @ half.mT
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    plain = a * c - b * b
    a, c = a + LOW_PASS, c + LOW_PASS
    determinant = a * c - b * b
    if antialias:
        opacities = opacities * (plain / determinant).clamp(min=FACTOR_MIN).sqrt()
    conic = torch.stack([c, -b, a], -1) / determinant[:, None]
    return centre, conic, torch.where(drawn, opacities, 0.0), z


def _composite(centre, conic, opacities, depth, colours, height, width):
    """One image [H, W, 5] of projected Gaussians, nearest first."""
    order = torch.argsort(depth, stable=True)
    centre, conic, opacities, depth, colours = (
        t[order] for t in (centre, conic, opacities, depth, colours)
    )
    columns = torch.arange(width, device=depth.device) + 0.5
    rows = torch.arange(height, device=depth.device) + 0.5
    dx = (columns - centre[:, :1])[:, None, :]  # [N, 1, W]
    dy = (rows - centre[:, 1:])[:, :, None]  # [N, H, 1]
    a, b, c = (conic[:, k, None, None] for k in range(3))
    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
    alpha = (opacities[:, None, None] * power.exp()).clamp(max=ALPHA_MAX)
    alpha = torch.where(alpha < ALPHA_MIN, 0.0, alpha)
    passed = torch.cumprod(1 - alpha, 0)
    light = torch.cat([torch.ones_like(passed[:1]), passed[:-1]])
    weight = torch.where(light < T_MIN, 0.0, light * alpha).flatten(1)  # [N, H·W]
    planes = torch.cat([colours, torch.ones_like(colours[:, :1]), depth[:, None]], -1)
    return (weight.T @ planes).reshape(height, width, 5)
