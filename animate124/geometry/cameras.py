"""Pinhole cameras: poses, rays and projection.

World: right-handed, +y up, the subject faces +z. A pose is a camera-to-world matrix in OpenGL form
(the camera looks along its −z, x is image right, y is image up), a proper rotation (det = +1).
Azimuth 0 stands on +z and looks at the subject's face, positive azimuth moves the camera towards
+x; elevation is measured in degrees above the horizon. Pixel (0, 0) is the top left one and its
centre lies at (0.5, 0.5); pixels are square and the principal point is the image centre.

The published Animate124 code has det = −1 here: its world is mirrored, its azimuth runs the other
way, and the image turns over when a path crosses the pole. None of the three holds in this module.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

DEFAULT_RADIUS = 2.2
DEFAULT_FOV_Y = 40.0

# Below this sine between the view axis and `up`, `up` no longer says which way is image up.
_POLE_SINE = 1e-6
# A point nearer to the camera plane than this (world units) has no pixel.
_NEAREST = 1e-6


@dataclass(frozen=True)
class Cameras:
    """V pinhole cameras of one image size.

    `c2w` is float32 [V, 4, 4] camera-to-world, `fov_y` the vertical field of view in degrees
    (0 < fov_y < 180), `height` and `width` the image size in pixels.
    """

    c2w: Tensor
    fov_y: float
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.c2w.dim() != 3 or self.c2w.shape[1:] != (4, 4):
            raise ValueError(f"c2w must be [V, 4, 4], got {tuple(self.c2w.shape)}")
        if self.c2w.dtype != torch.float32:
            raise ValueError(f"c2w must be float32, got {self.c2w.dtype}")
        if not 0.0 < self.fov_y < 180.0:
            raise ValueError(f"fov_y must lie between 0 and 180 degrees, got {self.fov_y}")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"image size must be positive, got {self.height}x{self.width}")

    def __len__(self) -> int:
        return self.c2w.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> "Cameras":
        """The chosen cameras; an integer keeps the leading axis (one camera)."""
        if isinstance(index, int):
            index = [index]
        return replace(self, c2w=self.c2w[index])

    def to(self, device: torch.device | str) -> "Cameras":
        """The same cameras with `c2w` on `device`."""
        return replace(self, c2w=self.c2w.to(device))

    def resized(self, height: int, width: int) -> "Cameras":
        """The same cameras at another image size (the vertical field of view stays)."""
        return replace(self, height=height, width=width)


def look_at(
    position: Tensor,
    target: Tensor | tuple[float, float, float] = (0.0, 0.0, 0.0),
    up: Tensor | tuple[float, float, float] = (0.0, 1.0, 0.0),
) -> Tensor:
    """Pose of a camera at `position` that looks at `target` with `up` pointing up in the image.

    Args:
        position: [..., 3] world coordinates. target: [..., 3] or a triple, broadcast against it.
        up: [..., 3] or a triple; need not be unit or perpendicular. Where the view axis is parallel
            to `up`, image right is world +x (world +z if the view axis is x): a fixed choice, so
            use `orbit` for a path over the pole, which keeps the azimuth there.

    Returns:
        c2w float32 [..., 4, 4], det = +1.

    Raises:
        ValueError: a position equal to its target.
    """
    position = torch.as_tensor(position)
    device = position.device
    position = position.double()
    target = torch.as_tensor(target, dtype=torch.float64, device=device)
    up = normalize(torch.as_tensor(up, dtype=torch.float64, device=device), dim=-1)
    position, target, up = torch.broadcast_tensors(position, target, up)

    backward = position - target
    if bool((backward.norm(dim=-1) == 0).any()):
        raise ValueError("look_at: a camera position equals its target")
    backward = normalize(backward, dim=-1)
    right = torch.linalg.cross(up, backward)
    at_pole = right.norm(dim=-1, keepdim=True) < _POLE_SINE
    world_axes = torch.eye(3, dtype=torch.float64, device=device)
    spare = torch.where(backward[..., :1].abs() < 0.9, world_axes[0], world_axes[2])
    spare = spare - (spare * backward).sum(-1, keepdim=True) * backward
    right = normalize(torch.where(at_pole, spare, right), dim=-1)
    return _pose(right, torch.linalg.cross(backward, right), backward, position)


def orbit(
    azimuth_deg: Tensor | float,
    elevation_deg: Tensor | float = 0.0,
    radius: Tensor | float = DEFAULT_RADIUS,
) -> Tensor:
    """Pose of a camera on a sphere about the origin, looking at the origin.

    Built from the angles, not from `look_at`, so it is smooth everywhere: at ±90° elevation the
    azimuth still decides image right, and beyond ±90° the image stays continuous (upside down).

    Args:
        azimuth_deg, elevation_deg: degrees; radius: world units. Tensors [...] broadcast together.

    Returns:
        c2w float32 [..., 4, 4], det = +1. Position = radius·(cos e·sin a, sin e, cos e·cos a).
    """
    tensors = [x for x in (azimuth_deg, elevation_deg, radius) if isinstance(x, Tensor)]
    device = tensors[0].device if tensors else None
    azimuth, elevation, distance = torch.broadcast_tensors(
        *(
            torch.as_tensor(x, dtype=torch.float64, device=device)
            for x in (azimuth_deg, elevation_deg, radius)
        )
    )
    azimuth, elevation = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    sin_a, cos_a = azimuth.sin(), azimuth.cos()
    sin_e, cos_e = elevation.sin(), elevation.cos()
    right = torch.stack((cos_a, torch.zeros_like(cos_a), -sin_a), dim=-1)
    backward = torch.stack((cos_e * sin_a, sin_e, cos_e * cos_a), dim=-1)
    up = torch.stack((-sin_e * sin_a, cos_e, -sin_e * cos_a), dim=-1)
    return _pose(right, up, backward, distance[..., None] * backward)


def azimuth_elevation_radius(c2w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inverse of `orbit`: where a camera stands, as seen from the origin.

    Args:
        c2w: [..., 4, 4]. On the vertical axis, where the position says nothing about the azimuth,
            it is read from the camera's image-right axis.

    Returns:
        azimuth [...] in (−180, 180] degrees, elevation [...] in [−90, 90] degrees, radius [...].
    """
    x, y, z = c2w[..., :3, 3].unbind(-1)
    level = torch.hypot(x, z)
    radius = torch.hypot(level, y)
    on_axis = level <= _POLE_SINE * radius
    azimuth = torch.where(on_axis, torch.atan2(-c2w[..., 2, 0], c2w[..., 0, 0]), torch.atan2(x, z))
    return torch.rad2deg(azimuth), torch.rad2deg(torch.atan2(y, level)), radius


