"""Toys of the water: fish, octopus, whale."""

import math

from animate124.toybox.rig import Paint
from animate124.toybox.species.build import Build, on_ellipsoid
from animate124.toybox.species.face import add, cheeks, dress, eyes, smile
from animate124.toybox.species.palette import (
    BRIGHT,
    CREAM,
    INK,
    SNOW,
    darker,
    lighter,
    mix,
    pick,
)


def fish(b: Build) -> None:
    """A plump fish with stripes or spots, side fins, back fin and a forked tail of two joints."""
    color = pick(b.rng, ("orange", "blue", "yellow", "red", "turquoise", "purple", "pink"))
    second = pick(b.rng, ("white", "yellow", "blue", "purple"), (color.name,))
    pattern = b.choose(("stripes", "stripes", "spots", "two_tone"))
    paint = Paint(
        color.rgb,
        second.rgb,
        pattern,
        scale=0.26 if pattern == "stripes" else 0.13,
        axis=(0.0, -1.0, 0.0) if pattern == "two_tone" else (0.0, 0.0, 1.0),
        extent=0.36,
    )
    words = {"stripes": "stripes", "spots": "spots", "two_tone": "belly"}[pattern]
    b.words["pattern"] = f"{second.name} {words}" if words != "belly" else f"a {second.name} belly"
    wide, tall, long = b.uniform(0.17, 0.2), b.uniform(0.23, 0.28), b.uniform(0.31, 0.35)
    size, body = (wide, tall, long), (0.0, 0.0, 0.08)
    fin = Paint(darker(color.rgb, 0.1) if b.chance(0.5) else second.rgb)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, 0.0, 0.06))
    b.joint("tail", "root", (0.0, 0.0, -long * 0.45))
    b.joint("tail2", "tail", (0.0, 0.0, -long * 0.95))
    b.ball("torso", "head", body, size, paint)
    rear = (0.0, 0.0, -long * 0.45)
    b.ball("rear", "tail", rear, (wide * 0.72, tall * 0.66, long * 0.62), paint)
    b.limb("stem", "tail2", (0, 0, -long * 0.8), (0, 0, -long * 1.12), 0.085, 0.05, fin)
    for i, up in enumerate((1.0, -1.0)):
        at = (0.0, up * 0.115, -long * 1.12 - 0.115)
        b.ball(f"fluke{i}", "tail2", at, (0.03, 0.17, 0.075), fin, (up * -38.0, 0, 0))
    b.ball("back_fin", "head", (0, tall * 0.98, 0.02), (0.028, 0.11, 0.17), fin, (-16, 0, 0))
    b.ball("low_fin", "tail", (0, -tall * 0.72, -0.14), (0.024, 0.085, 0.09), fin, (30, 0, 0))
    root = (wide * 0.92, -tall * 0.2, 0.12)
    b.joint("fin", "head", root, mirror=True)
    at = add(root, (0.09, -0.065, -0.05))
    b.ball("fin", "fin", at, (0.125, 0.028, 0.075), fin, (0, 25, -38), mirror=True)
    eyes(b, body, size, azimuth=32.0, elevation=16.0, radius=b.uniform(0.062, 0.075), white=True)
    lip, _ = on_ellipsoid(body, size, 0.0, -9.0)
    lips = Paint(mix(color.rgb, (0.95, 0.45, 0.45), 0.5))
    b.part("lips", "head", "torus", (0.04, 0.02, 0.0), lip, lips, (90, 0, 0))
    b.ball("mouth", "head", lip, (0.034, 0.034, 0.012), Paint(INK))
    cheeks(b, body, size, azimuth=48.0, elevation=-12.0, radius=0.032)
    b.words["color"] = color.name


