"""Toys that stand on two legs: panda, bear, rabbit, frog, monkey."""

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
    nose,
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
    """Where an upright body has its head, neck and torso, for the species to decorate."""

    torso: Vec3
    torso_size: Vec3
    head: Vec3
    head_size: Vec3
    neck: Vec3
    hips: float

    @property
    def crown(self) -> Vec3:
        """Top of the head."""
        return (0.0, self.head[1] + self.head_size[1], self.head[2])


def upright(
    b: Build,
    *,
    skin: Paint,
    chest: Paint,
    head: Paint | None = None,
    arms: Paint | None = None,
    legs: Paint | None = None,
    hands: Paint | None = None,
    feet: Paint | None = None,
    torso_size: Vec3 = (0.20, 0.23, 0.17),
    head_size: Vec3 = (0.25, 0.215, 0.215),
    leg: float = 0.19,
    leg_radius: float = 0.078,
    arm: float = 0.30,
    arm_radius: float = 0.06,
    splay: float = 36.0,
    stance: float = 0.11,
    foot_size: Vec3 = (0.085, 0.055, 0.12),
) -> Frame:
    """Pelvis, torso, head, two-part arms and legs with feet, each on its joint; seed-varied."""
    wide, tall, deep = (b.uniform(0.92, 1.1) for _ in range(3))
    tx, ty, tz = torso_size[0] * wide, torso_size[1] * tall, torso_size[2] * deep
    big = b.uniform(0.93, 1.1)
    hx, hy, hz = (s * big for s in head_size)
    hx *= b.uniform(0.96, 1.06)
    leg *= b.uniform(0.88, 1.15)
    arm *= b.uniform(0.92, 1.12)
    thick = b.uniform(0.92, 1.12)
    arm_radius, leg_radius = arm_radius * thick, leg_radius * thick
    torso = (0.0, leg + ty * 0.86, 0.0)
    neck = (0.0, torso[1] + ty * 0.78, 0.0)
    skull = (0.0, torso[1] + ty * 0.80 + hy * 0.80, 0.015)
    b.joint("root", None, torso)
    b.joint("chest", "root", (0.0, leg + ty * 0.35, 0.0))
    b.joint("head", "chest", neck)
    b.ball("pelvis", "root", (0.0, leg + ty * 0.42, 0.0), (tx * 0.93, ty * 0.6, tz * 0.93), skin)
    b.ball("torso", "chest", torso, (tx, ty, tz), chest)
    b.ball("head", "head", skull, (hx, hy, hz), head or skin)
    lean = math.radians(splay)
    shoulder = (tx * 0.74, torso[1] + ty * 0.50, 0.0)
    d = (math.sin(lean), -math.cos(lean), 0.18)
    elbow = add(shoulder, d, arm * 0.5)
    wrist = add(elbow, (d[0] * 0.75, d[1], d[2] + 0.15), arm * 0.5)
    b.joint("arm", "chest", shoulder, mirror=True)
    b.joint("fore", "arm", elbow, mirror=True)
    b.limb("arm", "arm", shoulder, elbow, arm_radius * 1.1, arm_radius, arms or skin, mirror=True)
    b.limb("fore", "fore", elbow, wrist, arm_radius, arm_radius * 0.95, arms or skin, mirror=True)
    b.ball("hand", "fore", wrist, arm_radius * 1.22, hands or arms or skin, mirror=True)
    hip, ankle = (stance, leg * 1.05, 0.0), (stance * 1.12, 0.06, 0.0)
    b.joint("leg", "root", hip, mirror=True)
    b.limb("leg", "leg", hip, ankle, leg_radius * 1.12, leg_radius, legs or skin, mirror=True)
    sole = (ankle[0], foot_size[1] * 0.75, foot_size[2] * 0.38)
    b.ball("foot", "leg", sole, foot_size, feet or legs or skin, mirror=True)
    return Frame(torso, (tx, ty, tz), skull, (hx, hy, hz), neck, leg)


