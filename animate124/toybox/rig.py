"""What a toybox character is made of: joints, painted parts, poses.

Space is the world of design §3 (right-handed, +y up, the subject faces +z), in world units: a
character at rest lies inside a sphere of radius 0.56 about the origin, and inside one of radius
0.68 at every moment of every clip, which keeps it in frame at camera radius 2.2 and fov_y 40°.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

PATTERNS = ("plain", "spots", "stripes", "rings", "belly", "two_tone", "checks")
KINDS = ("ellipsoid", "capsule", "cone", "cylinder", "box", "torus")

Vec3 = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """Surface colour of a part, evaluated per pixel in the part's own rest space.

    `base` and `accent` are sRGB in [0, 1]. `scale` is the pattern's cell size in world units.
    `axis` is the direction (part space) across which stripes, rings and two_tone change, or the
    centre direction of a belly patch; `extent` in [0, 1] is the share of the part that the accent
    covers (spots, stripes, belly, two_tone).
    """

    base: Vec3
    accent: Vec3 = (1.0, 1.0, 1.0)
    pattern: str = "plain"
    scale: float = 0.1
    axis: Vec3 = (0.0, 1.0, 0.0)
    extent: float = 0.5


@dataclass(frozen=True)
class Part:
    """One solid primitive, rigid with its joint.

    `size` by kind, in world units before `rotation` and `position` are applied:
    ellipsoid (half-axes x, y, z); capsule (radius at −y end, length between end centres along y,
    radius at +y end); cone and cylinder (bottom radius, height along y, top radius), rounded at the
    rims, flat caps; box (half-extents, edges rounded by 15 % of the smallest); torus (ring radius
    in the xz plane, tube radius, unused).
    `rotation` is XYZ Euler degrees (R = Rz·Ry·Rx), `position` the centre, both in rest world space.
    """

    name: str
    joint: str
    kind: str
    size: Vec3
    position: Vec3
    paint: Paint
    rotation: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Joint:
    """A pivot. `parent` is None for the root; `pivot` is its rest position in world space."""

    name: str
    parent: str | None
    pivot: Vec3


@dataclass(frozen=True)
class Rig:
    """Joints (parents before children) and the parts that hang on them."""

    joints: tuple[Joint, ...]
    parts: tuple[Part, ...]

    def index(self, name: str) -> int:
        """Index of the joint called `name`; KeyError when the rig has none."""
        return self._index[name]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {joint.name: i for i, joint in enumerate(self.joints)}

    @cached_property
    def _pivots(self) -> np.ndarray:
        """Joint pivots [J, 3]."""
        return np.array([joint.pivot for joint in self.joints], dtype=np.float64)

    @cached_property
    def _levels(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Per tree depth below the root: the joints there and their parents, as index arrays."""
        depth: list[int] = []
        parents: list[int] = []
        for joint in self.joints:
            parent = -1 if joint.parent is None else self._index[joint.parent]
            parents.append(parent)
            depth.append(0 if parent < 0 else depth[parent] + 1)
        levels = [np.flatnonzero(np.equal(depth, d)) for d in range(1, max(depth) + 1)]
        return tuple((level, np.take(parents, level)) for level in levels)


@dataclass(frozen=True)
class JointPose:
    """Local change of a joint about its pivot: scale, then rotate, then translate.

    `rotation` is XYZ Euler degrees (R = Rz·Ry·Rx), `translation` world units in the parent's frame.
    """

    rotation: Vec3 = (0.0, 0.0, 0.0)
    translation: Vec3 = (0.0, 0.0, 0.0)
    scale: Vec3 = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Pose:
    """Joint name to its local change; joints that are not named rest."""

    joints: Mapping[str, JointPose] = field(default_factory=dict)


_REST = JointPose()


def euler_matrix(degrees: Vec3 | np.ndarray) -> np.ndarray:
    """Rotations [..., 3, 3] = Rz·Ry·Rx from XYZ Euler angles [..., 3] in degrees."""
    radians = np.radians(np.asarray(degrees, dtype=np.float64))
    cosines, sines = np.cos(radians), np.sin(radians)
    cx, cy, cz = cosines[..., 0], cosines[..., 1], cosines[..., 2]
    sx, sy, sz = sines[..., 0], sines[..., 1], sines[..., 2]
    out = np.empty((*radians.shape, 3))
    out[..., 0, 0], out[..., 0, 1] = cz * cy, cz * sy * sx - sz * cx
    out[..., 0, 2] = cz * sy * cx + sz * sx
    out[..., 1, 0], out[..., 1, 1] = sz * cy, sz * sy * sx + cz * cx
    out[..., 1, 2] = sz * sy * cx - cz * sx
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = -sy, cy * sx, cy * cx
    return out


def joint_matrices(rig: Rig, pose: Pose) -> np.ndarray:
    """Rest-world to posed-world transforms [J, 4, 4], float64, one per joint of `rig`.

    Raises KeyError when the pose names a joint that the rig lacks.
    """
    return pose_matrices(rig, (pose,))[0]


def pose_matrices(rig: Rig, poses: Sequence[Pose]) -> np.ndarray:
    """`joint_matrices` of T poses at once [T, J, 4, 4], several times faster than one by one."""
    count = len(rig.joints)
    rows = []
    for pose in poses:
        changes = [_REST] * count
        for name, change in pose.joints.items():
            changes[rig.index(name)] = change
        rows.extend((*c.rotation, *c.translation, *c.scale) for c in changes)
    flat = np.array(rows, dtype=np.float64).reshape(len(poses), count, 9)
    world = np.zeros((len(poses), count, 4, 4))
    linear = euler_matrix(flat[..., :3]) * flat[..., None, 6:]
    world[..., :3, :3] = linear
    turned = (linear @ rig._pivots[:, :, None])[..., 0]
    world[..., :3, 3] = rig._pivots + flat[..., 3:6] - turned
    world[..., 3, 3] = 1.0
    # Level by level from the root: `world` holds local changes until its level has been visited.
    for level, parents in rig._levels:
        world[:, level] = world[:, parents] @ world[:, level]
    return world
