"""A pose in the making: limbs addressed by role, whatever the body plan.

Angles are degrees, moves are world units. Sides are +1 (the character's left, on +x) and −1.
"""

import math
from dataclasses import dataclass

from animate124.toybox.rig import JointPose, Pose, Rig

PLANS = ("upright", "quadruped", "bird", "bug", "fish", "octopus", "crab", "wheels", "plant")
SIDES = ((1.0, ".l"), (-1.0, ".r"))
# Joint pairs that play the arms, first match wins: shoulder and, where there is one, elbow.
_ARMS = (("arm", "fore"), ("wing", "wingtip"), ("fin", None), ("foreleg", None))


@dataclass(frozen=True)
class Body:
    """A body plan and the joints that one character has of it."""

    plan: str
    joints: frozenset[str]

    @classmethod
    def of(cls, rig: Rig, plan: str) -> "Body":
        """The body of a rig; ValueError for a plan that is not in PLANS."""
        if plan not in PLANS:
            raise ValueError(f"unknown body plan {plan!r}; known: {', '.join(PLANS)}")
        return cls(plan, frozenset(joint.name for joint in rig.joints))


def wave(u: float, times: int = 1) -> float:
    """sin(2π·times·u): 0 at rest (u = 0)."""
    return math.sin(2 * math.pi * times * u)


