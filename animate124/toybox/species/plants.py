"""Toys in pots: cactus and flower."""

import math

from animate124.toybox.rig import Paint, Vec3
from animate124.toybox.species.build import Build, on_ellipsoid
from animate124.toybox.species.face import add, cheeks, dress, eyes, smile
from animate124.toybox.species.palette import (
    BRIGHT,
    CREAM,
    SNOW,
    darker,
    lighter,
    mix,
    pick,
)


def _pot(b: Build, height: float, radius: float, avoid: str) -> float:
    """A flower pot in a colour that the caption names; returns the height of the soil."""
    color = pick(b.rng, ("red-brown", *BRIGHT), (avoid,))
    pattern = b.choose(("plain", "rings", "checks"))
    paint = Paint(color.rgb, lighter(color.rgb, 0.5), pattern, scale=0.1, extent=0.4)
    b.cone("pot", "root", (0, 0, 0), (0, height, 0), radius * 0.76, radius, paint)
    rim = Paint(darker(color.rgb, 0.12))
    b.rod("pot_rim", "root", (0, height * 0.86, 0), (0, height * 1.1, 0), radius * 1.1, rim)
    soil = (radius * 0.96, 0.03, radius * 0.96)
    b.ball("soil", "root", (0, height * 1.09, 0), soil, Paint((0.30, 0.20, 0.14)))
    b.words["pattern"] = f"a {color.name} pot"
    return height * 1.08


def _leafy(b: Build, name: str, joint: str, a: Vec3, d: Vec3, long: float, paint: Paint) -> None:
    """A flat leaf from `a` along `d` (unit, pointing to +x), made on both sides."""
    at = add(a, d, long * 0.9)
    turn = math.degrees(math.atan2(d[1], d[0]))
    b.ball(name, joint, at, (long, 0.026, long * 0.46), paint, (14, 0, turn), mirror=True)


def cactus(b: Build) -> None:
    """A ribbed green column with two crooked arms, a flower on top, in a pot."""
    green = pick(b.rng, ("green",))
    skin = Paint(
        green.rgb, lighter(green.rgb, 0.35), "stripes", scale=0.09, axis=(1, 0, 0), extent=0.3
    )
    soil = _pot(b, b.uniform(0.2, 0.24), b.uniform(0.19, 0.22), "green")
    wide, tall = b.uniform(0.15, 0.175), b.uniform(0.36, 0.46)
    top = soil + tall
    b.joint("root", None, (0.0, soil, 0.0))
    b.joint("chest", "root", (0.0, soil, 0.0))
    mid = soil + tall * 0.52
    b.joint("head", "chest", (0.0, mid, 0.0))
    b.limb("torso", "chest", (0, soil, 0), (0, mid, 0), wide * 0.98, wide, skin)
    b.limb("head", "head", (0, mid, 0), (0, top, 0), wide, wide * 0.97, skin)
    face, size = (0.0, top - wide * 0.35, 0.0), (wide, wide * 1.6, wide)
    eyes(b, face, size, azimuth=28.0, elevation=6.0, radius=0.04)
    smile(b, face, size, elevation=-22.0, width=24.0, thick=0.012)
    cheeks(b, face, size, azimuth=50.0, elevation=-10.0, radius=0.028)
    thick = b.uniform(0.062, 0.072)
    shoulder = (wide * 0.75, soil + tall * b.uniform(0.32, 0.42), 0.0)
    elbow = add(shoulder, (0.16, 0.01, 0.0))
    hand = add(elbow, (0.015, b.uniform(0.13, 0.18), 0.0))
    b.joint("arm", "chest", shoulder, mirror=True)
    b.joint("fore", "arm", elbow, mirror=True)
    b.limb("arm", "arm", shoulder, elbow, thick, thick, skin, mirror=True)
    b.limb("fore", "fore", elbow, hand, thick, thick * 0.92, skin, mirror=True)
    petal = pick(b.rng, ("pink", "yellow", "red", "purple", "orange"))
    crown = (0.0, top + wide * 0.95, 0.0)
    for i in range(5):
        a = 2 * math.pi * i / 5
        at = add(crown, (0.055 * math.sin(a), 0.012, 0.055 * math.cos(a)))
        b.ball(f"petal{i}", "head", at, (0.05, 0.028, 0.05), Paint(petal.rgb))
    b.ball("pistil", "head", add(crown, (0, 0.03, 0)), 0.034, Paint((0.99, 0.85, 0.35)))
    thorn = Paint(mix(CREAM, SNOW, 0.5))
    for i, (turn, up) in enumerate(((16, 0.12), (48, 0.3), (30, 0.42), (125, 0.2), (155, 0.4))):
        at, n = on_ellipsoid((0.0, soil + tall * up, 0.0), (wide, wide * 9, wide), turn, 0.0)
        b.cone(f"thorn{i}", "chest", at, add(at, n, 0.045), 0.015, 0.004, thorn, mirror=True)
    b.words["color"] = "green"
    b.words["feature"] = f"a {petal.name} flower"


