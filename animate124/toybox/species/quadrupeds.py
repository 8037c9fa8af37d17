"""Toys on four legs: fox, dog, cat, pig, elephant, turtle, lion."""

import math
from dataclasses import dataclass
from itertools import pairwise

from animate124.toybox.rig import Paint, Vec3
from animate124.toybox.species.build import Build, on_ellipsoid, smooth_path
from animate124.toybox.species.face import (
    add,
    cheeks,
    dress,
    eyes,
    muzzle,
    pointed_ears,
    round_ears,
    smile,
)
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


@dataclass(frozen=True)
class Frame:
    """Where a four-legged body has its trunk ends and head."""

    chest: Vec3
    hips: Vec3
    trunk_size: Vec3
    head: Vec3
    head_size: Vec3
    neck: Vec3

    @property
    def crown(self) -> Vec3:
        """Top of the head."""
        return (0.0, self.head[1] + self.head_size[1], self.head[2])


def quadruped(
    b: Build,
    *,
    skin: Paint,
    chest: Paint | None = None,
    head: Paint | None = None,
    legs: Paint | None = None,
    paws: Paint | None = None,
    leg: float = 0.24,
    leg_radius: float = 0.062,
    trunk_size: Vec3 = (0.155, 0.15, 0.20),
    length: float = 0.20,
    head_size: Vec3 = (0.215, 0.185, 0.185),
    head_rise: float = 0.24,
    head_reach: float = 0.15,
) -> Frame:
    """Fore and rear trunk, head on a neck and four legs with paws; proportions vary by seed."""
    wide, tall, long = b.uniform(0.92, 1.1), b.uniform(0.93, 1.08), b.uniform(0.9, 1.12)
    sx, sy, sz = trunk_size[0] * wide, trunk_size[1] * tall, trunk_size[2]
    length *= long
    leg *= b.uniform(0.88, 1.16)
    big = b.uniform(0.93, 1.1)
    hx, hy, hz = (s * big for s in head_size)
    leg_radius *= b.uniform(0.92, 1.12)
    y = leg + sy * 0.62
    fore, rear = (0.0, y + 0.01, length * 0.5), (0.0, y, -length * 0.5)
    skull = (0.0, y + head_rise * (0.5 + 0.5 * big), fore[2] + head_reach)
    neck = (0.0, y + sy * 0.55, fore[2] + sz * 0.45)
    b.joint("root", None, (0.0, y, 0.0))
    b.joint("chest", "root", (0.0, y, 0.04))
    b.joint("hips", "root", (0.0, y, -0.04))
    b.joint("head", "chest", neck)
    b.ball("trunk", "chest", fore, (sx, sy, sz), chest or skin)
    b.ball("rump", "hips", rear, (sx * 1.02, sy * 1.0, sz), skin)
    b.limb("neck", "chest", add(fore, (0, 0.02, 0.02)), skull, sx * 0.72, hx * 0.5, skin)
    b.ball("head", "head", skull, (hx, hy, hz), head or skin)
    stance = sx * 0.66
    for name, parent, z in (
        ("foreleg", "chest", fore[2] + sz * 0.42),
        ("hindleg", "hips", rear[2] - sz * 0.36),
    ):
        hip, ankle = (stance, leg * 1.08, z), (stance * 1.05, 0.055, z + 0.005)
        b.joint(name, parent, hip, mirror=True)
        b.limb(name, name, hip, ankle, leg_radius * 1.2, leg_radius * 0.92, legs or skin, True)
        sole = (ankle[0], 0.042, z + 0.022)
        size = (leg_radius * 1.15, 0.046, leg_radius * 1.4)
        b.ball(name + "_paw", name, sole, size, paws or legs or skin, mirror=True)
    return Frame(fore, rear, (sx, sy, sz), skull, (hx, hy, hz), neck)


