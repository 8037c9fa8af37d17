"""Small Gaussian clouds and motions with known geometry, shared by the tests."""

import math

import numpy as np
import torch

from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Motion, bind
from animate124.settings.reconstruct import MotionSettings


def sphere(count=200, radius=0.4, flat=True):
    """Evenly spread Gaussians on a sphere, red on its left (+x) and blue on its right."""
    k = torch.arange(count, dtype=torch.float64)
    z = 1 - (2 * k + 1) / count
    angle = k * math.pi * (3 - math.sqrt(5))
    level = (1 - z * z).sqrt()
    normals = torch.stack([level * angle.cos(), level * angle.sin(), z], 1)
    # The shortest turn that takes +z to the normal: (1 + z, z × n), normalised.
    turns = torch.stack([1 + z, -normals[:, 1], normals[:, 0], torch.zeros_like(z)], 1)
    spacing = radius * math.sqrt(4 * math.pi / count)
    left = (normals[:, :1] > 0).double()
    return Cloud(
        positions=(radius * normals).float(),
        log_scales=torch.tensor([0.5, 0.5, 0.1]).mul(spacing).log().expand(count, 3).clone(),
        rotations=torch.nn.functional.normalize(turns, dim=1).float(),
        opacity_logits=torch.full((count,), 3.0),
        colours=torch.cat([left, 0.2 + 0 * left, 1 - left], 1).float(),
        flat=flat,
    )


def motion_of(cloud, frames=4, loop=True, **settings):
    """A motion at rest with few nodes."""
    chosen = MotionSettings(**({"nodes": 12, "cells": 4} | settings))
    generator = torch.Generator().manual_seed(0)
    return Motion(bind(cloud, chosen), chosen, frames, loop, generator)


def stir(motion, size=0.3, seed=0):
    """Random values in every parameter of a motion."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in motion.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=g))
    return motion


def turn_about(axis, degrees):
    """Rotation matrix [3, 3] about a unit axis (Rodrigues)."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], float)
    a = math.radians(degrees)
    return torch.tensor(np.eye(3) + math.sin(a) * k + (1 - math.cos(a)) * k @ k).float()
