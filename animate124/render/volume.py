"""Volume rendering of a radiance field: rays in, colour, opacity, depth and normals out."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from animate124.geometry.cameras import Cameras, forward, rays
from animate124.kernels import dispatch


class Field(Protocol):
    """What is rendered: a RadianceField or a FlowField. bound: half edge of its cube."""

    bound: float

    def query(self, points: Tensor, times: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Density and colour, as `RadianceField.query`."""
        ...


class Occupancy(Protocol):
    """Where to look: an OccupancyGrid, or the FlowOccupancy that belongs to a FlowField."""

    def at(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        """Grids to march, as `OccupancyGrid.at`."""
        ...


@dataclass(frozen=True)
class Rendered:
    """Per-ray results: colour [R, 3] premultiplied on black, opacity [R], distance [R] along the
    ray in world units (weighted sum, not divided by the opacity), and what they were made of: the
    samples' weights [N] and distances [N], those of ray r at offsets[r]:offsets[r+1]."""

    colour: Tensor
    opacity: Tensor
    distance: Tensor
    weights: Tensor
    distances: Tensor
    offsets: Tensor

    @property
    def samples(self) -> int:
        """Samples taken over all rays."""
        return len(self.distances)

    def over(self, background: Tensor) -> Tensor:
        """Colour [R, 3] over a background that broadcasts to it."""
        return self.colour + (1 - self.opacity[:, None]) * background

    def spread(self) -> Tensor:
        """Mean over rays of Σ w·|t − t̄|, world units: how far from one surface the weights lie.

        The linear-time relative of the distortion loss of Mip-NeRF 360 (Barron et al. 2022, eq. 15)
        around the ray's mean distance t̄, which gets no gradient.
        """
        mean = (self.distance / self.opacity.clamp(min=1e-4)).detach()
        centre = mean.repeat_interleave(self.offsets.diff())
        return (self.weights * (self.distances - centre).abs()).sum() / max(len(mean), 1)


def render_rays(
    field: Field,
    occupancy: Occupancy,
    times: Tensor,
    origins: Tensor,
    directions: Tensor,
    step: float,
    generator: torch.Generator | None = None,
    stop: float = float("inf"),
) -> Rendered:
    """Render G groups of rays, each at its own time.

    times: [G] in [0, 1]. origins, directions: [G, R, 3], directions unit length. step: distance
    between samples, world units. generator: jitters the samples of each ray; without it they lie
    mid-step. stop: optical depth (of the occupancy grid) after which a ray ends. Returns G·R rays.
    """
    per_group = origins.shape[1]
    origins, directions = origins.reshape(-1, 3), directions.reshape(-1, 3)
    density, threshold, boxes, rows = occupancy.at(times)
    group = torch.tensor(rows, device=origins.device).repeat_interleave(per_group)
    if generator is None:
        jitter = torch.full((len(origins),), 0.5, device=origins.device)
    else:
        jitter = torch.rand(len(origins), generator=generator, device=origins.device)
    offsets, distances, points = dispatch.march(
        origins, directions, group, density, threshold, field.bound, step, jitter, stop, boxes
    )
    starts = offsets[::per_group].contiguous()
    sigma, colour = field.query(points, times, starts)
    rgb, opacity, distance, weights = dispatch.composite(sigma, colour, distances, offsets, step)
    return Rendered(rgb, opacity, distance, weights, distances, offsets)


def surface_normals(field: Field, points: Tensor, time: Tensor, epsilon: float = 0.01) -> Tensor:
    """Unit outward normals [N, 3] at world points [N, 3]: minus the direction of steepest density.

    Central differences at ±epsilon (world units; 0.01 in the paper, spec §3.4), asked once per ray
    at its surface and not, as published, at every sample. time: [] in [0, 1]. Differentiable where
    the field is; zero where the density is flat.
    """
    offsets = torch.cat([torch.eye(3), -torch.eye(3)]).to(points) * epsilon
    asked = (points[None] + offsets[:, None]).reshape(-1, 3)
    unit = (asked / (2 * field.bound) + 0.5).clamp(0, 1)
    starts = torch.tensor([0, len(unit)], device=points.device)
    density, _ = field.query(unit, time.reshape(1), starts)
    positive, negative = density.view(2, 3, -1)
    return torch.nn.functional.normalize(negative - positive, dim=0).t()


@torch.no_grad()
def render_images(
    field: Field,
    occupancy: Occupancy,
    times: Tensor,
    cameras: Cameras,
    step: float,
    background: float = 1.0,
    supersample: int = 1,
    normals: bool = False,
) -> dict[str, Tensor]:
    """Images of the field: camera v at times[v].

    Returns rgb [V, H, W, 3] over a grey level `background`, alpha [V, H, W], depth [V, H, W]
    (planar, world units, 0 where alpha < 0.5), and, only if asked for, normals [V, H, W, 3]
    (world axes, of the surface at a pixel's centre, 0 where alpha < 0.5). supersample: rays per
    pixel edge, averaged.
    """
    rgb, alpha, depth, normal = [], [], [], []
    height, width = cameras.height * supersample, cameras.width * supersample
    for v, t in enumerate(times):
        one = Cameras(cameras.c2w[v : v + 1], cameras.fov_y, height, width)
        origins, directions = rays(one)
        result = render_rays(
            field, occupancy, t[None], origins.reshape(1, -1, 3), directions.reshape(1, -1, 3), step
        )
        along = directions.reshape(-1, 3) @ forward(one.c2w[0])
        planes = torch.cat(
            [
                result.over(torch.tensor(background)),
                result.opacity[:, None],
                (result.distance * along)[:, None],
            ],
            -1,
        )
        planes = planes.reshape(cameras.height, supersample, cameras.width, supersample, 5)
        planes = planes.mean((1, 3))
        rgb.append(planes[..., :3])
        alpha.append(planes[..., 3])
        depth.append(torch.where(planes[..., 3] >= 0.5, planes[..., 4] / planes[..., 3], 0))
        if normals:
            normal.append(_normal_image(field, cameras[v], depth[-1], t))
    planes = {"rgb": rgb, "alpha": alpha, "depth": depth, "normals": normal}
    return {name: torch.stack(images) for name, images in planes.items() if images}


def _normal_image(field: Field, camera: Cameras, depth: Tensor, time: Tensor) -> Tensor:
    """Normals [H, W, 3] where a depth image [H, W] has a surface."""
    origins, directions = (x[0] for x in rays(camera))
    distance = depth / (directions @ forward(camera.c2w[0]))
    image, seen = torch.zeros_like(directions), depth > 0
    points = (origins + distance[..., None] * directions)[seen]
    image[seen] = surface_normals(field, points, time)
    return image