def stub_tail(b: Build, f: Frame, radius: float, paint: Paint) -> None:
    """A ball tail low on the back."""
    at = (0.0, f.hips + f.torso_size[1] * 0.35, -f.torso_size[2] * 0.95)
    b.joint("tail", "root", (0.0, at[1], at[2] + radius * 0.6))
    b.ball("tail", "tail", at, radius, paint)


def dress_upright(b: Build, f: Frame, *avoid: str, **options) -> None:
    """Perhaps an accessory at the neck or on the head."""
    around = (0.0, f.neck[1] + 0.005, 0.0)
    dress(b, neck=around, neck_radius=f.torso_size[0] * 0.76, crown=f.crown, avoid=avoid, **options)


def panda(b: Build) -> None:
    """White with black ears, eye patches, limbs and shoulder band."""
    white = mix(SNOW, b.choose((CREAM, (0.86, 0.91, 1.0), SNOW)), b.uniform(0.0, 0.35))
    black = mix(INK, b.choose(((0.30, 0.22, 0.18), (0.18, 0.22, 0.32))), b.uniform(0.1, 0.6))
    snow, ink = Paint(white), Paint(black)
    band = Paint(white, black, "two_tone", axis=(0.0, 1.0, 0.0), extent=b.uniform(0.30, 0.40))
    f = upright(b, skin=snow, chest=band, arms=ink, legs=ink, arm_radius=0.068, leg_radius=0.088)
    round_ears(
        b, f.head, f.head_size, radius=b.uniform(0.08, 0.1), outer=black, inner=darker(black, 0.3)
    )
    slant = b.uniform(20.0, 38.0)
    at, _ = on_ellipsoid(f.head, f.head_size, 25.0, 5.0)
    at = add(at, (0.0, 0.0, -0.018))
    b.ball("patch", "head", at, (0.066, 0.088, 0.045), ink, (0, 24, slant), mirror=True)
    front = add(f.head, (0.0, 0.0, 0.016))
    eyes(b, front, f.head_size, azimuth=23.0, elevation=7.0, radius=0.036, white=True)
    muzzle(b, f.head, f.head_size, lighter(white, 0.6), width=0.09, length=0.07)
    stub_tail(b, f, 0.05, snow)
    dress_upright(b, f)


def bear(b: Build) -> None:
    """Round ears, pale muzzle and belly."""
    color = pick(b.rng, ("brown", "tan", "red-brown", "grey", "white", "pink", "blue"))
    pale = lighter(color.rgb, b.uniform(0.5, 0.7)) if color.name != "white" else CREAM
    skin = Paint(color.rgb)
    chest = Paint(color.rgb, pale, "belly", axis=(0.0, -0.12, 1.0), extent=b.uniform(0.36, 0.5))
    paw = Paint(darker(color.rgb, 0.25))
    f = upright(b, skin=skin, chest=chest, hands=paw, feet=paw, arm_radius=0.068, leg_radius=0.09)
    round_ears(b, f.head, f.head_size, radius=b.uniform(0.075, 0.1), outer=color.rgb, inner=pale)
    eyes(b, f.head, f.head_size, azimuth=b.uniform(21, 26), radius=b.uniform(0.038, 0.046))
    muzzle(b, f.head, f.head_size, pale, width=b.uniform(0.095, 0.115), length=0.09)
    cheeks(b, f.head, f.head_size)
    stub_tail(b, f, 0.055, skin)
    b.words["color"] = color.name
    dress_upright(b, f, color.name)


