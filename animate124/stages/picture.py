"""The picture everything starts from as a view of the scene: rays through it, losses on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from animate124.fields.radiance import RadianceField
from animate124.geometry.cameras import (
    DEFAULT_FOV_Y,
    Cameras,
    orbit,
    rays_through,
    world_to_camera,
)
from animate124.priors.latent import resize
from animate124.render.volume import Rendered, surface_normals


@dataclass(frozen=True, eq=False)
class Sighting:
    """Rays through random pixels: origins and directions [P·s², 3] and the pixels' numbers [P]."""

    origins: Tensor
    directions: Tensor
    pixels: Tensor


class Picture:
    """A matted picture taken from azimuth 0 and a known elevation at the default radius.

    Args:
        image: straight-alpha RGBA float32 [H, H, 4] in [0, 1].
        elevation: of its camera, degrees.
        largest: edge it is reduced to, if it is larger, pixels.
        depth: relative inverse depth [H, H], larger is nearer, in any scale; or None.
        normals: camera-space unit normals [H, H, 3] (x right, y up, z to the camera); or None.

    Raises ValueError for a picture that is not square RGBA.
    """

    def __init__(
        self,
        image: Tensor,
        elevation: float,
        largest: int,
        device: str = "cpu",
        depth: Tensor | None = None,
        normals: Tensor | None = None,
    ) -> None:
        if image.dim() != 3 or image.shape[2] != 4 or image.shape[0] != image.shape[1]:
            raise ValueError(f"the picture must be square RGBA [H, H, 4], got {list(image.shape)}")
        self.side = min(len(image), largest)
        premultiplied = torch.cat([image[..., :3] * image[..., 3:], image[..., 3:]], -1)
        self.pixels = self._flat(premultiplied, device)  # [S², 4], premultiplied
        self.depth = None if depth is None else self._flat(depth[..., None], device)[:, 0]
        self.normals = None if normals is None else self._flat(normals, device)
        self.elevation, self.device = elevation, device
        camera = Cameras(orbit(0.0, elevation)[None], DEFAULT_FOV_Y, self.side, self.side)
        self.camera = camera.to(device)

    def _flat(self, plane: Tensor, device: str) -> Tensor:
        smaller = resize(plane.permute(2, 0, 1)[None].float(), self.side)[0]
        return smaller.flatten(1).t().contiguous().to(device)

    def over_white(self) -> Tensor:
        """RGB [1, 3, S, S] over white."""
        white = self.pixels[:, :3] + 1 - self.pixels[:, 3:]
        return white.t().reshape(1, 3, self.side, self.side)

    def sight(self, rays: int, subsamples: int, generator: torch.Generator) -> Sighting:
        """About `rays` rays, `subsamples`² jittered ones through each of some random pixels."""
        s = subsamples
        count = max(rays // s**2, 1)
        options = {"generator": generator, "device": self.device}
        pixel = torch.randint(len(self.pixels), (count,), **options)
        cell = torch.arange(s * s, device=self.device)
        corner = torch.stack([cell % s, cell // s], -1)
        place = torch.stack([pixel % self.side, pixel // self.side], -1)
        xy = place[:, None] + (corner + torch.rand(count, s * s, 2, **options)) / s
        view = torch.zeros(count * s * s, dtype=torch.int64, device=self.device)
        return Sighting(*rays_through(self.camera, view, xy.reshape(-1, 2)), pixel)

    def errors(
        self, result: Rendered, sighting: Sighting, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Mean squared errors "rgb", over random backgrounds, and "alpha".

        `result` begins with the rays of `sighting`; a pixel is the mean of its rays.
        """
        target = self.pixels[sighting.pixels]
        rays_each = len(sighting.origins) // len(target)
        known = len(sighting.origins)
        colour = result.colour[:known].reshape(-1, rays_each, 3).mean(1)
        opacity = result.opacity[:known].reshape(-1, rays_each).mean(1)[:, None]
        background = torch.rand(len(target), 3, generator=generator, device=self.device)
        error = colour - target[:, :3] + (target[:, 3:] - opacity) * background
        return {
            "rgb": error.square().mean(),
            "alpha": (opacity - target[:, 3:]).square().mean(),
        }

    def depth_error(self, result: Rendered, sighting: Sighting) -> Tensor:
        """1 − the correlation of nearness with the picture's, over pixels of the subject.

        Blind to scale and shift, which an estimate of relative depth does not know (Magic123 and
        RealFusion compare depths by correlation for the same reason).
        """
        rays_each = len(sighting.origins) // len(sighting.pixels)
        known = len(sighting.origins)
        distance = result.distance[:known] / result.opacity[:known].clamp(min=1e-4)
        near = -distance.reshape(-1, rays_each).mean(1)
        inside = self.pixels[sighting.pixels, 3] > 0.5
        if int(inside.sum()) < 2:
            return near.sum() * 0.0
        ours, theirs = near[inside], self.depth[sighting.pixels][inside]
        ours, theirs = ours - ours.mean(), theirs - theirs.mean()
        product = ours.square().mean().sqrt() * theirs.square().mean().sqrt()
        return 1.0 - (ours * theirs).mean() / product.clamp(min=1e-6)

    def normal_error(
        self, field: RadianceField, result: Rendered, sighting: Sighting, time: Tensor
    ) -> Tensor:
        """1 − the mean cosine between the field's normals and the picture's, on the subject."""
        rays_each = len(sighting.origins) // len(sighting.pixels)
        known = len(sighting.origins)
        first = torch.arange(0, known, rays_each, device=self.device)
        inside = (self.pixels[sighting.pixels, 3] > 0.5) & (result.opacity[first] > 0.5)
        if not bool(inside.any()):
            return result.opacity.sum() * 0.0
        chosen = first[inside]
        distance = result.distance[chosen] / result.opacity[chosen]
        points = sighting.origins[chosen] + distance[:, None].detach() * sighting.directions[chosen]
        turn = world_to_camera(self.camera.c2w[0])[:3, :3]
        ours = surface_normals(field, points, time) @ turn.t()
        theirs = torch.nn.functional.normalize(self.normals[sighting.pixels][inside], dim=-1)
        return 1.0 - (ours * theirs).sum(-1).mean()
