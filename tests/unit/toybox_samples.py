"""Small clips with known geometry, shared by the toybox tests."""

from collections.abc import Callable

import numpy as np
import torch

from animate124.geometry.cameras import Cameras, orbit
from animate124.toybox.clip import Clip
from animate124.toybox.rig import Joint, JointPose, Paint, Part, Pose, Rig

WHITE = Paint((1.0, 1.0, 1.0))
RED, GREEN = Paint((1.0, 0.0, 0.0)), Paint((0.0, 1.0, 0.0))


def ball(
    radius: float | tuple[float, float, float] = 0.4,
    position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    paint: Paint = WHITE,
    joint: str = "root",
    name: str = "ball",
) -> Part:
    """A sphere, or an ellipsoid of three half-axes."""
    size = radius if isinstance(radius, tuple) else (radius,) * 3
    return Part(name, joint, "ellipsoid", size, position, paint)


def clip_of(
    *parts: Part,
    pose: Callable[[float], Pose] = lambda t: Pose(),
    joints: tuple[Joint, ...] = (Joint("root", None, (0.0, 0.0, 0.0)),),
    **options: object,
) -> Clip:
    """A clip of the given parts, at rest unless `pose` says otherwise."""
    return Clip(Rig(joints, parts), pose, "thing", "moving", "a thing moves", **options)


def sliding(*offset: float) -> Callable[[float], Pose]:
    """The root slides by t · offset."""
    return lambda t: Pose({"root": JointPose(translation=tuple(t * x for x in offset))})


def doll(**options: object) -> Clip:
    """A head with a left hand (+x) in green and a right hand in red that swing about the root."""
    joints = (Joint("root", None, (0, 0, 0)), Joint("left", "root", (0.15, 0.1, 0)))
    spots = Paint((0.9, 0.8, 0.2), (0.2, 0.3, 0.8), "two_tone", extent=0.4)

    def pose(t: float) -> Pose:
        angle = 50.0 * float(np.sin(2 * np.pi * t))
        return Pose(
            {
                "root": JointPose(rotation=(0.0, 0.3 * angle, 0.0), scale=(1.0, 1.1, 0.9)),
                "left": JointPose(rotation=(angle, 0.0, 20.0), translation=(0.0, 0.02, 0.0)),
            }
        )

    return clip_of(
        ball((0.2, 0.25, 0.15), paint=spots, name="body"),
        ball(0.08, (0.35, 0.1, 0.05), GREEN, "left", "left hand"),
        ball(0.08, (-0.35, 0.1, 0.05), RED, "root", "right hand"),
        pose=pose,
        joints=joints,
        **options,
    )


def cameras(*azimuths: float, elevation: float = 0.0, size: int = 96) -> Cameras:
    """Square cameras at the default radius 2.2 and field of view 40°."""
    return Cameras(orbit(torch.tensor(azimuths), elevation), 40.0, size, size)
