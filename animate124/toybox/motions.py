"""What the toys do: each motion is a function of phase u in [0, 1) on a Figure, at amplitude a.

Every motion passes through the rest pose at u = 0, has a continuous slope and period 1, and reads
in eight frames. Plans differ through the roles of `Figure` and, where they must, here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from animate124.toybox.figure import SIDES, Body, Figure, bump, hold, late, swell, wave
from animate124.toybox.rig import Pose


@dataclass(frozen=True)
class Style:
    """How one clip performs its motion.

    `amplitude` multiplies the angles (0.8 to 1.15 in sampled clips), `cycles` is the whole number
    of repeats per clip, `phase` in [0, 1) where the clip starts, `mirror` swaps left and right.
    """

    amplitude: float = 1.0
    cycles: int = 1
    phase: float = 0.0
    mirror: bool = False


@dataclass(frozen=True)
class Motion:
    """A motion, the words that say it, and how often it may repeat in a clip."""

    name: str
    phrase: str
    play: Callable[[Figure, float, float], None]
    cycles: tuple[int, ...] = (1,)

    def pose(self, body: Body, t: float, style: Style, scale: float = 1.0) -> Pose:
        """The pose at clip time t; `scale` multiplies moves (the size of a scaled character)."""
        figure = Figure(body)
        self.play(figure, (style.cycles * t + style.phase) % 1.0, style.amplitude)
        return figure.pose(style.mirror, scale)


def dancing(f: Figure, u: float, a: float) -> None:
    """Sway and twist, arms up by turns, feet by turns, on the beat."""
    s, beat = wave(u), swell(u, 2)
    f.lean(z=-15 * a * s, y=16 * a * s)
    f.look(z=20 * a * s, x=5 * a * beat)
    f.move(x=0.05 * a * s, y=0.045 * a * beat)
    f.stretch(1.0 - 0.07 * a * wave(u, 2))
    for side, _ in SIDES:
        up = 62 * swell(u) + 48 * side * s
        f.arm(side, out=up * a, bend=24 * a * swell(u))
        lift = max(0.0, side * s) ** 2
        f.step(side, (58 if f.plan == "quadruped" else 42) * a * lift)
    if f.plan == "octopus":
        for k in range(3):
            f.both(f"limb{k}", z=22 * a * late(u, 0.12 * k, 2))
    if f.plan == "wheels":
        f.turn("root", z=9 * a * s, y=14 * a * s)
        f.lean(x=-9 * a * beat)
    f.wag(26 * a * s)
    f.perk(14 * a * s)


def waving(f: Figure, u: float, a: float) -> None:
    """The left arm goes up and the hand swings twice."""
    up, swing = hold(u), wave(u, 2)
    if f.plan == "quadruped":
        f.arm(1.0, out=(126 * up + 24 * swing) * a)
        f.turn("root", x=-9 * a * up, z=-9 * a * up)
        f.turn("foreleg.r", 9 * a * up)
        f.both("hindleg", x=9 * a * up)
    elif f.plan == "octopus":
        f.arm(1.0, out=(70 * up + 22 * swing) * a, bend=(14 * up + 52 * swing) * a)
    elif f.plan == "crab":
        f.arm(1.0, out=(58 * up + 30 * swing) * a, bend=36 * a * swing)
    elif f.plan == "plant":
        f.arm(1.0, out=(62 * up + 58 * swing) * a, bend=22 * a * swing)
    else:
        high = 128 * min(a, 1.08) if f.plan == "upright" else 112 * min(a, 1.08)
        f.arm(1.0, out=high * up + 22 * a * swing, bend=(12 * up + 36 * swing) * a)
        f.arm(-1.0, out=8 * a * up)
    f.look(z=-11 * a * up, y=5 * a * swing)
    f.lean(z=-6 * a * up)
    f.wag(18 * a * swing)


def walking(f: Figure, u: float, a: float) -> None:
    """Legs by turns, arms against them, a small bob at each step."""
    s, step = wave(u), swell(u, 2)
    waddle = 11.0 if f.plan == "bird" else 4.0
    f.turn("root", z=-waddle * a * s, y=5 * a * s)
    f.move(y=0.03 * a * step, x=0.016 * a * s)
    for side, _ in SIDES:
        f.step(side, 46 * a * side * s)
        if f.plan in ("upright", "bird"):
            f.arm(side, forward=-42 * a * side * s, out=(14 if f.plan == "bird" else 0) * step)
            f.elbow(side, 22 * a * swell(u, 2))
    f.look(z=waddle * 0.6 * a * s, x=5 * a * step)
    f.wag(16 * a * s)
    f.perk(7 * a * s)


def running(f: Figure, u: float, a: float) -> None:
    """Long strides with both feet off the ground, bent elbows, the trunk thrown forwards."""
    s, air = wave(u), swell(u, 2)
    f.move(y=0.085 * a * air)
    if f.plan == "quadruped":  # a gallop: fore and hind legs gather and reach
        for mark in (".l", ".r"):
            f.turn("foreleg" + mark, -62 * a * s)
            f.turn("hindleg" + mark, 62 * a * s)
        f.turn("root", -11 * a * s)
        f.turn("chest", -9 * a * s)
        f.turn("hips", 12 * a * s)
        f.look(x=9 * a * s)
        f.wag(0.0, lift=24 * a * s)
        f.perk(16 * a * s)
        return
    f.lean(x=20 * a * air)
    f.look(x=-10 * a * air)
    for side, _ in SIDES:
        f.step(side, 68 * a * side * s)
        if f.plan in ("upright", "bird"):
            f.arm(side, forward=-66 * a * side * s, out=(34 if f.plan == "bird" else 4) * a * air)
            f.elbow(side, 62 * a * air)
    f.turn("root", y=11 * a * s)
    f.wag(14 * a * s, lift=10 * a * air)
    f.perk(12 * a * s)


def jumping(f: Figure, u: float, a: float) -> None:
    """Crouch, leap with arms up, land softly."""
    crouch = bump(u, 0.0, 0.34) + bump(u, 0.68, 1.0)
    air = bump(u, 0.18, 0.84)
    f.move(y=(0.16 * air - 0.075 * crouch) * a)
    f.stretch(1.0 + a * (0.10 * air - 0.19 * crouch))
    f.lean(x=12 * a * crouch)
    for side, _ in SIDES:
        if f.plan == "quadruped":
            f.step(side, 0.0)
        else:
            f.arm(side, out=(98 * air - 12 * crouch) * a, bend=14 * a * air)
            f.turn("leg" + (".l" if side > 0 else ".r"), -14 * a * air, 0.0, side * 20 * a * air)
    if f.plan == "quadruped":
        f.both("foreleg", x=-52 * a * air + 16 * a * crouch)
        f.both("hindleg", x=50 * a * air - 16 * a * crouch)
        f.turn("root", -10 * a * air)
    if f.plan == "octopus":
        for k in range(3):
            f.turn(f"limb{k}.l", 0.0, 0.0, (-34 * air + 14 * crouch) * a)
            f.turn(f"limb{k}.r", 0.0, 0.0, (34 * air - 14 * crouch) * a)
    if f.plan == "wheels":
        f.turn("root", -22 * a * wave(u) * air)
    f.both("ear", z=26 * a * air - 10 * a * crouch)
    f.wag(0.0, lift=26 * a * air)


def hopping(f: Figure, u: float, a: float) -> None:
    """Two quick hops, one to either side, feet together, hands drawn up."""
    air, s = swell(u, 2), wave(u)
    f.move(y=0.10 * a * air, x=0.085 * a * s)
    f.turn("root", z=-17 * a * s)
    f.stretch(1.0 + 0.11 * a * (air - 0.35 * abs(wave(u, 1)) ** 2))
    for side, _ in SIDES:
        if f.plan in ("upright", "bird"):
            f.arm(side, forward=42 * a * air, out=12 * a * air)
            f.elbow(side, 46 * a * air)
            f.turn("leg" + (".l" if side > 0 else ".r"), -34 * a * air)
        elif f.plan == "plant":
            f.arm(side, out=26 * a * air, bend=10 * a * air)
    f.both("foreleg", x=-36 * a * air)
    f.both("hindleg", x=30 * a * air)
    f.both("ear", z=22 * a * air)
    f.look(z=11 * a * s)
    f.wag(18 * a * s)


def nodding(f: Figure, u: float, a: float) -> None:
    """The head goes down deep and up."""
    s = wave(u)
    f.look(x=(27 * s + 7 * swell(u)) * a)
    f.lean(x=7 * a * s)
    f.perk(9 * a * s)
    f.turn("tail", 6 * a * s)


def shaking(f: Figure, u: float, a: float) -> None:
    """The head turns from side to side."""
    s = wave(u)
    f.look(y=46 * a * s, z=5 * a * s)
    f.lean(y=-9 * a * s)
    f.perk(10 * a * s)
    f.wag(-12 * a * s)


def spinning(f: Figure, u: float, a: float) -> None:
    """One whole turn about the upright axis, arms out."""
    f.turn("root", y=360.0 * u)
    for side, _ in SIDES:
        if f.plan != "quadruped":
            f.arm(side, out=52 * a * hold(u), bend=10 * a * hold(u))
    f.move(y=0.03 * a * swell(u, 2))
    f.perk(14 * a * swell(u))
    f.wag(-22 * a * hold(u))


def flapping(f: Figure, u: float, a: float) -> None:
    """Both wings (arms, fins, leaves, ears) beat together; the body rises on the down stroke."""
    s, up = wave(u), swell(u)
    if f.plan == "quadruped":
        f.both("ear", y=-58 * a * up + 12 * a * s, z=16 * a * s)
        f.look(x=-9 * a * up)
        f.both("foreleg", x=-10 * a * up)
        return
    for side, _ in SIDES:
        f.arm(side, out=(96 * up - 16 * s) * a, bend=(30 * s + 4 * up) * a)
        if f.plan == "bug":  # wings that rest raised beat downwards
            f.arm(side, out=-150 * a * up + 40 * a * s)
        if f.plan == "plant":
            f.arm(side, out=-96 * a * up - 62 * a * s)
    if f.plan == "octopus":
        for k in range(3):
            f.both(f"limb{k}", z=(48 * up - 10 * s) * a)
    f.move(y=(-0.05 * s) * a)
    f.lean(x=5 * a * s)
    f.turn("leg.l", 12 * a * up)
    f.turn("leg.r", 12 * a * up)
    f.wag(0.0, lift=14 * a * s)
    f.perk(9 * a * s)


def swimming(f: Figure, u: float, a: float) -> None:
    """Fish send a wave down the body; others lie forward and stroke with arms and legs."""
    s = wave(u)
    if f.plan == "fish":
        f.turn("root", y=-20 * a * s)
        f.turn("tail", y=38 * a * late(u, 0.14))
        f.turn("tail2", y=44 * a * late(u, 0.28))
        f.move(x=0.045 * a * s, y=0.02 * a * wave(u, 2))
        for side, _ in SIDES:
            f.arm(side, out=(20 * swell(u, 2) + 12 * side * s) * a)
        return
    if f.plan == "octopus":
        close = swell(u)
        f.move(y=0.11 * a * s)
        f.stretch(1.0 + 0.13 * a * wave(u))
        for joint, tip in (("arm", "fore"), ("limb0", "limb0_tip"), ("limb1", "limb1_tip"),
                           ("limb2", "limb2_tip")):  # fmt: skip
            f.both(joint, z=(-38 * s + 12 * close) * a)
            f.both(tip, z=-34 * a * late(u, 0.1))
        return
    flat = hold(u)
    f.turn("root", x=(50 if f.plan in ("upright", "bird") else 14) * a * flat)
    f.look(x=-26 * a * flat)
    f.move(y=0.035 * a * wave(u, 2))
    for side, _ in SIDES:
        kick = side * wave(u, 2)
        if f.plan == "quadruped":
            mark, other = (".l", ".r") if side > 0 else (".r", ".l")
            f.turn("foreleg" + mark, -52 * a * side * s - 24 * a * flat, 0, side * 34 * a * flat)
            f.turn("hindleg" + other, -46 * a * side * s + 30 * a * flat, 0, -side * 22 * a * flat)
            continue
        f.arm(side, forward=(84 * flat + 62 * side * s) * a, out=30 * a * flat)
        f.turn("leg" + (".l" if side > 0 else ".r"), (18 * flat + 34 * kick) * a)
    f.turn("root", z=10 * a * s)
    f.wag(24 * a * s, lift=-12 * a * flat)


def stretching(f: Figure, u: float, a: float) -> None:
    """Arms high, the body long, then a bend to either side; four-legged toys bow their front."""
    up, s = hold(u), wave(u)
    if f.plan == "quadruped":
        f.turn("root", 25 * a * up)
        f.move(y=-0.03 * a * up, z=-0.05 * a * s)
        f.both("foreleg", x=-86 * a * up)
        f.both("hindleg", x=-8 * a * up)
        f.look(x=(-34 * up + 8 * s) * a)
        f.wag(20 * a * wave(u, 2), lift=14 * a * up)
        return
    f.stretch(1.0 + 0.17 * a * up)
    for side, _ in SIDES:
        f.arm(side, out=122 * min(a, 1.06) * up, bend=18 * a * up)
    if f.plan == "octopus":
        for k in range(3):
            f.both(f"limb{k}", z=34 * a * up)
    f.lean(x=-7 * a * up, z=-18 * a * s)
    f.look(x=-15 * a * up, z=-9 * a * s)
    f.wag(12 * a * s, lift=10 * a * up)
    f.perk(-8 * a * up)


def sitting(f: Figure, u: float, a: float) -> None:
    """Down on the seat with legs ahead, a look round, up again."""
    down, s = hold(u), wave(u)
    if f.plan == "quadruped":
        f.turn("root", -36 * a * down)
        f.move(y=-0.06 * a * down)
        f.both("foreleg", x=34 * a * down)
        f.both("hindleg", x=-46 * a * down, z=14 * a * down)
        f.look(x=30 * a * down, z=12 * a * s)
        f.wag(20 * a * wave(u, 2))
        return
    f.move(y=-(0.11 if f.plan == "upright" else 0.06) * a * down, z=-0.03 * a * down)
    for side, mark in SIDES:
        f.turn("leg" + mark, -86 * min(a, 1.0) * down, 0.0, side * 16 * a * down)
        f.arm(side, out=-8 * a * down, forward=34 * a * down)
    f.lean(x=-9 * a * down)
    f.look(x=12 * a * down, z=12 * a * s)
    f.turn("tail", 26 * a * down)
    f.wag(14 * a * wave(u, 2))
    f.perk(7 * a * s)


def bowing(f: Figure, u: float, a: float) -> None:
    """A deep bow from the hips, arms swept back."""
    down = hold(u)
    if f.plan == "quadruped":
        f.turn("root", 24 * a * down)
        f.move(y=-0.05 * a * down)
        f.both("foreleg", x=-24 * a * down + 34 * a * down, z=6 * a * down)
        f.both("hindleg", x=-20 * a * down)
        f.look(x=22 * a * down)
        f.turn("tail", 16 * a * down)
        return
    deep = {"upright": 46, "plant": 32, "octopus": 30}.get(f.plan, 26)
    f.lean(x=deep * a * down)
    f.look(x=(14 if f.plan == "plant" else 24) * a * down)
    for side, _ in SIDES:
        f.arm(side, forward=-30 * a * down, out=30 * a * down)
    f.turn("tail", 16 * a * down)
    f.perk(7 * a * down)


def clapping(f: Figure, u: float, a: float) -> None:
    """Arms ahead, hands together twice."""
    up, beat = hold(u), wave(u, 2)
    for side, _ in SIDES:
        if f.plan == "crab":
            f.arm(side, inward=(46 * up * beat + 12 * up) * a, out=22 * a * up)
        else:
            f.arm(side, forward=72 * up, inward=(15 * up + 40 * beat) * a, out=-8 * a * up)
    f.look(x=7 * a * beat, z=8 * a * wave(u))
    f.move(y=0.02 * a * swell(u, 2))
    f.stretch(1.0 - 0.05 * a * beat)
    f.wag(16 * a * beat)


def wiggling(f: Figure, u: float, a: float) -> None:
    """The trunk twists against the seat, the tail the other way."""
    s = wave(u)
    f.turn("root", y=-24 * a * s, z=7 * a * s)
    f.lean(y=48 * a * s, z=-12 * a * s)
    f.move(x=0.045 * a * s)
    f.look(z=12 * a * s)
    f.turn("chest", y=20 * a * s if f.plan == "quadruped" else 0.0)
    f.turn("hips", y=-34 * a * s)
    for side, _ in SIDES:
        if f.plan != "quadruped":
            f.arm(side, out=30 * a * swell(u) + 18 * a * side * s)
    if f.plan == "octopus":
        for k in range(3):
            for side, mark in SIDES:
                f.turn(f"limb{k}{mark}", 0.0, 30 * a * late(u, 0.1 * k), side * 10 * a * swell(u))
    f.turn("tail", y=44 * a * s)
    f.turn("tail2", y=30 * a * late(u, 0.12))
    f.perk(12 * a * s)


def kicking(f: Figure, u: float, a: float) -> None:
    """A high kick with one leg, then with the other, leaning back."""
    for side, mark in SIDES:
        kick = bump(u, 0.0, 0.55) if side > 0 else bump(u, 0.45, 1.0)
        f.turn("leg" + mark, -98 * min(a, 1.08) * kick)
        f.arm(-side, forward=58 * a * kick)
        f.arm(side, forward=-34 * a * kick, out=24 * a * kick)
        f.lean(x=-14 * a * kick, y=-14 * a * side * kick)
        f.turn("root", z=-6 * a * side * kick)
    f.wag(14 * a * wave(u))


def tumbling(f: Figure, u: float, a: float) -> None:
    """One whole somersault, knees drawn up."""
    tuck = hold(u)
    f.turn("root", x=360.0 * u)
    for side, mark in SIDES:
        f.turn("leg" + mark, -70 * a * tuck)
        if f.plan in ("upright", "bird"):
            f.arm(side, forward=58 * a * tuck)
            f.elbow(side, 30 * a * tuck)
    f.both("foreleg", x=-40 * a * tuck)
    f.both("hindleg", x=34 * a * tuck)
    f.look(x=18 * a * tuck)
    f.turn("tail", 20 * a * tuck)


def driving(f: Figure, u: float, a: float) -> None:
    """Wheels turn once, the body surges ahead and back on its springs."""
    s = wave(u)
    for name in ("wheel", "mid_wheel", "rear_wheel"):
        for _, mark in SIDES:
            f.turn(name + mark, 360.0 * u)
    f.move(z=0.10 * a * s, y=0.022 * a * swell(u, 2))
    f.lean(x=-10 * a * wave(u, 1), z=5 * a * wave(u, 2))
    f.turn("root", y=13 * a * s)
    f.perk(14 * a * s)


MOTIONS: dict[str, Motion] = {
    m.name: m
    for m in (
        Motion("dancing", "is dancing", dancing, (1, 2)),
        Motion("waving", "is waving", waving),
        Motion("walking", "is walking", walking, (1, 2)),
        Motion("running", "is running", running, (1, 2)),
        Motion("jumping", "is jumping", jumping),
        Motion("hopping", "is hopping", hopping),
        Motion("nodding", "is nodding", nodding, (1, 2)),
        Motion("shaking", "is shaking its head", shaking, (1, 2)),
        Motion("spinning", "is spinning", spinning),
        Motion("flapping", "is flapping its arms", flapping, (1, 2)),
        Motion("swimming", "is swimming", swimming),
        Motion("stretching", "is stretching", stretching),
        Motion("sitting", "is sitting down", sitting),
        Motion("bowing", "is bowing", bowing),
        Motion("clapping", "is clapping", clapping),
        Motion("wiggling", "is wiggling", wiggling, (2,)),
        Motion("kicking", "is kicking", kicking),
        Motion("tumbling", "is doing a somersault", tumbling),
        Motion("driving", "is driving", driving),
    )
}

_STILL_FEET = ("dancing", "waving", "jumping", "hopping", "nodding", "shaking", "spinning",
               "stretching", "bowing", "wiggling")  # fmt: skip
_ON_LEGS = (*_STILL_FEET, "walking", "running", "swimming", "sitting", "tumbling")
PLAN_MOTIONS: dict[str, tuple[str, ...]] = {
    "upright": (*_ON_LEGS, "flapping", "clapping", "kicking"),
    "quadruped": _ON_LEGS,
    "bird": (*_ON_LEGS, "flapping"),
    "bug": ("dancing", "jumping", "nodding", "shaking", "spinning", "bowing", "wiggling",
            "flapping", "tumbling"),
    "fish": ("dancing", "waving", "jumping", "nodding", "shaking", "spinning", "flapping",
             "swimming", "wiggling", "tumbling"),
    "octopus": (*_STILL_FEET, "walking", "flapping", "swimming", "tumbling"),
    "crab": ("dancing", "waving", "walking", "jumping", "hopping", "nodding", "spinning",
             "stretching", "bowing", "clapping", "wiggling"),
    "wheels": ("dancing", "jumping", "hopping", "nodding", "spinning", "bowing", "wiggling",
               "tumbling", "driving"),
    "plant": (*_STILL_FEET, "flapping"),
}  # fmt: skip


def sample_style(rng: np.random.Generator, motion: Motion) -> Style:
    """Amplitude 0.85 to 1.15, a number of cycles, a side, and a phase that is 0 half the time."""
    amplitude = 0.85 + 0.30 * float(rng.random())
    cycles = motion.cycles[int(rng.integers(len(motion.cycles)))]
    phase = float(rng.random()) if rng.random() < 0.5 else 0.0
    return Style(amplitude, cycles, phase, bool(rng.random() < 0.5))