def long_tail(
    b: Build, f: Frame, points: tuple[Vec3, ...], radii: tuple[float, ...], paints: tuple
) -> None:
    """A tail of capsules through `points`, given from the top of the rump; two joints."""
    start = add(f.hips, (0.0, f.trunk_size[1] * 0.45, -f.trunk_size[2] * 0.8))
    path = smooth_path(tuple(add(start, p) for p in points), radii)
    half = len(points) // 2 * 2
    b.joint("tail", "hips", path[0][0])
    b.joint("tail2", "tail", path[half][0])
    for i, ((p, r), (q, s)) in enumerate(pairwise(path)):
        paint = paints[i // 2]
        if i and paint is not paints[(i - 1) // 2]:
            r *= 1.04  # two colours must not share a surface
        b.limb(f"tail{i}", "tail" if i < half else "tail2", p, q, r, s, paint)


def dress_quadruped(b: Build, f: Frame, *avoid: str, **options) -> None:
    """Perhaps a scarf or bow under the chin, or a hat."""
    neck = (0.0, f.head[1] - f.head_size[1] * 0.86, f.head[2] - f.head_size[2] * 0.28)
    options = {"kinds": ("scarf", "hat"), "probability": 0.38, **options}
    dress(
        b,
        neck=neck,
        neck_radius=f.head_size[0] * 0.56,
        crown=f.crown,
        avoid=avoid,
        tilt=22.0,
        **options,
    )


def fox(b: Build) -> None:
    """Pointed ears, white cheeks and tail tip, dark socks, a bushy tail."""
    color = pick(b.rng, ("orange", "orange", "orange", "red-brown", "red-brown", "red"))
    sock = Paint(mix(color.rgb, INK, b.uniform(0.7, 0.85)))
    white = mix(SNOW, CREAM, b.uniform(0.0, 0.6))
    skin = Paint(color.rgb)
    chest = Paint(color.rgb, white, "belly", axis=(0.0, -0.1, 1.0), extent=0.42)
    legs = Paint(color.rgb, sock.base, "two_tone", axis=(0.0, -1.0, 0.0), extent=0.5)
    f = quadruped(b, skin=skin, chest=chest, legs=legs, paws=sock, leg_radius=0.054)
    inside = add(f.head, (0.09, -0.06, 0.035))
    for i, (x, y, z) in enumerate(((0.19, -0.085, 0.02), (0.15, -0.13, 0.035))):
        tip = add(f.head, (x + f.head_size[0] * 0.35, y, z))
        b.cone(f"ruff{i}", "head", inside, tip, 0.105 - 0.015 * i, 0.012, Paint(white), mirror=True)
    low, _ = on_ellipsoid(f.head, f.head_size, 0.0, -22.0)
    nose_end = add(low, (0.0, -0.012, 0.12))
    b.cone("snout", "head", add(low, (0, 0.01, -0.05)), nose_end, 0.098, 0.036, Paint(white))
    b.ball("nose", "head", add(nose_end, (0, 0.018, 0.0)), (0.04, 0.032, 0.03), Paint(INK))
    eyes(b, f.head, f.head_size, azimuth=28.0, elevation=10.0, radius=0.04, tall=1.25)
    pointed_ears(
        b,
        f.head,
        f.head_size,
        height=b.uniform(0.17, 0.22),
        width=b.uniform(0.085, 0.10),
        outer=color.rgb,
        inner=white,
        tip=sock.base,
    )
    fat = b.uniform(0.08, 0.1)
    points = ((0, 0, 0), (0, -0.02, -0.12), (0, 0.06, -0.22), (0, 0.2, -0.27), (0, 0.29, -0.25))
    radii = (0.045, fat, fat * 1.08, fat * 0.8, 0.025)
    long_tail(b, f, points, radii, (skin, skin, skin, Paint(white)))
    b.words["color"] = color.name
    dress_quadruped(b, f, color.name)


def dog(b: Build) -> None:
    """Hanging ears, big muzzle with tongue, raised tail; sometimes spotted."""
    color = pick(b.rng, ("brown", "tan", "white", "grey", "orange"))
    other = mix(color.rgb, (0.28, 0.17, 0.11), 0.72)
    if color.name == "brown":
        other = darker(color.rgb, 0.5)
    skin = Paint(color.rgb)
    if b.chance(0.5):
        skin = Paint(color.rgb, other, "spots", scale=b.uniform(0.13, 0.17), extent=0.42)
        b.words["pattern"] = "dark spots"
    pale = lighter(color.rgb, 0.6)
    plain = Paint(color.rgb)
    f = quadruped(b, skin=skin, head=plain, legs=plain, paws=Paint(pale), leg_radius=0.06)
    root, _ = on_ellipsoid(f.head, f.head_size, 90.0, 42.0)
    length, width = b.uniform(0.12, 0.16), b.uniform(0.06, 0.075)
    b.joint("ear", "head", root, mirror=True)
    at = add(root, (0.062, -length * 0.62, 0.015))
    b.ball("ear", "ear", at, (0.045, length, width), Paint(other), (0, 0, 22), mirror=True)
    eyes(b, f.head, f.head_size, azimuth=25.0, elevation=14.0, radius=0.042)
    if b.chance(0.5):
        spot, _ = on_ellipsoid(f.head, f.head_size, 25.0, 15.0)
        spot = add(spot, (0, 0, -0.02))
        b.ball("eye_patch", "head", spot, (0.075, 0.088, 0.03), Paint(other), (0, 24, 0))
    muzzle(b, f.head, f.head_size, pale, width=0.105, length=0.12, nose_width=0.05)
    low, _ = on_ellipsoid(f.head, f.head_size, 0.0, -30.0)
    tongue = add(low, (0.0, -0.045, 0.095))
    b.ball("tongue", "head", tongue, (0.035, 0.05, 0.016), Paint((0.94, 0.42, 0.46)))
    points = ((0, 0, 0), (0, 0.07, -0.07), (0, 0.17, -0.10), (0, 0.26, -0.07))
    long_tail(b, f, points, (0.045, 0.042, 0.038, 0.03), (plain, plain, Paint(pale)))
    b.words["color"] = color.name
    dress_quadruped(b, f, color.name)


def cat(b: Build) -> None:
    """Pointed ears, whiskers, a long tail; often striped."""
    color = pick(b.rng, ("grey", "orange", "black", "white", "tan", "brown"))
    dark = color.name == "black"
    pale = lighter(color.rgb, 0.62) if color.name != "white" else SNOW
    stripe = darker(color.rgb, 0.42)
    skin = Paint(color.rgb)
    if not dark and color.name != "white" and b.chance(0.7):
        skin = Paint(color.rgb, stripe, "stripes", scale=0.1, axis=(0.0, 0.0, 1.0), extent=0.38)
        b.words["pattern"] = "dark stripes"
    plain = Paint(color.rgb)
    f = quadruped(
        b,
        skin=skin,
        head=plain,
        legs=plain,
        paws=Paint(pale) if not dark else plain,
        leg_radius=0.05,
        trunk_size=(0.135, 0.135, 0.19),
    )
    inner = mix(BLUSH, SNOW, 0.3)
    size = b.uniform(0.14, 0.18)
    pointed_ears(
        b, f.head, f.head_size, height=size, width=size * 0.58, outer=color.rgb, inner=inner
    )
    iris = pick(b.rng, ("green", "yellow", "turquoise", "blue"))
    at, n = on_ellipsoid(f.head, f.head_size, 27.0, 6.0)
    b.ball("iris", "head", at, (0.052, 0.056, 0.04), Paint(lighter(iris.rgb, 0.2)), mirror=True)
    slit = add(at, (n[0] * 0.3, 0.0, n[2]), 0.022)
    eye = (0.026, 0.046, 0.026)
    b.ball("pupil", "head", slit, eye, Paint(INK), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * slit[0] + 0.012, slit[1] + 0.024, slit[2] + 0.02)
        b.ball("glint" + mark, "head", spot, 0.013, Paint((1.0, 1.0, 1.0)))
    cheek, _ = on_ellipsoid(f.head, f.head_size, 14.0, -22.0)
    b.ball("muzzle", "head", cheek, (0.055, 0.045, 0.045), Paint(pale), mirror=True)
    mid, _ = on_ellipsoid(f.head, f.head_size, 0.0, -12.0)
    b.ball("nose", "head", add(mid, (0, 0, 0.022)), (0.028, 0.02, 0.02), Paint(BLUSH))
    hair = Paint(SNOW if dark else darker(color.rgb, 0.6))
    for i, rise in enumerate((0.03, -0.02)):
        start = add(cheek, (0.03, 0.005 - 0.014 * i, 0.02))
        b.limb(
            f"whisker{i}", "head", start, add(start, (0.15, rise, -0.02)), 0.007, 0.004, hair, True
        )
    points = ((0, 0, 0), (0, 0.05, -0.13), (0, 0.18, -0.17), (0, 0.33, -0.12), (0, 0.40, -0.03))
    tip = plain if "pattern" not in b.words else Paint(stripe)
    long_tail(b, f, points, (0.04, 0.038, 0.036, 0.036, 0.034), (plain, plain, plain, tip))
    b.words["color"] = color.name
    dress_quadruped(b, f, color.name)


def pig(b: Build) -> None:
    """Round and pink with a flat snout, folded ears and a curled tail."""
    color = pick(b.rng, ("pink", "pink", "pink", "brown", "black"))
    deep = mix(color.rgb, (0.86, 0.36, 0.44), 0.45)
    skin = Paint(color.rgb)
    if b.chance(0.3):
        skin = Paint(color.rgb, darker(color.rgb, 0.45), "spots", scale=0.16, extent=0.4)
        if color.name == "black":
            skin = Paint(color.rgb, BLUSH, "spots", scale=0.16, extent=0.4)
        b.words["pattern"] = "pink spots" if color.name == "black" else "dark spots"
    hoof = Paint(darker(color.rgb, 0.5))
    f = quadruped(
        b,
        skin=skin,
        head=Paint(color.rgb),
        legs=Paint(color.rgb),
        paws=hoof,
        leg=0.17,
        leg_radius=0.062,
        trunk_size=(0.21, 0.20, 0.22),
        head_size=(0.215, 0.19, 0.18),
        head_rise=0.19,
        head_reach=0.2,
    )
    dark = color.name == "black"
    eyes(b, f.head, f.head_size, azimuth=28.0, elevation=16.0, radius=0.037, white=dark)
    mid, _ = on_ellipsoid(f.head, f.head_size, 0.0, -10.0)
    b.rod(
        "snout", "head", add(mid, (0, 0, -0.04)), add(mid, (0, -0.005, 0.085)), 0.088, Paint(deep)
    )
    hole = add(mid, (0.032, 0.0, 0.084))
    inside = Paint(darker(deep, 0.6))
    b.ball("nostril", "head", hole, (0.018, 0.028, 0.012), inside, mirror=True)
    smile(b, f.head, f.head_size, elevation=-48.0, width=26.0)
    cheeks(b, f.head, f.head_size, azimuth=48.0, paint=mix(deep, BLUSH, 0.5))
    root, _ = on_ellipsoid(f.head, f.head_size, 68.0, 58.0)
    b.joint("ear", "head", root, mirror=True)
    tip = add(root, (0.075, 0.03, 0.085))
    size = b.uniform(0.07, 0.09)
    b.cone("ear", "ear", add(root, (-0.01, -0.01, -0.02)), tip, size, 0.015, Paint(deep), True)
    points = (
        (0, -0.02, 0),
        (0.03, 0.02, -0.05),
        (0.0, 0.075, -0.075),
        (-0.035, 0.04, -0.10),
        (0.01, 0.01, -0.12),
    )
    long_tail(b, f, points, (0.022, 0.022, 0.021, 0.02, 0.016), (Paint(deep),) * 4)
    b.words["color"] = color.name
    dress_quadruped(b, f, color.name)


def lion(b: Build) -> None:
    """A ruff of mane around a pale face, round ears and a tufted tail."""
    color = pick(b.rng, ("yellow", "tan", "orange"))
    mane = mix((0.62, 0.30, 0.10), darker(color.rgb, 0.3), b.uniform(0.0, 0.4))
    skin, hair = Paint(color.rgb), Paint(mane)
    pale = lighter(color.rgb, 0.6)
    f = quadruped(b, skin=skin, paws=Paint(pale), head_size=(0.185, 0.17, 0.17), leg_radius=0.062)
    count, puff = 12, b.uniform(0.072, 0.085)
    ring = (f.head_size[0] * 1.1, f.head_size[1] * 1.12)
    back = add(f.head, (0.0, 0.0, -0.04))
    b.ball("mane", "head", add(back, (0, 0, -0.05)), (ring[0] * 1.1, ring[1] * 1.1, 0.13), hair)
    for i in range(count):
        a = 2 * math.pi * i / count
        at = add(back, (ring[0] * math.sin(a), ring[1] * math.cos(a), 0.0))
        b.ball(f"mane{i}", "head", at, (puff, puff, puff * 0.8), hair)
    round_ears(
        b,
        add(f.head, (0, 0.05, 0.0)),
        f.head_size,
        radius=0.06,
        outer=color.rgb,
        inner=mane,
        elevation=52.0,
    )
    eyes(b, f.head, f.head_size, azimuth=25.0, elevation=12.0, radius=0.038)
    muzzle(b, f.head, f.head_size, pale, width=0.095, length=0.085, nose_width=0.042)
    points = ((0, 0, 0), (0, -0.02, -0.14), (0, 0.08, -0.22), (0, 0.22, -0.23))
    long_tail(b, f, points, (0.032, 0.028, 0.027, 0.027), (skin, skin, skin))
    tuft = add(f.hips, (0.0, f.trunk_size[1] * 0.45 + 0.25, -f.trunk_size[2] * 0.8 - 0.22))
    b.ball("tuft", "tail2", tuft, (0.05, 0.075, 0.05), hair)
    b.words["color"] = color.name