def rabbit(b: Build) -> None:
    """Long ears with pink insides, buck teeth, cotton tail."""
    color = pick(b.rng, ("white", "grey", "tan", "brown", "pink", "blue"))
    pale = lighter(color.rgb, 0.65) if color.name != "white" else SNOW
    skin = Paint(color.rgb)
    chest = Paint(color.rgb, pale, "belly", axis=(0.0, -0.1, 1.0), extent=0.45)
    f = upright(
        b,
        skin=skin,
        chest=chest,
        torso_size=(0.175, 0.20, 0.155),
        head_size=(0.21, 0.19, 0.19),
        arm_radius=0.052,
        leg=0.17,
        foot_size=(0.08, 0.05, 0.15),
        feet=Paint(lighter(color.rgb, 0.25)),
    )
    root, _ = on_ellipsoid(f.head, f.head_size, 90.0, 66.0)
    root = (root[0], root[1] - 0.03, root[2] - 0.02)
    length, width, tilt = b.uniform(0.15, 0.20), b.uniform(0.052, 0.066), b.uniform(6.0, 22.0)
    t = math.radians(tilt)
    at = add(root, (math.sin(t), math.cos(t), 0.0), length * 0.92)
    b.joint("ear", "head", root, mirror=True)
    b.ball("ear", "ear", at, (width, length, width * 0.6), skin, (0, 0, -tilt), mirror=True)
    inside = Paint(mix(BLUSH, SNOW, 0.25))
    front = add(at, (0.0, 0.0, width * 0.4))
    flat = (width * 0.58, length * 0.78, width * 0.32)
    b.ball("ear_in", "ear", front, flat, inside, (0, 0, -tilt), mirror=True)
    eyes(b, f.head, f.head_size, azimuth=27.0, elevation=8.0, radius=0.04, tall=1.3)
    at, _ = on_ellipsoid(f.head, f.head_size, 14.0, -22.0)
    b.ball("muzzle", "head", at, (0.058, 0.045, 0.045), Paint(pale), mirror=True)
    low, _ = on_ellipsoid(f.head, f.head_size, 0.0, -10.0)
    nose(b, add(low, (0, 0, 0.03)), 0.026, BLUSH)
    tooth, _ = on_ellipsoid(f.head, f.head_size, 0.0, -36.0)
    b.part("teeth", "head", "box", (0.022, 0.026, 0.01), add(tooth, (0, 0.002, 0.02)), Paint(SNOW))
    cheeks(b, f.head, f.head_size, azimuth=48.0)
    stub_tail(b, f, 0.075, Paint(SNOW if color.name != "white" else mix(SNOW, BLUSH, 0.25)))
    b.words["color"] = color.name
    dress_upright(b, f, color.name, kinds=("scarf", "bow"))


def frog(b: Build) -> None:
    """Wide head, eyes on top, wide smile, flat feet."""
    color = pick(b.rng, ("green", "green", "turquoise", "yellow", "blue"))
    pale = mix(color.rgb, CREAM, 0.75)
    pattern, words = b.choose((("belly", None), ("belly", None), ("spots", "dark spots")))
    skin = Paint(color.rgb)
    if pattern == "spots":
        skin = Paint(color.rgb, darker(color.rgb, 0.4), "spots", scale=0.11, extent=0.4)
        b.words["pattern"] = words
    chest = Paint(color.rgb, pale, "belly", axis=(0.0, -0.1, 1.0), extent=0.48)
    webbed = Paint(darker(color.rgb, 0.12))
    f = upright(
        b,
        skin=skin,
        chest=chest,
        hands=webbed,
        feet=webbed,
        torso_size=(0.20, 0.19, 0.17),
        head_size=(0.265, 0.165, 0.20),
        arm_radius=0.048,
        leg_radius=0.07,
        leg=0.16,
        stance=0.13,
        foot_size=(0.11, 0.035, 0.15),
    )
    top, _ = on_ellipsoid(f.head, f.head_size, 72.0, 55.0)
    size = b.uniform(0.078, 0.092)
    at = (top[0] * 1.12, top[1] + 0.01, top[2] + 0.0)
    b.ball("eye_bump", "head", at, size, Paint(color.rgb), mirror=True)
    front = add(at, (0.0, 0.012, size * 0.45))
    b.ball("eye", "head", front, size * 0.74, Paint(SNOW), mirror=True)
    ahead = add(front, (0.0, 0.0, size * 0.46))
    b.ball("pupil", "head", ahead, (size * 0.44, size * 0.44, size * 0.4), Paint(INK), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * at[0] + size * 0.16, ahead[1] + size * 0.2, ahead[2] + size * 0.3)
        b.ball("glint" + mark, "head", spot, size * 0.15, Paint((1.0, 1.0, 1.0)))
    smile(b, f.head, f.head_size, elevation=-24.0, width=34.0, thick=0.014)
    nostril, _ = on_ellipsoid(f.head, f.head_size, 9.0, 12.0)
    b.ball("nostril", "head", nostril, 0.014, Paint(darker(color.rgb, 0.55)), mirror=True)
    cheeks(b, f.head, f.head_size, azimuth=46.0, elevation=-10.0)
    b.words["color"] = color.name
    dress_upright(b, f, color.name, kinds=("scarf", "bow"))


