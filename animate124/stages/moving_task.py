"""What the ways to set a static field in motion share: time slices to learn, and previews."""

from __future__ import annotations

import torch
from torch import Tensor

from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.render.volume import render_images
from animate124.settings.dynamic import DynamicSettings
from animate124.stages.picture import Picture
from animate124.stages.scene_task import SceneTask

PREVIEW_FRAMES = 8


class MovingTask(SceneTask):
    """Optimisation of the time slices over a static scene; `picture` is what t = 0 looks like."""

    name = "dynamic"

    def __init__(
        self,
        picture: Picture,
        field: RadianceField,
        occupancy: OccupancyGrid,
        march: float,
        settings: DynamicSettings,
    ) -> None:
        super().__init__(settings, picture.device, field, occupancy, march)
        self.picture = picture

    def preview(self, step: int) -> Tensor:
        """Moments of the clip from the front, above the same from behind, to the right."""
        count, size = PREVIEW_FRAMES, self.settings.size
        times = torch.arange(count) / (count if self.settings.loop else count - 1)
        rows = []
        for azimuth in (0.0, 135.0):
            poses = orbit(azimuth, self.picture.elevation).expand(count, -1, -1).to(self.device)
            cameras = Cameras(poses, DEFAULT_FOV_Y, size, size)
            images = render_images(self.field, self.occupancy, times, cameras, self.march)["rgb"]
            rows.append(images.clamp(0, 1).transpose(0, 1).flatten(1, 2))
        return torch.cat(rows)
