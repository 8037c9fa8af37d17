"""Mechanisms with exact truth: simple shapes whose motion is a formula that a test can check.

All loop with period 1 and lie inside the sphere of radius 0.68. Rigid ones move by joints, the
others by `Clip.deform`, which maps rest points to moved points.
"""

import math
from collections.abc import Callable

import numpy as np

from animate124.toybox.clip import Clip, Deform
from animate124.toybox.rig import Joint, JointPose, Paint, Part, Pose, Rig

HINGE_ANGLE = 60.0  # degrees to either side
BEND_ANGLE = 70.0  # degrees between the ends of the bar, to either side
TWIST_ANGLE = 90.0  # degrees at the top against the foot, to either side
FLAG_LENGTH, FLAG_AMPLITUDE, FLAG_WAVES = 0.72, 0.10, 1.25
SQUASH = 0.30  # height between 0.7 and 1.3 of the rest height
LEVER_ANGLE = 50.0

_RED = Paint((0.86, 0.20, 0.18))
_STEEL = Paint((0.56, 0.60, 0.68))
_BLUE = Paint((0.22, 0.44, 0.84), (0.97, 0.96, 0.94), "checks", scale=0.14)
_RINGS = Paint((0.96, 0.72, 0.20), (0.30, 0.24, 0.50), "rings", scale=0.16)
_SPOTS = Paint((0.30, 0.66, 0.42), (0.97, 0.96, 0.94), "spots", scale=0.15)
_ROOT = Joint("root", None, (0.0, 0.0, 0.0))


def _still(t: float) -> Pose:
    """The rest pose at every time."""
    return Pose()


def _swing(t: float) -> float:
    """sin 2πt, exactly periodic."""
    return math.sin(2 * math.pi * (t % 1.0))


def _clip(
    name: str,
    parts: tuple[Part, ...],
    joints: tuple[Joint, ...] = (),
    pose: Callable[[float], Pose] = _still,
    deform: Deform | None = None,
) -> Clip:
    return Clip(Rig((_ROOT, *joints), parts), pose, "mechanics", name, name, deform=deform)


def _sliced(
    name: str,
    half: tuple[float, float, float],
    center: tuple[float, float, float],
    cut: int,
    tone: tuple[float, float, float],
    slices: int = 24,
) -> tuple[Part, ...]:
    """A box cut into slices across axis `cut`, so that its triangles can follow a deformation.

    Slices change between two colours along `tone`, which swap every third slice: a chequerboard.
    """
    dark, pale = (0.22, 0.44, 0.84), (0.97, 0.96, 0.94)
    parts = []
    for i in range(slices):
        size, at = list(half), list(center)
        size[cut] = half[cut] / slices
        at[cut] += half[cut] * ((2 * i + 1) / slices - 1)
        base, accent = (dark, pale) if i // 3 % 2 == 0 else (pale, dark)
        paint = Paint(base, accent, "two_tone", axis=tone, extent=0.5)
        parts.append(Part(f"{name}{i}", "root", "box", tuple(size), tuple(at), paint))
    return tuple(parts)


def hinge() -> Clip:
    """A door on a post: turns about the post's axis (y, through x = −0.3) by ±60°."""
    parts = (
        Part("post", "root", "cylinder", (0.05, 0.9, 0.05), (-0.30, 0.0, 0.0), _STEEL),
        Part("door", "door", "box", (0.27, 0.32, 0.035), (0.0, 0.0, 0.0), _BLUE),
        Part("knob", "door", "ellipsoid", (0.045, 0.045, 0.06), (0.19, 0.0, 0.045), _RED),
    )

    def pose(t: float) -> Pose:
        return Pose({"door": JointPose((0.0, HINGE_ANGLE * _swing(t), 0.0))})

    return _clip("hinge", parts, (Joint("door", "root", (-0.30, 0.0, 0.0)),), pose)


def bending_bar() -> Clip:
    """A bar along x bent in the xy plane into a circular arc; its centre line keeps its length.

    With κ the curvature, (x, y, z) goes to ((1/κ − y) sin κx, 1/κ − (1/κ − y) cos κx, z).
    """
    parts = _sliced("bar", (0.48, 0.075, 0.10), (0.0, 0.0, 0.0), 0, (0.0, 1.0, 0.0))

    def deform(vertices: np.ndarray, t: float) -> np.ndarray:
        curvature = math.radians(BEND_ANGLE) * _swing(t) / 0.96
        x, y, z = vertices.T
        angle = curvature * x
        # sin(κx)/κ and (1 − cos κx)/κ, written so that κ = 0 is a straight bar.
        along = x * np.sinc(angle / math.pi) - y * np.sin(angle)
        up = 0.5 * curvature * x**2 * np.sinc(angle / (2 * math.pi)) ** 2 + y * np.cos(angle)
        return np.stack([along, up, z], axis=1)

    return _clip("bending bar", parts, deform=deform)