def monkey(b: Build) -> None:
    """Face mask and side ears in a pale tone, long arms and a curling tail."""
    color = pick(b.rng, ("brown", "red-brown", "grey", "orange"))
    face = mix((0.93, 0.74, 0.56), SNOW, b.uniform(0.0, 0.3))
    skin, pale = Paint(color.rgb), Paint(face)
    chest = Paint(color.rgb, face, "belly", axis=(0.0, -0.1, 1.0), extent=0.42)
    f = upright(
        b,
        skin=skin,
        chest=chest,
        hands=pale,
        feet=pale,
        torso_size=(0.165, 0.20, 0.145),
        head_size=(0.22, 0.20, 0.20),
        arm=0.40,
        arm_radius=0.047,
        leg=0.22,
        leg_radius=0.06,
        stance=0.09,
    )
    round_ears(
        b,
        f.head,
        f.head_size,
        radius=b.uniform(0.08, 0.1),
        outer=color.rgb,
        inner=face,
        azimuth=90.0,
        elevation=4.0,
    )
    mask, _ = on_ellipsoid(f.head, f.head_size, 17.0, 8.0)
    mask = add(mask, (0.0, 0.0, -0.045))
    b.ball("mask", "head", mask, (0.088, 0.1, 0.07), pale, mirror=True)
    low, _ = on_ellipsoid(f.head, f.head_size, 0.0, -28.0)
    jaw = (0.125, 0.082, 0.085)
    b.ball("muzzle", "head", low, jaw, pale)
    smile(b, low, jaw, elevation=-14.0, width=44.0, thick=0.012)
    nostril, _ = on_ellipsoid(low, jaw, 9.0, 32.0)
    b.ball("nostril", "head", nostril, 0.014, Paint(darker(face, 0.7)), mirror=True)
    eyes(b, add(f.head, (0, 0, 0.02)), f.head_size, azimuth=20.0, elevation=10.0, radius=0.036)
    start = (0.0, f.hips + f.torso_size[1] * 0.3, -f.torso_size[2] * 0.8)
    points = [start, add(start, (0.05, -0.03, -0.13)), add(start, (0.11, 0.11, -0.2))]
    points += [add(start, (0.15, 0.26, -0.17)), add(start, (0.15, 0.30, -0.08))]
    path = smooth_path(tuple(points), (0.034, 0.033, 0.031, 0.03, 0.03))
    b.joint("tail", "root", points[0])
    b.joint("tail2", "tail", points[2])
    for i, ((p, r), (q, s)) in enumerate(pairwise(path)):
        b.limb(f"tail{i}", "tail" if i < 4 else "tail2", p, q, r, s, skin)
    b.words["color"] = color.name
    dress_upright(b, f, color.name, kinds=("hat", "bow", "scarf"))