def flower(b: Build) -> None:
    """A smiling disc with a ring of petals on a two-jointed stem with two leaves, in a pot."""
    color = pick(b.rng, ("red", "pink", "purple", "yellow", "white", "orange", "blue"))
    disc = Paint(
        (0.98, 0.80, 0.28) if color.name not in ("yellow", "orange") else (0.55, 0.34, 0.18)
    )
    green = pick(b.rng, ("green",)).rgb
    stem, leaf = Paint(green), Paint(lighter(green, 0.15))
    soil = _pot(b, b.uniform(0.2, 0.24), b.uniform(0.17, 0.2), color.name)
    tall = b.uniform(0.34, 0.42)
    mid, top = (0.0, soil + tall * 0.5, 0.0), (0.0, soil + tall, 0.0)
    b.joint("root", None, (0.0, soil, 0.0))
    b.joint("chest", "root", (0.0, soil, 0.0))
    b.joint("neck", "chest", mid)
    b.joint("head", "neck", top)
    b.limb("stem", "chest", (0, soil - 0.02, 0), mid, 0.038, 0.034, stem)
    b.limb("stem_top", "neck", mid, (0, top[1] + 0.06, -0.02), 0.034, 0.032, stem)
    big = b.uniform(0.145, 0.165)
    face = (0.0, top[1] + big * 1.15, 0.035)
    size = (big, big, big * 0.55)
    b.ball("face", "head", face, size, disc)
    count = int(b.rng.integers(7, 11))
    long, wide = b.uniform(0.12, 0.145), 2.1 * big / count + 0.018
    second = lighter(color.rgb, 0.35) if color.name != "white" else (0.99, 0.9, 0.93)
    for i in range(count):
        a = 2 * math.pi * i / count
        reach = big * 0.82 + long * 0.62
        at = add(face, (reach * math.sin(a), reach * math.cos(a), -0.03))
        paint = Paint(color.rgb if i % 2 == 0 or count % 2 else second)
        b.ball(f"petal{i}", "head", at, (wide, long, 0.042), paint, (0, 0, -math.degrees(a)))
    eyes(b, face, size, azimuth=34.0, elevation=14.0, radius=0.034)
    smile(b, face, size, elevation=-32.0, width=36.0, thick=0.012)
    cheeks(b, face, size, azimuth=58.0, elevation=-14.0, radius=0.026)
    base = (0.018, soil + tall * 0.3, 0.0)
    d, reach = (0.88, 0.47, 0.0), b.uniform(0.115, 0.14)
    b.joint("arm", "chest", base, mirror=True)
    end = add(base, d, reach * 0.9)
    b.joint("fore", "arm", end, mirror=True)
    b.limb("arm", "arm", base, end, 0.024, 0.02, stem, mirror=True)
    _leafy(b, "leaf", "fore", add(end, d, -0.03), d, reach, leaf)
    b.words["color"] = color.name
    dress(
        b,
        neck=(0.0, soil + tall * 0.86, 0.0),
        neck_radius=0.05,
        crown=face,
        kinds=("bow",),
        avoid=(color.name, "green"),
        neck_joint="neck",
        probability=0.3,
    )
