"""Broad toys on four legs: elephant, turtle, sheep."""

import math

from animate124.toybox.rig import Paint
from animate124.toybox.species.build import Build, on_ellipsoid
from animate124.toybox.species.face import add, cheeks, eyes, smile
from animate124.toybox.species.palette import (
    BLUSH,
    CREAM,
    INK,
    SNOW,
    darker,
    lighter,
    mix,
    pick,
)
from animate124.toybox.species.quadrupeds import dress_quadruped, long_tail, quadruped


def elephant(b: Build) -> None:
    """Sail ears, a trunk of three joints, tusks and pillar legs."""
    color = pick(b.rng, ("grey", "grey", "blue", "pink", "purple"))
    skin, nail = Paint(color.rgb), Paint(lighter(color.rgb, 0.55))
    f = quadruped(
        b,
        skin=skin,
        paws=Paint(darker(color.rgb, 0.15)),
        leg=0.2,
        leg_radius=0.088,
        trunk_size=(0.215, 0.205, 0.21),
        length=0.18,
        head_size=(0.19, 0.19, 0.17),
        head_rise=0.21,
        head_reach=0.19,
    )
    root = (f.head_size[0] * 0.78, f.head[1] + 0.06, f.head[2] - 0.05)
    size = b.uniform(0.15, 0.185)
    b.joint("ear", "head", root, mirror=True)
    at = add(root, (size * 0.72, -0.02, -0.02))
    b.ball("ear", "ear", at, (size, size * 1.05, 0.034), skin, (0, 24, 0), mirror=True)
    inner = Paint(mix(color.rgb, BLUSH, 0.55))
    front = add(at, (-0.004, -0.005, 0.018))
    b.ball(
        "ear_in", "ear", front, (size * 0.72, size * 0.76, 0.026), inner, (0, 24, 0), mirror=True
    )
    eyes(b, f.head, f.head_size, azimuth=33.0, elevation=12.0, radius=0.036)
    start, _ = on_ellipsoid(f.head, f.head_size, 0.0, -14.0)
    lift = b.uniform(0.0, 0.06)
    points = [
        add(start, (0, 0.0, -0.03)),
        add(start, (0, -0.07, 0.07)),
        add(start, (0, -0.17, 0.10)),
        add(start, (0, -0.25 + lift * 0.6, 0.14 + lift * 0.5)),
        add(start, (0, -0.25 + lift * 2, 0.22 + lift * 0.5)),
    ]
    radii = (0.085, 0.066, 0.054, 0.047, 0.042)
    joints = ("trunk", "trunk", "trunk2", "trunk3")
    for name, parent, i in (("trunk", "head", 0), ("trunk2", "trunk", 2), ("trunk3", "trunk2", 3)):
        b.joint(name, parent, points[i])
    for i, joint in enumerate(joints):
        b.limb(f"nose{i}", joint, points[i], points[i + 1], radii[i], radii[i + 1], skin)
    tusk = add(start, (0.085, -0.055, -0.01))
    b.cone("tusk", "head", tusk, add(tusk, (0.02, -0.06, 0.11)), 0.026, 0.008, Paint(SNOW), True)
    cheeks(b, f.head, f.head_size, azimuth=52.0, elevation=-14.0)
    for i, turn in enumerate((-26.0, 26.0)):
        a = math.radians(turn)
        for name, z in (
            ("foreleg", f.chest[2] + f.trunk_size[2] * 0.42),
            ("hindleg", f.hips[2] - f.trunk_size[2] * 0.36),
        ):
            toe = (
                f.trunk_size[0] * 0.69 + 0.098 * math.sin(a),
                0.04,
                z + 0.022 + 0.11 * math.cos(a),
            )
            b.ball(f"{name}_nail{i}", name, toe, (0.026, 0.026, 0.016), nail, mirror=True)
    points = ((0, 0, 0), (0, -0.08, -0.07), (0, -0.18, -0.09))
    long_tail(b, f, points, (0.026, 0.022, 0.03), (skin, Paint(darker(color.rgb, 0.4))))
    b.words["color"] = color.name
    dress_quadruped(b, f, color.name, kinds=("hat",))


