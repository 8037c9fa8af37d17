"""Motions on the spot: dances, greetings, moves of head, arms and trunk.

Each is a function of a Figure, the phase u in [0, 1) and the amplitude a; see `motions`.
"""

from animate124.toybox.figure import SIDES, Figure, hold, late, swell, wave


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