def focal_length(fov_y: float, height: int) -> float:
    """Focal length in pixels: height / (2·tan(fov_y / 2)), `fov_y` in degrees."""
    return height / (2.0 * float(torch.tan(torch.deg2rad(torch.tensor(fov_y / 2.0).double()))))


def forward(c2w: Tensor) -> Tensor:
    """Unit viewing direction [..., 3] (the camera's −z axis) of c2w [..., 4, 4]."""
    return -c2w[..., :3, 2]


def world_to_camera(c2w: Tensor) -> Tensor:
    """Rigid inverse [..., 4, 4] of camera-to-world poses [..., 4, 4] (a rotation and a shift)."""
    inverse = torch.zeros_like(c2w)
    rotation = c2w[..., :3, :3].transpose(-1, -2)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -(rotation @ c2w[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def rays(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Rays through every pixel centre.

    Returns:
        origins float32 [V, H, W, 3] (an expanded view, no memory of its own) and
        directions float32 [V, H, W, 3] of unit length, in world space. A point at distance s along
        a ray has planar depth s · (direction · forward(c2w)).
    """
    device = cameras.c2w.device
    focal = focal_length(cameras.fov_y, cameras.height)
    x = (torch.arange(cameras.width, device=device) + 0.5 - cameras.width / 2) / focal
    y = -(torch.arange(cameras.height, device=device) + 0.5 - cameras.height / 2) / focal
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    local = normalize(torch.stack((grid_x, grid_y, -torch.ones_like(grid_x)), dim=-1), dim=-1)
    directions = torch.einsum("vij,hwj->vhwi", cameras.c2w[:, :3, :3], local)
    origins = cameras.c2w[:, None, None, :3, 3].expand(directions.shape)
    return origins, directions


def rays_through(cameras: Cameras, view: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Rays through given image points.

    Args:
        view: int64 [...] index of the camera of each ray. xy: [..., 2] pixels (x right, y down,
            pixel centres at +0.5).

    Returns:
        origins and unit directions, float32 [..., 3], in world space.
    """
    focal = focal_length(cameras.fov_y, cameras.height)
    x = (xy[..., 0] - cameras.width / 2) / focal
    y = (cameras.height / 2 - xy[..., 1]) / focal
    pose = cameras.c2w[view]
    # x·right + y·up − backward, written out: an einsum over 3×3 matrices per ray is 3 times slower.
    right, up, backward = pose[..., :3, 0], pose[..., :3, 1], pose[..., :3, 2]
    return pose[..., :3, 3], normalize(x[..., None] * right + y[..., None] * up - backward, dim=-1)


def project(points: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Pixel coordinates and planar depth of world points in every camera.

    Args:
        points: [N, 3] world coordinates.

    Returns:
        xy [V, N, 2] in pixels (x right, y down, pixel centres at +0.5), NaN where the point does
        not lie in front of the camera plane, and depth [V, N], along the forward axis in world
        units (negative behind the camera). Gradients flow to points and poses; they are zero where
        xy is NaN.
    """
    focal = focal_length(cameras.fov_y, cameras.height)
    to_camera = world_to_camera(cameras.c2w)
    local = torch.einsum("vij,nj->vni", to_camera[:, :3, :3], points) + to_camera[:, None, :3, 3]
    depth = -local[..., 2]
    in_front = depth > _NEAREST
    # The inner `where` keeps the division finite: a NaN there would poison the gradient.
    scale = focal / torch.where(in_front, depth, torch.ones_like(depth))
    x = cameras.width / 2 + scale * local[..., 0]
    y = cameras.height / 2 - scale * local[..., 1]
    xy = torch.stack((x, y), dim=-1)
    return torch.where(in_front[..., None], xy, torch.full_like(xy, torch.nan)), depth


def _pose(right: Tensor, up: Tensor, backward: Tensor, position: Tensor) -> Tensor:
    """float32 [..., 4, 4] with the given columns [..., 3]."""
    pose = torch.zeros((*right.shape[:-1], 4, 4), dtype=torch.float64, device=right.device)
    pose[..., :3, :] = torch.stack((right, up, backward, position), dim=-1)
    pose[..., 3, 3] = 1.0
    return pose.float()