def swell(u: float, times: int = 1) -> float:
    """(1 − cos(2π·times·u)) / 2: 0 at rest, 1 half way."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * times * u)


def hold(u: float) -> float:
    """A plateau: rises from 0, stays near 1 through the middle, returns. 1 − cos⁸(πu)."""
    return 1.0 - math.cos(math.pi * u) ** 8


def late(u: float, lag: float, times: int = 1) -> float:
    """A sine that lags by `lag` periods, eased to 0 about u = 0 so that the rest pose is passed."""
    away = math.sin(2 * math.pi * lag) * math.cos(math.pi * u) ** 8
    return math.sin(2 * math.pi * (times * u - lag)) + away


def bump(u: float, start: float, end: float) -> float:
    """sin² between `start` and `end` (0 ≤ start < end ≤ 1), 0 elsewhere; continuous slope."""
    if not start < u < end:
        return 0.0
    return math.sin(math.pi * (u - start) / (end - start)) ** 2


def _opposite(joint: str) -> str:
    """The joint of the same name on the other side; the joint itself where it has no pair."""
    if joint.endswith(".l"):
        return joint[:-1] + "r"
    return joint[:-1] + "l" if joint.endswith(".r") else joint


class Figure:
    """Collects turns, moves and stretches of a body's joints; turns of a joint add up."""

    def __init__(self, body: Body):
        self.body = body
        self.plan = body.plan
        self._turns: dict[str, list[float]] = {}
        self._move = [0.0, 0.0, 0.0]
        self._height = 1.0
        arms = (pair for pair in _ARMS if pair[0] + ".l" in body.joints)
        self._arm, self._fore = next(arms, (None, None))

    def turn(self, joint: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """Turn a joint, if this body has it."""
        if joint in self.body.joints:
            turns = self._turns.setdefault(joint, [0.0, 0.0, 0.0])
            turns[0] += x
            turns[1] += y
            turns[2] += z

    def both(self, joint: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """Turn a pair of joints as mirror images; positive z lifts outwards, positive y opens."""
        for side, mark in SIDES:
            self.turn(joint + mark, x, side * y, side * z)

    def move(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """Shift the whole body."""
        for axis, value in enumerate((x, y, z)):
            self._move[axis] += value

    def stretch(self, height: float) -> None:
        """Multiply the body's height, keeping its volume."""
        self._height *= height

    def lean(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """Bend the trunk forwards (x), twist it (y) or tip it sideways to its right (z)."""
        if "neck" in self.body.joints:
            self.turn("chest", x * 0.5, y * 0.5, z * 0.5)
            self.turn("neck", x * 0.5, y * 0.5, z * 0.5)
        elif self.plan == "wheels":  # springs give a little, the rest is the whole vehicle
            self.turn("chest", x * 0.3, y * 0.2, z * 0.4)
            self.turn("root", x * 0.4, y * 0.5, z * 0.3)
        elif self.plan in ("upright", "plant"):
            self.turn("chest", x, y, z)
        else:
            self.turn("root", x, y, z)
            for leg in ("leg", "foreleg", "hindleg"):
                for _, mark in SIDES:  # feet stay under the body
                    self.turn(leg + mark, -x, 0.0, -z * 0.6)

    def look(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """Turn the head: down (x), to its left (y), tipped (z); the front where there is none."""
        if "head" in self.body.joints and self.plan not in ("fish", "crab"):
            self.turn("head", x, y, z)
        elif self.plan == "wheels":
            self.turn("chest", x * 0.25, y * 0.1, z * 0.3)
            self.turn("root", x * 0.4, y * 0.4, z * 0.2)
        else:
            self.turn("root", x * 0.8, y * 0.8, z * 0.8)
            self.turn("tail", -x * 0.3, -y * 0.6, 0.0)

    def arm(
        self,
        side: float,
        out: float = 0.0,
        forward: float = 0.0,
        bend: float = 0.0,
        inward: float = 0.0,
    ) -> None:
        """Lift an arm sideways or forwards, bend its elbow outwards, swing it across the chest."""
        if self._arm is None:
            return
        mark = ".l" if side > 0 else ".r"
        joint, share = (
            self._arm + mark,
            {"bug": 0.5, "crab": 0.6, "plant": 0.55}.get(self.plan, 1.0),
        )
        if self.plan == "quadruped":
            self.turn(joint, -forward - 0.8 * out, side * 0.28 * out)
            return
        self.turn(joint, -forward, -side * inward, side * out * share)
        if self._fore is not None:
            self.turn(self._fore + mark, 0.0, 0.0, side * bend)

    def elbow(self, side: float, forward: float) -> None:
        """Bend an elbow forwards."""
        if self._fore is not None:
            self.turn(self._fore + (".l" if side > 0 else ".r"), -forward)

    def step(self, side: float, forward: float) -> None:
        """Swing the legs of a walk: `forward` for this side (a diagonal pair on four legs)."""
        mark, other = (".l", ".r") if side > 0 else (".r", ".l")
        if self.plan == "quadruped":
            self.turn("foreleg" + mark, -forward)
            self.turn("hindleg" + other, -forward)
        elif self.plan == "octopus":
            for joint in ("arm" + mark, "limb1" + other, "limb2" + mark, "limb0" + other):
                self.turn(joint, -forward * 0.75, -side * forward * 0.3)
        elif self.plan == "crab":
            for joint in ("leg0" + mark, "leg1" + other, "leg2" + mark):
                self.turn(joint, 0.0, -forward * side, forward * 0.35 * side)
        else:
            self.turn("leg" + mark, -forward)

    def wag(self, degrees: float, lift: float = 0.0) -> None:
        """Swing the tail to the left by `degrees`, its tip half as much again."""
        self.turn("tail", lift, degrees, 0.0)
        self.turn("tail2", lift * 0.5, degrees * 1.2, 0.0)

    def perk(self, degrees: float) -> None:
        """Tip the ears (antennae, horns, tufts) outwards."""
        self.both("ear", z=-degrees)
        self.turn("antenna", 0.0, 0.0, degrees * 0.6)
        self.turn("crest", -degrees * 0.7)
        self.turn("trunk", -degrees * 0.5, 0.0, degrees * 0.4)
        self.turn("trunk2", -degrees * 0.5)

    def pose(self, mirror: bool = False, scale: float = 1.0) -> Pose:
        """The pose so far; `mirror` swaps left and right, `scale` multiplies the shift."""
        joints = {}
        for name, (x, y, z) in self._turns.items():
            if mirror:
                name = _opposite(name)
                y, z = -y, -z
            joints[name] = JointPose((x, y, z))
        root = joints.get("root", JointPose()).rotation
        wide = 1.0 / math.sqrt(self._height)
        move = (self._move[0] * (-scale if mirror else scale), self._move[1] * scale)
        joints["root"] = JointPose(root, (*move, self._move[2] * scale), (wide, self._height, wide))
        return Pose(joints)
