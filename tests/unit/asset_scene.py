"""A scene of an asset in its folders, down to the animated mesh: a toybox character that hops."""

import json

import numpy as np
import torch

from animate124.gaussians.motion import Motion, bind
from animate124.gaussians.store import save
from animate124.gaussians.surface import from_mesh
from animate124.media.glb import posed_parts, read
from animate124.settings.animate_mesh import AnimateMeshSettings
from animate124.settings.base import parse
from animate124.settings.intake import IntakeSettings
from animate124.settings.reconstruct import MotionSettings
from animate124.settings.views import ViewsSettings
from animate124.stages.animate_mesh import animate_mesh
from animate124.stages.intake import intake
from animate124.stages.views import views
from animate124.toybox.bundle import write_bundle
from animate124.toybox.characters import sample_clip
from animate124.toybox.export import export_static_glb

HOP = 0.1  # world units upwards, halfway through
SEED, SPECIES, MOTION = 119, "robot", "waving"


def make(folder, size=32):
    """intake, views, polish and mesh in `folder`, and the truth of the character at rest."""
    clip = sample_clip(SEED, SPECIES, MOTION)
    export_static_glb(clip, folder / "robot.glb")
    scene = folder / "scene"
    intake(folder / "robot.glb", scene / "intake", parse(IntakeSettings, ["preview=16"]))
    views(scene / "intake", scene / "views", parse(ViewsSettings, [f"size={size}"]))
    parts = posed_parts(read(scene / "intake" / "asset.glb"))
    cloud = from_mesh(parts, 800, np.random.default_rng(0))
    settings = MotionSettings(nodes=8)
    motion = Motion(bind(cloud, settings), settings, 4, True)
    with torch.no_grad():
        for key, height in zip(motion.local.keys, (0.5, 1.0, 0.5), strict=True):
            key[:, 1] = height * HOP  # up and down again
    (scene / "polish").mkdir()
    save(scene / "polish" / "gaussians.safetensors", cloud, motion)
    record = {"stage": "polish", "fps": 8, "frames": 4, "loop": True, "elevation": 15.0}
    (scene / "polish" / "stage.json").write_text(json.dumps(record))
    animate_mesh(
        scene / "intake", scene / "polish", scene / "mesh",
        parse(AnimateMeshSettings, ["preview=16"]),
    )  # fmt: skip
    write_bundle(clip, folder / "truth", "test", views=4, frames=4, size=size, samples=2)
    return scene