def turtle(b: Build) -> None:
    """A domed, patterned shell with a pale rim, flippers and a long neck."""
    color = pick(b.rng, ("green", "green", "turquoise", "yellow"))
    shell = pick(b.rng, ("brown", "green", "red", "purple", "orange", "blue"), (color.name,))
    skin = Paint(color.rgb)
    dome, rim = b.uniform(0.19, 0.25), mix(shell.rgb, CREAM, 0.55)
    wide, long = b.uniform(0.25, 0.28), b.uniform(0.29, 0.33)
    pattern = b.choose(("spots", "checks", "rings"))
    top = Paint(
        shell.rgb, lighter(shell.rgb, 0.42), pattern, scale=0.15, axis=(0, 1, 0), extent=0.45
    )
    y = 0.20
    b.joint("root", None, (0.0, y, 0.0))
    b.joint("chest", "root", (0.0, y, 0.1))
    b.joint("hips", "root", (0.0, y, -0.1))
    b.ball("shell", "root", (0.0, y + 0.03, 0.0), (wide, dome, long), top)
    b.ball("rim", "root", (0.0, y, 0.0), (wide * 1.12, 0.055, long * 1.1), Paint(rim))
    b.ball("plastron", "root", (0.0, y - 0.03, 0.0), (wide * 0.9, 0.09, long * 0.9), Paint(CREAM))
    neck = (0.0, y + 0.02, long * 0.78)
    size = (0.155 * b.uniform(0.94, 1.1), 0.145, 0.15)
    head = (0.0, y + b.uniform(0.19, 0.24), long + 0.13)
    b.joint("head", "chest", neck)
    b.limb("neck", "head", neck, add(head, (0, -0.04, -0.02)), 0.085, 0.08, skin)
    b.ball("head", "head", head, size, skin)
    eyes(b, head, size, azimuth=33.0, elevation=18.0, radius=0.046, white=True)
    smile(b, head, size, elevation=-26.0, width=40.0, thick=0.012)
    cheeks(b, head, size, azimuth=50.0, elevation=-12.0, radius=0.028)
    for name, parent, x, z, ahead in (
        ("foreleg", "chest", wide * 0.78, long * 0.55, 0.09),
        ("hindleg", "hips", wide * 0.72, -long * 0.6, -0.05),
    ):
        hip, foot = (x, y - 0.01, z), (x + 0.10, 0.045, z + ahead)
        b.joint(name, parent, hip, mirror=True)
        b.limb(name, name, hip, foot, 0.078, 0.062, skin, mirror=True)
        flat = (0.072, 0.04, 0.088)
        b.ball(name + "_paw", name, foot, flat, Paint(darker(color.rgb, 0.14)), mirror=True)
    b.joint("tail", "hips", (0.0, y - 0.02, -long * 0.95))
    end = (0.0, y - 0.05, -long * 1.1 - 0.13)
    b.cone("tail", "tail", (0.0, y - 0.02, -long * 0.95), end, 0.05, 0.01, skin)
    b.words["color"] = color.name
    b.words["pattern"] = f"a {shell.name} shell"


def sheep(b: Build) -> None:
    """A cloud of wool with a dark face, dark legs and side ears."""
    wool = pick(b.rng, ("white", "white", "white", "pink", "grey", "black"))
    face = mix((0.25, 0.21, 0.22), (0.95, 0.80, 0.68), b.choose((0.0, 0.15, 0.9)))
    if wool.name == "black":
        face = mix((0.95, 0.80, 0.68), SNOW, 0.2)
    cloud, bare = Paint(wool.rgb), Paint(face)
    f = quadruped(
        b,
        skin=cloud,
        head=bare,
        legs=bare,
        paws=Paint(darker(face, 0.4)),
        leg=0.19,
        leg_radius=0.048,
        trunk_size=(0.19, 0.185, 0.2),
        head_size=(0.15, 0.17, 0.155),
        head_rise=0.2,
        head_reach=0.2,
    )
    sx, sy, _ = f.trunk_size
    puff = b.uniform(0.088, 0.105)
    for k, (joint, middle) in enumerate((("chest", f.chest), ("hips", f.hips))):
        for i, (angle, z) in enumerate(
            (
                (90.0, 0.09),
                (150.0, 0.07),
                (28.0, 0.03),
                (62.0, -0.08),
                (180.0, -0.06),
                (118.0, -0.04),
            )
        ):
            a = math.radians(angle)
            z = z if k == 0 else -z
            at = add(middle, (sx * 0.82 * math.sin(a), -sy * 0.82 * math.cos(a), z))
            b.ball(f"wool{k}{i}", joint, at, puff, cloud, mirror=True)
    rear = add(f.hips, (0.0, 0.03, -f.trunk_size[2] * 0.85))
    b.ball("wool_rear", "hips", rear, puff * 1.15, cloud)
    for i, (x, y, z) in enumerate(((0.0, 0.92, 0.02), (0.07, 0.86, 0.0), (0.05, 0.8, 0.09))):
        at = add(f.head, (x, f.head_size[1] * y, z))
        b.ball(f"fringe{i}", "head", at, 0.066, cloud, mirror=x > 0)
    eyes(b, f.head, f.head_size, azimuth=30.0, elevation=8.0, radius=0.04, white=True)
    nose, _ = on_ellipsoid(f.head, f.head_size, 0.0, -24.0)
    tint = mix(face, BLUSH if wool.name != "pink" else INK, 0.6)
    b.ball("nose", "head", nose, (0.04, 0.024, 0.02), Paint(tint))
    smile(b, f.head, f.head_size, elevation=-46.0, width=24.0, paint=mix(face, INK, 0.8))
    root = (f.head_size[0] * 0.8, f.head[1] + 0.045, f.head[2] - 0.01)
    b.joint("ear", "head", root, mirror=True)
    at = add(root, (0.075, -0.03, 0.0))
    b.ball("ear", "ear", at, (0.085, 0.04, 0.03), bare, (0, 0, -24), mirror=True)
    start = add(f.hips, (0.0, 0.02, -f.trunk_size[2] - 0.08))
    b.joint("tail", "hips", add(start, (0, 0, 0.04)))
    b.ball("tail", "tail", add(start, (0, -0.02, -0.03)), (0.05, 0.07, 0.05), cloud)
    b.words["color"] = wool.name
    dress_quadruped(b, f, wool.name, kinds=("scarf",))
