"""Images of a moving cloud of Gaussians, as `render/volume.render_images` gives them of a field."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion
from animate124.geometry.cameras import Cameras, focal_length, world_to_camera
from animate124.kernels import dispatch

State = tuple[Tensor, Tensor, Tensor]


def splat_images(
    cloud: Cloud, state: State, source: Tensor, cameras: Cameras, antialias: bool = True
) -> Tensor:
    """Differentiable images [V, H, W, 5] of states of a cloud: colour premultiplied on black (3),
    alpha, depth (the sum over Gaussians, not divided by alpha).

    state: positions [M, N, 3], rotations [M, N, 4], scales [M, N, 3], e.g. from `Motion.frames`.
    source: int64 [V] in [0, M), the state that each camera sees; every state is computed once.
    """
    return dispatch.splat(
        *state,
        cloud.opacities,
        cloud.colours,
        world_to_camera(cameras.c2w),
        source,
        focal_length(cameras.fov_y, cameras.height),
        cameras.height,
        cameras.width,
        antialias,
    )


def rest_state(cloud: Cloud) -> State:
    """The one state [1, N, ...] of a cloud at rest."""
    return cloud.positions[None], cloud.rotations[None], cloud.scales[None]


@torch.no_grad()
def render_images(
    cloud: Cloud,
    motion: Motion | None,
    times: Tensor,
    cameras: Cameras,
    background: float = 1.0,
    supersample: int = 1,
) -> dict[str, Tensor]:
    """Images of a moving cloud: camera v at times[v]; without a motion the cloud rests.

    Returns rgb [V, H, W, 3] over a grey level `background`, alpha [V, H, W] and depth [V, H, W]
    (planar, world units, 0 where alpha < 0.5). supersample: drawn pixels per pixel edge, averaged.
    """
    moments, source = torch.unique(times, return_inverse=True)
    state = rest_state(cloud) if motion is None else motion.frames(cloud, moments)
    source = torch.zeros_like(source) if motion is None else source
    height, width = cameras.height, cameras.width
    large = cameras.resized(height * supersample, width * supersample)
    planes = splat_images(cloud, state, source.to(cameras.c2w.device), large)
    planes = avg_pool2d(planes.permute(0, 3, 1, 2), supersample)
    colour, alpha, depth = planes[:, :3], planes[:, 3], planes[:, 4]
    return {
        "rgb": (colour + (1 - alpha[:, None]) * background).permute(0, 2, 3, 1),
        "alpha": alpha,
        "depth": torch.where(alpha >= 0.5, depth / alpha.clamp(min=0.5), 0),
    }
