"""Motions of the whole body: getting about, sitting, tumbling.

Each is a function of a Figure, the phase u in [0, 1) and the amplitude a; see `motions`.
"""

from animate124.toybox.figure import SIDES, Figure, bump, hold, late, swell, wave


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
