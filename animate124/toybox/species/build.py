"""The workbench on which a species puts a character together, left side first."""

import math

import numpy as np

from animate124.toybox.bounds import bounding_points, enclosing_ball
from animate124.toybox.rig import Joint, Paint, Part, Rig, Vec3, euler_matrix

REST_RADIUS = 0.55


def direction_rotation(d: Vec3) -> Vec3:
    """XYZ Euler degrees that turn +y to the direction `d` (any length but 0)."""
    length = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
    x, y, z = (v / length for v in d)
    return (
        math.degrees(math.asin(max(-1.0, min(1.0, z)))),
        0.0,
        math.degrees(math.atan2(-x, y)),
    )


def on_ellipsoid(center: Vec3, size: Vec3, azimuth: float, elevation: float) -> tuple[Vec3, Vec3]:
    """Point and unit normal of an ellipsoid, seen from its centre along two angles in degrees.

    Azimuth 0, elevation 0 is +z; positive azimuth goes to +x, positive elevation to +y.
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    d = (math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e))
    reach = 1.0 / math.sqrt(sum((v / s) ** 2 for v, s in zip(d, size, strict=True)))
    n = tuple(v / s**2 for v, s in zip(d, size, strict=True))
    length = math.sqrt(sum(v * v for v in n))
    point = tuple(c + v * reach for c, v in zip(center, d, strict=True))
    return point, tuple(v / length for v in n)


def smooth_path(points: tuple[Vec3, ...], radii: tuple[float, ...], steps: int = 2):
    """Catmull and Rom's curve through points with their radii: [(point, radius)], `steps` a span.

    Ends count twice. Catmull, Rom 1974, "A class of local interpolating splines".
    """
    knots = np.array([(*p, r) for p, r in zip(points, radii, strict=True)])
    padded = np.concatenate([knots[:1], knots, knots[-1:]])
    out = []
    for i in range(len(knots) - 1):
        a, b, c, d = padded[i : i + 4]
        for k in range(steps):
            t = k / steps
            cubic = (3 * b - 3 * c + d - a) * t**3 + (2 * a - 5 * b + 4 * c - d) * t**2
            out.append(0.5 * (2 * b + (c - a) * t + cubic))
    out.append(knots[-1])
    return [(tuple(float(v) for v in p[:3]), float(p[3])) for p in out]


def flip(v: Vec3) -> Vec3:
    """A point or direction mirrored to the other side of the body."""
    return (-v[0], v[1], v[2])


class Build:
    """Collects joints, parts and words; `rig()` scales them into the rest sphere.

    Builders work in free units, about 1 high. With `mirror=True` a joint or part is made twice, as
    `name.l` on +x (the character's own left) and `name.r` on −x; a part hangs on the joint of its
    own side where the joint is a pair.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.words: dict[str, str] = {}
        self._joints: dict[str, Joint] = {}
        self._parts: list[Part] = []

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.rng.random()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.rng.random() < probability

    def choose(self, options: tuple):
        """One of `options`."""
        return options[int(self.rng.integers(len(options)))]

    def joint(self, name: str, parent: str | None, pivot: Vec3, mirror: bool = False) -> None:
        """Add a joint; the root's pivot is moved to the centre of the character in the end."""
        if not mirror:
            self._joints[name] = Joint(name, parent, pivot)
            return
        for side, at in ((".l", pivot), (".r", flip(pivot))):
            paired = parent + side if parent + side in self._joints else parent
            self._joints[name + side] = Joint(name + side, paired, at)

    def part(
        self,
        name: str,
        joint: str,
        kind: str,
        size: Vec3,
        at: Vec3,
        paint: Paint,
        rotation: Vec3 = (0.0, 0.0, 0.0),
        mirror: bool = False,
    ) -> None:
        """Add a primitive; `paint.axis` is given in world space and turned into part space here."""
        if not mirror:
            self._put(name, joint, kind, size, at, paint, rotation)
            return
        turned = (rotation[0], -rotation[1], -rotation[2])
        other = Paint(
            paint.base, paint.accent, paint.pattern, paint.scale, flip(paint.axis), paint.extent
        )
        left = joint + ".l" if joint + ".l" in self._joints else joint
        right = joint + ".r" if joint + ".r" in self._joints else joint
        self._put(name + ".l", left, kind, size, at, paint, rotation)
        self._put(name + ".r", right, kind, size, flip(at), other, turned)

    def _put(self, name, joint, kind, size, at, paint, rotation) -> None:
        if paint.pattern != "plain" and any(rotation):
            axis = tuple(float(v) for v in euler_matrix(rotation).T @ np.asarray(paint.axis))
            paint = Paint(paint.base, paint.accent, paint.pattern, paint.scale, axis, paint.extent)
        self._parts.append(Part(name, joint, kind, size, at, paint, rotation))

    def ball(self, name, joint, at, size, paint, rotation=(0.0, 0.0, 0.0), mirror=False) -> None:
        """An ellipsoid; one number as `size` makes a sphere."""
        size = (size, size, size) if isinstance(size, (int, float)) else size
        self.part(name, joint, "ellipsoid", size, at, paint, rotation, mirror)

    def limb(self, name, joint, a, b, radius_a, radius_b, paint, mirror=False) -> None:
        """A capsule whose end spheres are centred on `a` and `b`."""
        self._rod(name, joint, "capsule", a, b, radius_a, radius_b, paint, mirror)

    def cone(self, name, joint, base, tip, radius_base, radius_tip, paint, mirror=False) -> None:
        """A cone from the centre of its bottom to the centre of its top."""
        self._rod(name, joint, "cone", base, tip, radius_base, radius_tip, paint, mirror)

    def rod(self, name, joint, a, b, radius, paint, mirror=False) -> None:
        """A cylinder between two points."""
        self._rod(name, joint, "cylinder", a, b, radius, radius, paint, mirror)

    def _rod(self, name, joint, kind, a, b, radius_a, radius_b, paint, mirror) -> None:
        d = tuple(q - p for p, q in zip(a, b, strict=True))
        length = math.sqrt(sum(v * v for v in d))
        middle = tuple((p + q) / 2 for p, q in zip(a, b, strict=True))
        size = (radius_a, length, radius_b)
        self.part(name, joint, kind, size, middle, paint, direction_rotation(d), mirror)

    def rig(self) -> Rig:
        """The finished rig, centred on the origin and filling the sphere of radius 0.55."""
        raw = Rig(tuple(self._joints.values()), tuple(self._parts))
        center, radius = enclosing_ball(bounding_points(raw)[0])
        return fitted(raw, center, REST_RADIUS / radius)


def fitted(rig: Rig, center: Vec3, scale: float) -> Rig:
    """`rig` with `center` moved to the origin, scaled about it; root pivots go to the origin."""

    def place(point: Vec3) -> Vec3:
        return tuple((p - c) * scale for p, c in zip(point, center, strict=True))

    origin = (0.0, 0.0, 0.0)
    joints = tuple(
        Joint(j.name, j.parent, origin if j.parent is None else place(j.pivot)) for j in rig.joints
    )
    parts = tuple(
        Part(
            p.name,
            p.joint,
            p.kind,
            tuple(s * scale for s in p.size),
            place(p.position),
            p.paint
            if p.paint.pattern == "plain"
            else Paint(
                p.paint.base,
                p.paint.accent,
                p.paint.pattern,
                p.paint.scale * scale,
                p.paint.axis,
                p.paint.extent,
            ),
            p.rotation,
        )
        for p in rig.parts
    )
    return Rig(joints, parts)