def whale(b: Build) -> None:
    """A great round head, pale throat, flukes held up and a spout of water."""
    color = pick(b.rng, ("blue", "blue", "turquoise", "grey", "purple"))
    skin = Paint(color.rgb)
    pale = mix(SNOW, color.rgb, 0.12)
    wide, tall, long = b.uniform(0.27, 0.3), b.uniform(0.25, 0.29), b.uniform(0.32, 0.36)
    size, body = (wide, tall, long), (0.0, 0.0, 0.06)
    throat = Paint(color.rgb, pale, "belly", axis=(0.0, -0.85, 0.6), extent=0.44)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, 0.0, 0.0))
    b.joint("tail", "root", (0.0, 0.02, -long * 0.55))
    b.joint("tail2", "tail", (0.0, 0.14, -long * 1.1))
    b.ball("torso", "head", body, size, throat)
    start, mid, end = (0, 0.0, -long * 0.5), (0, 0.10, -long * 1.1), (0, 0.24, -long * 1.3)
    b.limb("tail", "tail", start, mid, tall * 0.72, 0.085, skin)
    b.limb("tail_end", "tail2", mid, end, 0.085, 0.055, skin)
    fluke = add(end, (0.12, 0.055, -0.01))
    b.ball("fluke", "tail2", fluke, (0.15, 0.035, 0.085), skin, (0, 22, 22), mirror=True)
    root = (wide * 0.9, -tall * 0.35, 0.1)
    b.joint("fin", "head", root, mirror=True)
    at = add(root, (0.10, -0.08, -0.03))
    b.ball(
        "fin",
        "fin",
        at,
        (0.14, 0.035, 0.085),
        Paint(darker(color.rgb, 0.12)),
        (0, 20, -38),
        mirror=True,
    )
    eyes(b, body, size, azimuth=44.0, elevation=10.0, radius=0.05)
    smile(b, body, size, elevation=-9.0, width=24.0, thick=0.011)
    cheeks(b, body, size, azimuth=54.0, elevation=-6.0, radius=0.036)
    water = Paint((0.72, 0.90, 1.0))
    top = add(body, (0.0, tall * 0.93, 0.02))
    b.joint("spout", "head", top)
    high = add(top, (0, 0.13, 0))
    b.limb("spout", "spout", top, high, 0.022, 0.026, water)
    for i, angle in enumerate((90.0, 210.0, 330.0)):
        a = math.radians(angle)
        drop = add(high, (0.085 * math.cos(a), 0.015, 0.085 * math.sin(a)))
        b.limb(f"jet{i}", "spout", high, drop, 0.026, 0.026, water)
        b.limb(f"drop{i}", "spout", drop, add(drop, (0, -0.045, 0)), 0.027, 0.02, water)
    b.words["color"] = color.name


def octopus(b: Build) -> None:
    """A bulb of a head and eight arms of two joints each, with pale suckers at the tips."""
    color = pick(b.rng, ("purple", "red", "orange", "pink", "blue", "turquoise"))
    pale = lighter(color.rgb, 0.5)
    skin = Paint(color.rgb)
    if b.chance(0.6):
        skin = Paint(color.rgb, pale, "spots", scale=b.uniform(0.11, 0.14), extent=0.34)
        b.words["pattern"] = "pale spots"
    wide, tall = b.uniform(0.23, 0.26), b.uniform(0.26, 0.3)
    head, size = (0.0, 0.28 + tall * 0.8, 0.0), (wide, tall, wide)
    b.joint("root", None, head)
    b.joint("head", "root", (0.0, 0.26, 0.0))
    b.ball("mantle", "head", head, size, skin)
    b.ball("skirt", "root", (0.0, 0.25, 0.0), (wide * 0.86, 0.12, wide * 0.86), Paint(color.rgb))
    low = add(head, (0.0, -tall * 0.22, 0.0))
    eyes(b, low, size, azimuth=24.0, elevation=8.0, radius=0.066, white=True)
    smile(b, low, size, elevation=-24.0, width=15.0, thick=0.012)
    cheeks(b, low, size, azimuth=42.0, elevation=-14.0)
    plain, tip = Paint(color.rgb), Paint(mix(color.rgb, pale, 0.55))
    long = b.uniform(0.19, 0.23)
    # 45° apart, none straight ahead: arm and fore are the ones that wave, the others lie between.
    for name, outer, angle in (
        ("arm", "fore", 72.0),
        ("limb0", "limb0_tip", 24.0),
        ("limb1", "limb1_tip", 115.0),
        ("limb2", "limb2_tip", 157.0),
    ):
        a = math.radians(angle)
        d = (math.sin(a), math.cos(a))
        root = (wide * 0.62 * d[0], 0.22, wide * 0.62 * d[1])
        knee = (root[0] + long * 0.85 * d[0], 0.075, root[2] + long * 0.85 * d[1])
        end = (knee[0] + long * 0.65 * d[0], 0.045, knee[2] + long * 0.65 * d[1])
        curl = (end[0] + 0.07 * d[0], 0.115, end[2] + 0.07 * d[1])
        b.joint(name, "root", root, mirror=True)
        b.joint(outer, name, knee, mirror=True)
        b.limb(name, name, root, knee, 0.085, 0.058, plain, mirror=True)
        b.limb(outer, outer, knee, end, 0.058, 0.042, plain, mirror=True)
        b.limb(outer + "_curl", outer, end, curl, 0.042, 0.028, tip, mirror=True)
    b.words["color"] = color.name
    crown = (0.0, head[1] + tall, 0.0)
    dress(
        b,
        neck=head,
        neck_radius=wide,
        crown=crown,
        kinds=("hat",),
        avoid=(color.name,),
        probability=0.35,
    )


