"""The motion of a static scene, from clips that the multi-view video prior makes of all its sides.

Clips from one side after the other, each made of what the scene shows by then, disagree and leave
little of any motion. The multi-view prior moves all sides together, and what is searched for in its
clips is not another picture per moment but how the surface that is there bends, as stiff as it can
be: what is noise in the clips stays in the clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate124 import runtime, training
from animate124.fields.carried import Carried
from animate124.fields.radiance import RadianceField
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import amplitude
from animate124.gaussians.surface import from_mesh
from animate124.gaussians.turns import less_identity, multiply, scaled
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.glb import MeshPart
from animate124.settings.dynamic import DynamicSettings
from animate124.settings.export import ExportSettings
from animate124.stages.export_mesh import extract, fitting_level
from animate124.stages.finished_field import FinishedField
from animate124.stages.models import Models
from animate124.stages.multiview_clips import Stills, best_clips, cut_out, forget, premultiplied
from animate124.stages.outputs import Stopwatch
from animate124.stages.reconstruct_task import ReconstructTask

ROLE = "multi-view-video"


@dataclass(frozen=True, eq=False)
class FoundMotion:
    """The static scene carried along at the slices' moments, and facts for the stage's record."""

    carried: Carried
    facts: dict[str, Any]


def wanted(settings: DynamicSettings, models: Models) -> bool:
    """Whether the scene is to be moved so."""
    return settings.source == "multi-view" or (settings.source == "auto" and models.has(ROLE))


def find_motion(
    scene: FinishedField,
    static: RadianceField,
    settings: DynamicSettings,
    models: Models,
    sentence: str,
    work: Path,
    mark: str,
    watch: Stopwatch,
) -> FoundMotion:
    """How `sentence` moves the scene; an interrupted run goes on from what lies in `work`.

    Raises:
        UserError: a scene that shows nothing, absent models, or a search that diverged.
    """
    with watch.part("surface"):
        cloud = surface_cloud(scene, settings)
        stills = surroundings(scene, settings, models.multi_view_video.image_size)
    with watch.part("clips"):
        chosen = best_clips(
            models, stills, sentence, settings.surround, settings.frames, settings.train.seed,
            work, mark,
        )  # fmt: skip
        matting = models.matting if models.has("matting") else None
        clips = premultiplied(cut_out(chosen.clips, stills, matting, settings.surround.steady))
    with watch.part("tracking"):
        # Seed and logging are the stage's own.
        train = settings.train.model_copy(update={"steps": settings.track.train.steps})
        track = settings.track.model_copy(update={"train": train})
        cameras = stills.cameras.to(models.device)
        task = ReconstructTask(
            cloud.to(models.device), clips.to(models.device), cameras, settings.loop, track
        )
        training.run(task, train, work / "track", mark)
        moved, turned = _moments(task, settings)
    facts = {
        "source": "multi-view",
        **chosen.record(),
        "amplitude": round(float(amplitude(cloud.positions.to(moved), moved)), 5),
    }
    return FoundMotion(Carried(static, cloud.positions, moved, turned), facts)


def done(settings: DynamicSettings, work: Path) -> None:
    """Remove what `find_motion` keeps for an interrupted run."""
    forget(work, settings.surround)
    training.finish(work / "track")


def surface_cloud(scene: FinishedField, settings: DynamicSettings) -> Cloud:
    """Gaussians on the surface of the static scene, in its colours."""
    level, _ = fitting_level(scene)
    most = 8 * settings.surround.cells**2
    cells = ExportSettings(resolution=settings.surround.cells, max_vertices=most)
    surface = extract(scene, cells, 0.0, level)
    part = MeshPart(
        "surface", surface.vertices.astype(np.float32), surface.faces, colors=surface.colours
    )
    seed = runtime.derive_seed(settings.train.seed, "dynamic", "surface")
    return from_mesh([part], settings.track.gaussians, np.random.default_rng(seed))


def surroundings(scene: FinishedField, settings: DynamicSettings, size: int) -> Stills:
    """What the static scene shows at t = 0 from around it, the first the picture's own view."""
    count = settings.surround.views
    azimuth = 360.0 * torch.arange(count) / count
    elevation = torch.full((count,), float(scene.elevation))
    poses = orbit(azimuth, elevation)
    seen = scene.images(poses, torch.zeros(count), size, supersample=2, background=0.0)
    pictures = torch.cat([seen["rgb"].permute(0, 3, 1, 2), seen["alpha"][:, None]], 1)
    cameras = Cameras(poses, DEFAULT_FOV_Y, size, size)
    return Stills(pictures, azimuth, elevation, cameras, settings.surround.background)


@torch.no_grad()
def _moments(task: ReconstructTask, settings: DynamicSettings) -> tuple[Tensor, Tensor]:
    """Positions [K, N, 3] at the moments of the field's slices, and rotations [K, N, 3, 3] since
    rest; both as far from rest as the setting `carry.motion` wants."""
    count = settings.slices
    times = torch.arange(count) / (count if settings.loop else max(count - 1, 1))
    cloud = task.cloud()
    moved, turned, _ = task.motion.frames(cloud, times)
    back = cloud.rotations * cloud.rotations.new_tensor([1.0, -1.0, -1.0, -1.0])
    since = scaled(multiply(turned, back.expand_as(turned)), settings.carry.motion)
    moved = cloud.positions + settings.carry.motion * (moved - cloud.positions)
    return moved, less_identity(since) + torch.eye(3, device=since.device)
