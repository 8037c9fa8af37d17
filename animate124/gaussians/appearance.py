"""A cloud's looks fitted to pictures: light by normals, and a correction for every Gaussian.

An asset's colours hold no light, the pictures of it do. Light that is fixed in the world depends on
the normal alone, in nine numbers a channel (Ramamoorthi and Hanrahan 2001), and these few are known
from the sides that pictures show for those that they do not.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from animate124.gaussians.cloud import Cloud


class Appearance(nn.Module):
    """Changes of colour, width and opacity of a cloud; none at first."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        count, device = len(cloud), cloud.positions.device
        self.rest = cloud
        self.light = nn.Parameter(torch.zeros(9, 3, device=device)) if cloud.flat else None
        self.colour = nn.Parameter(torch.zeros(count, 3, device=device))
        self.width = nn.Parameter(torch.zeros(count, 1, device=device))
        self.opacity = nn.Parameter(torch.zeros(count, device=device))

    def cloud(self) -> Cloud:
        """The cloud with the changes; differentiable in them."""
        colours = self.rest.colours
        if self.light is not None:
            colours = colours * (1 + harmonics(self.rest.normals) @ self.light)
        return replace(
            self.rest,
            colours=colours + self.colour,
            log_scales=self.rest.log_scales + self.width,
            opacity_logits=self.rest.opacity_logits + self.opacity,
        )

    def change(self) -> Tensor:
        """Mean square of all changes but the light's; a scalar, to be kept small."""
        return sum(p.square().mean() for p in (self.colour, self.width, 0.1 * self.opacity))


def harmonics(directions: Tensor) -> Tensor:
    """The nine real spherical harmonics up to degree 2 [..., 9] of unit vectors [..., 3], each
    scaled to be 1 in size at its greatest; the first is the constant."""
    x, y, z = directions.unbind(-1)
    parts = (
        torch.ones_like(x), x, y, z, 2 * x * y, 2 * y * z, 2 * x * z, x * x - y * y,
        1.5 * z * z - 0.5,
    )  # fmt: skip
    return torch.stack(parts, -1)
