"""A scene whose truth is known in closed form: an egg that is red before and blue behind.

With priors that know it, the stages' optimisations are tested at 16² and without a trained model.
"""

import torch
from torch.nn.functional import avg_pool2d

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit, rays
from animate124.priors.schedule import Schedule
from animate124.stages.picture import Picture

SIZE = 16
AXES = torch.tensor([0.5, 0.5, 0.2])  # flat from front to back


def egg(azimuth, elevation=0.0, lift=0.0):
    """Straight RGBA [SIZE, SIZE, 4] of the egg, `lift` above the origin, by intersecting rays."""
    camera = Cameras(orbit(float(azimuth), float(elevation))[None], DEFAULT_FOV_Y, SIZE, SIZE)
    origin, direction = rays(camera)
    origin, direction = (origin[0] - torch.tensor([0, lift, 0])) / AXES, direction[0] / AXES
    a = direction.square().sum(-1)
    b = (origin * direction).sum(-1)
    inside = b.square() - a * (origin.square().sum(-1) - 1)
    near = (-b - inside.clamp(min=0).sqrt()) / a
    front = (origin + near[..., None] * direction)[..., 2:] > 0
    colour = torch.where(front, torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9]))
    return torch.cat([colour, (inside > 0)[..., None].float()], -1)


def white(rgba):
    return rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]


def picture(elevation=0.0, image=None, largest=128):
    image = egg(0, elevation) if image is None else image
    return Picture(image, elevation, largest)


class Knowing:
    """A novel-view prior that knows the egg, with averaging in the autoencoder's place."""

    vae, image_size = None, SIZE
    schedule = Schedule(torch.linspace(0.999, 0.01, 100))

    def __init__(self, elevation=0.0):
        self.elevation, self.poses, self.images = elevation, [], []

    def encode_images(self, images):
        self.images.append(images)
        return avg_pool2d(images * 2 - 1, 2)

    def reference(self, image):
        return image

    def predict_pair(self, noisy, t, reference, pose):
        self.poses.append(pose)
        azimuth = torch.rad2deg(torch.atan2(pose[0, 1], pose[0, 2]))
        elevation = self.elevation - torch.rad2deg(pose[0, 0])
        clean = self.encode_images(white(egg(azimuth, elevation)).permute(2, 0, 1)[None])
        signal, noise = self.schedule.signal_and_noise(t, clean)
        return ((noisy - signal * clean) / noise,) * 2