def twist() -> Clip:
    """A square column turned about y by an angle in proportion to the height over its foot."""
    parts = _sliced("column", (0.17, 0.46, 0.17), (0.0, 0.0, 0.0), 1, (1.0, 0.0, 0.0))

    def deform(vertices: np.ndarray, t: float) -> np.ndarray:
        x, y, z = vertices.T
        angle = math.radians(TWIST_ANGLE) * _swing(t) * (y + 0.46) / 0.92
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([c * x + s * z, y, c * z - s * x], axis=1)

    return _clip("twist", parts, deform=deform)


def flag() -> Clip:
    """A flag on a pole: z moves by A(s) (sin 2π(ws − t) − sin 2πws), s the share of its length.

    The amplitude A(s) = 0.10 s² vanishes at the pole; at t = 0 the flag is flat. The pole (x below
    its edge) stands still.
    """
    edge = -FLAG_LENGTH / 2
    parts = (
        Part("pole", "root", "cylinder", (0.03, 0.92, 0.03), (edge - 0.03, 0.0, 0.0), _STEEL),
        Part("knob", "root", "ellipsoid", (0.05, 0.05, 0.05), (edge - 0.03, 0.47, 0.0), _RINGS),
        *_sliced("cloth", (FLAG_LENGTH / 2, 0.20, 0.018), (0.0, 0.22, 0.0), 0, (0.0, 1.0, 0.0)),
    )

    def deform(vertices: np.ndarray, t: float) -> np.ndarray:
        share = np.clip((vertices[:, 0] - edge) / FLAG_LENGTH, 0.0, 1.0)
        phase = 2 * math.pi * FLAG_WAVES * share
        moved = np.array(vertices, dtype=np.float64)
        travel = np.sin(phase - 2 * math.pi * (t % 1.0)) - np.sin(phase)
        moved[:, 2] += FLAG_AMPLITUDE * share**2 * travel
        return moved

    return _clip("flag", parts, deform=deform)


def squash() -> Clip:
    """A ball on its foot (y = −0.4) that squashes and stretches: y by h, x and z by 1/√h."""
    parts = (Part("ball", "root", "ellipsoid", (0.36, 0.36, 0.36), (0.0, -0.04, 0.0), _SPOTS),)

    def deform(vertices: np.ndarray, t: float) -> np.ndarray:
        height = 1.0 - SQUASH * _swing(t)
        wide = 1.0 / math.sqrt(height)
        foot = np.array([0.0, -0.40, 0.0])
        return (vertices - foot) * [wide, height, wide] + foot

    return _clip("squash", parts, deform=deform)


def behind() -> Clip:
    """A plain board with a lever on its back, swinging ±50°: nothing moves when seen from +z."""
    parts = (
        Part("board", "root", "box", (0.38, 0.38, 0.05), (0.0, 0.0, 0.06), _BLUE),
        Part("lever", "lever", "capsule", (0.055, 0.24, 0.055), (0.0, 0.06, -0.06), _RED),
        Part("ball", "lever", "ellipsoid", (0.08, 0.08, 0.06), (0.0, 0.19, -0.06), _RINGS),
    )

    def pose(t: float) -> Pose:
        return Pose({"lever": JointPose((0.0, 0.0, LEVER_ANGLE * _swing(t)))})

    return _clip("behind", parts, (Joint("lever", "root", (0.0, -0.06, -0.06)),), pose)


def static() -> Clip:
    """A ball on a block that never moves."""
    parts = (
        Part("block", "root", "box", (0.28, 0.16, 0.28), (0.0, -0.24, 0.0), _BLUE),
        Part("ball", "root", "ellipsoid", (0.24, 0.24, 0.24), (0.0, 0.14, 0.0), _SPOTS),
    )
    return _clip("static", parts)


MECHANICS: dict[str, Callable[[], Clip]] = {
    "hinge": hinge,
    "bending bar": bending_bar,
    "twist": twist,
    "flag": flag,
    "squash": squash,
    "behind": behind,
    "static": static,
}