def crab(b: Build) -> None:
    """A broad shell, eyes on stalks, two big pincers and six legs."""
    color = pick(b.rng, ("red", "orange", "blue", "purple"))
    shell = Paint(color.rgb, lighter(color.rgb, 0.45), "spots", scale=0.13, extent=0.3)
    plain, dark = Paint(color.rgb), Paint(darker(color.rgb, 0.18))
    wide, tall, deep = b.uniform(0.27, 0.31), b.uniform(0.16, 0.19), b.uniform(0.19, 0.22)
    body, size = (0.0, 0.24, 0.0), (wide, tall, deep)
    b.joint("root", None, body)
    b.joint("head", "root", body)
    b.ball("torso", "head", body, size, shell)
    under = Paint(mix(color.rgb, CREAM, 0.6))
    b.ball("under", "root", add(body, (0, -0.06, 0)), (wide * 0.9, tall * 0.72, deep * 0.92), under)
    stalk, _ = on_ellipsoid(body, size, 24.0, 52.0)
    ball = add(stalk, (0.015, 0.13, 0.03))
    b.joint("ear", "head", stalk, mirror=True)
    b.limb("stalk", "ear", stalk, ball, 0.028, 0.024, plain, mirror=True)
    b.ball("eye", "ear", ball, 0.066, Paint(SNOW), mirror=True)
    ahead = add(ball, (0, 0.004, 0.04))
    b.ball("pupil", "ear", ahead, (0.036, 0.042, 0.032), Paint(INK), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * ahead[0] + 0.012, ahead[1] + 0.018, ahead[2] + 0.024)
        b.ball("glint" + mark, "ear" + mark, spot, 0.013, Paint((1.0, 1.0, 1.0)))
    smile(b, body, size, elevation=-6.0, width=30.0, thick=0.013)
    cheeks(b, body, size, azimuth=46.0, elevation=-4.0)
    shoulder = (wide * 0.8, 0.25, deep * 0.5)
    elbow = add(shoulder, (0.16, -0.02, 0.05))
    wrist = add(elbow, (0.0, 0.10, 0.08))
    claw = b.uniform(0.088, 0.105)
    b.joint("arm", "root", shoulder, mirror=True)
    b.joint("fore", "arm", elbow, mirror=True)
    b.limb("arm", "arm", shoulder, elbow, 0.048, 0.044, plain, mirror=True)
    b.limb("fore", "fore", elbow, wrist, 0.044, 0.05, plain, mirror=True)
    palm = add(wrist, (-0.01, 0.055, 0.015))
    b.ball("palm", "fore", palm, (claw, claw * 0.95, claw * 0.62), plain, mirror=True)
    for i, x in enumerate((-0.6, 0.62)):
        low = add(palm, (x * claw, claw * 0.55, 0.0))
        high = add(palm, (x * claw * 0.45, claw * 1.85, 0.01))
        b.cone(f"pincer{i}", "fore", low, high, claw * 0.46, 0.014, dark, mirror=True)
    for i, z in enumerate((0.07, -0.04, -0.14)):
        hip = (wide * 0.74, 0.19, z)
        knee, toe = add(hip, (0.14, 0.03, z * 0.3)), add(hip, (0.21, -0.16, z * 0.5))
        name = f"leg{i}"
        b.joint(name, "root", hip, mirror=True)
        b.limb(name, name, hip, knee, 0.036, 0.033, plain, mirror=True)
        b.limb(name + "_shin", name, knee, toe, 0.033, 0.018, dark, mirror=True)
    b.words["color"] = color.name
    dress(
        b,
        neck=body,
        neck_radius=wide,
        crown=add(body, (0, tall, -0.03)),
        kinds=("hat",),
        avoid=(color.name, *BRIGHT[:1]),
        probability=0.25,
    )
