"""Toys with beaks and wings: penguin, duck, bird, owl; and the bee, which flies too."""

from animate124.toybox.rig import Paint, Vec3
from animate124.toybox.species.build import Build, on_ellipsoid
from animate124.toybox.species.face import add, cheeks, dress, eyes, smile
from animate124.toybox.species.palette import (
    CREAM,
    INK,
    SNOW,
    darker,
    lighter,
    mix,
    pick,
)

BEAK: Vec3 = (0.98, 0.62, 0.14)


def _beak(b: Build, head: Vec3, size: Vec3, length: float, width: float, paint: Paint) -> None:
    """A short cone beak with a darker lower half."""
    at, _ = on_ellipsoid(head, size, 0.0, -6.0)
    back = add(at, (0, 0, -0.04))
    b.cone("beak", "head", back, add(at, (0, -0.01, length)), width, width * 0.12, paint)
    under = Paint(darker(paint.base, 0.22))
    low = add(back, (0, -width * 0.45, 0))
    b.cone("beak_low", "head", low, add(low, (0, 0.0, length * 0.85)), width * 0.7, 0.01, under)


def _wings(
    b: Build, shoulder: Vec3, length: float, width: float, paint: Paint, tip: Paint, out: float
) -> None:
    """Flat wings of two joints hanging at the sides, `out` per unit of length from the body."""
    elbow = add(shoulder, (out * 0.5, -0.48, -0.05), length)
    end = add(elbow, (out * 0.3, -0.42, -0.12), length)
    b.joint("wing", "root", shoulder, mirror=True)
    b.joint("wingtip", "wing", elbow, mirror=True)
    tilt = (-8.0, 0.0, 57.0 * out * 0.9)
    upper = tuple((p + q) / 2 for p, q in zip(shoulder, elbow, strict=True))
    lower = tuple((p + q) / 2 for p, q in zip(elbow, end, strict=True))
    flat = (0.036, length * 0.34, width)
    b.ball("wing", "wing", upper, flat, paint, tilt, mirror=True)
    flat = (0.03, length * 0.33, width * 0.82)
    b.ball("wingtip", "wingtip", lower, flat, tip, tilt, mirror=True)


def _feet(b: Build, x: float, hip: float, paint: Paint, size: float = 0.085) -> None:
    """Short legs with three-toed feet."""
    b.joint("leg", "root", (x, hip, 0.0), mirror=True)
    b.limb("leg", "leg", (x, hip, 0.0), (x, 0.03, 0.0), 0.032, 0.026, paint, mirror=True)
    for i, side in enumerate((-0.5, 0.0, 0.5)):
        toe = (x + side * size, 0.024, size * (1.15 if side == 0 else 0.95))
        b.limb(f"toe{i}", "leg", (x, 0.028, 0.0), toe, 0.028, 0.024, paint, mirror=True)


def penguin(b: Build) -> None:
    """Dark back, white front and face, flippers, orange beak and feet."""
    coat = pick(b.rng, ("black", "black", "blue", "grey", "purple"))
    dark = coat.rgb
    wide, tall = b.uniform(0.22, 0.26), b.uniform(0.29, 0.34)
    white, orange = mix(SNOW, CREAM, b.uniform(0, 0.4)), Paint(BEAK)
    front = Paint(dark, white, "belly", axis=(0.0, -0.15, 1.0), extent=0.55)
    body = (0.0, 0.08 + tall, 0.0)
    big = b.uniform(0.19, 0.225)
    size = (big * 1.08, big, big)
    head = (0.0, body[1] + tall * 0.72 + big * 0.45, 0.02)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, body[1] + tall * 0.6, 0.0))
    b.ball("torso", "root", body, (wide, tall, wide * 0.92), front)
    b.ball("head", "head", head, size, Paint(dark))
    mask, _ = on_ellipsoid(head, size, 19.0, -6.0)
    mask = add(mask, (0, 0, -0.07))
    b.ball("mask", "head", mask, (0.095, 0.12, 0.09), Paint(white), mirror=True)
    near = add(head, (0, 0, 0.012))
    eyes(b, near, size, azimuth=23.0, elevation=6.0, radius=0.038)
    _beak(b, head, size, b.uniform(0.07, 0.11), 0.052, orange)
    cheeks(b, near, size, azimuth=38.0, elevation=-18.0, radius=0.03)
    wing = Paint(dark)
    _wings(b, (wide * 0.84, body[1] + tall * 0.42, 0.0), tall * 1.12, 0.085, wing, wing, 0.5)
    b.joint("leg", "root", (0.1, 0.12, 0.0), mirror=True)
    b.limb("leg", "leg", (0.1, 0.13, 0.0), (0.105, 0.05, 0.02), 0.06, 0.05, orange, mirror=True)
    b.ball("foot", "leg", (0.112, 0.035, 0.075), (0.085, 0.038, 0.115), orange, mirror=True)
    b.joint("tail", "root", (0.0, 0.17, -wide * 0.75))
    b.cone("tail", "tail", (0, 0.17, -wide * 0.7), (0, 0.07, -wide * 1.1), 0.08, 0.015, wing)
    b.words["color"] = coat.name
    around = (0.0, body[1] + tall * 0.62, 0.0)
    crown = (0.0, head[1] + big, head[2])
    dress(
        b,
        neck=around,
        neck_radius=wide * 0.78,
        crown=crown,
        neck_joint="root",
        avoid=(coat.name,),
        probability=0.5,
    )


def duck(b: Build) -> None:
    """A low boat of a body, long neck, flat orange bill and an upturned tail."""
    color = pick(b.rng, ("yellow", "yellow", "white", "white", "brown"))
    coat, bill = Paint(color.rgb), Paint(mix(BEAK, (0.95, 0.45, 0.1), b.uniform(0, 0.6)))
    mallard = color.name == "brown"
    hood = Paint((0.10, 0.42, 0.28)) if mallard else coat
    wide, tall, long = b.uniform(0.19, 0.22), b.uniform(0.17, 0.2), b.uniform(0.26, 0.3)
    body = (0.0, 0.16 + tall, 0.0)
    big = b.uniform(0.155, 0.18)
    size = (big * 1.05, big, big)
    head = (0.0, body[1] + tall + big * 1.0, long * 0.55)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, body[1] + tall * 0.5, long * 0.5))
    b.ball("torso", "root", body, (wide, tall, long), coat)
    b.ball("breast", "root", add(body, (0, 0.02, long * 0.4)), (wide * 0.88, tall, 0.16), coat)
    low = add(body, (0.0, tall * 0.45, long * 0.5))
    b.limb("neck", "head", low, head, 0.105, 0.09, hood)
    if mallard:
        collar = add(low, (0.0, 0.075, 0.0))
        b.part("collar", "head", "torus", (0.085, 0.026, 0.0), collar, Paint(SNOW))
        b.words["pattern"] = "a green head"
    b.ball("head", "head", head, size, hood)
    at, _ = on_ellipsoid(head, size, 0.0, -12.0)
    b.ball("bill", "head", add(at, (0, 0.0, 0.045)), (0.088, 0.028, 0.10), bill, (-8, 0, 0))
    under = Paint(darker(bill.base, 0.2))
    b.ball("bill_low", "head", add(at, (0, -0.03, 0.03)), (0.07, 0.02, 0.08), under, (6, 0, 0))
    eyes(b, head, size, azimuth=33.0, elevation=16.0, radius=0.038)
    cheeks(b, head, size, azimuth=52.0, elevation=-10.0, radius=0.028)
    wing = Paint(
        mix(color.rgb, (0.75, 0.55, 0.2), 0.22)
        if color.name == "yellow"
        else darker(color.rgb, 0.12)
    )
    shoulder = (wide * 0.86, body[1] + tall * 0.5, 0.03)
    mid, end = add(shoulder, (0.035, -0.06, -0.13)), add(shoulder, (0.03, -0.05, -0.28))
    b.joint("wing", "root", shoulder, mirror=True)
    b.joint("wingtip", "wing", mid, mirror=True)
    upper = add(shoulder, (0.02, -0.04, -0.06))
    b.ball("wing", "wing", upper, (0.035, 0.105, 0.14), wing, (10, 0, 0), mirror=True)
    lower = tuple((p + q) / 2 for p, q in zip(mid, end, strict=True))
    b.ball("wingtip", "wingtip", lower, (0.028, 0.075, 0.12), wing, (16, 0, 0), mirror=True)
    rear = (0.0, body[1] + tall * 0.25, -long * 0.8)
    b.joint("tail", "root", rear)
    b.cone("tail", "tail", rear, add(rear, (0, 0.14, -0.14)), 0.10, 0.02, coat)
    _feet(b, 0.085, body[1] - tall * 0.6, bill, 0.1)
    b.words["color"] = color.name
    crown = (0.0, head[1] + big, head[2])
    neck = add(low, (0.0, 0.07, 0.0))
    kinds = ("hat", "bow") if mallard else ("hat", "bow", "scarf")
    dress(
        b,
        neck=neck,
        neck_radius=0.105,
        crown=crown,
        neck_joint="head",
        kinds=kinds,
        avoid=(color.name, "orange"),
        hat_radius=0.085,
    )


def bird(b: Build) -> None:
    """A round songbird with a crest, pale breast, two-tone wings and a fan tail."""
    color = pick(b.rng, ("red", "blue", "yellow", "green", "turquoise", "purple", "pink"))
    second = pick(b.rng, ("yellow", "white", "blue", "orange", "red"), (color.name,))
    wide, tall = b.uniform(0.22, 0.25), b.uniform(0.23, 0.26)
    coat = Paint(color.rgb, lighter(second.rgb, 0.35), "belly", axis=(0, -0.25, 1), extent=0.46)
    body = (0.0, 0.17 + tall, 0.0)
    big = b.uniform(0.19, 0.215)
    size = (big * 1.05, big, big)
    head = (0.0, body[1] + tall * 0.75 + big * 0.5, 0.05)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, body[1] + tall * 0.6, 0.03))
    b.ball("torso", "root", body, (wide, tall, wide * 1.05), coat)
    b.ball("head", "head", head, size, Paint(color.rgb))
    eyes(b, head, size, azimuth=28.0, elevation=10.0, radius=0.05, white=b.chance(0.5))
    _beak(b, head, size, b.uniform(0.09, 0.13), 0.05, Paint(BEAK))
    cheeks(b, head, size, azimuth=48.0)
    top = (0.0, head[1] + big * 0.9, head[2])
    b.joint("crest", "head", top)
    for i, lean in enumerate((0.05, -0.01, -0.07)):
        end = add(top, (0.0, 0.13 - 0.02 * i, lean - 0.02))
        b.cone(
            f"crest{i}",
            "crest",
            add(top, (0, -0.03, lean * 0.4)),
            end,
            0.042,
            0.012,
            Paint(second.rgb),
        )
    dark = Paint(darker(color.rgb, 0.2))
    _wings(
        b,
        (wide * 0.86, body[1] + tall * 0.4, 0.0),
        tall * 1.45,
        0.12,
        dark,
        Paint(second.rgb),
        0.55,
    )
    rear = (0.0, body[1] - tall * 0.3, -wide * 0.85)
    b.joint("tail", "root", rear)
    for i, x in enumerate((-0.055, 0.0, 0.055)):
        end = add(rear, (x * 1.6, -0.02, -0.22))
        b.limb(
            f"tail{i}",
            "tail",
            add(rear, (x * 0.4, 0, 0.05)),
            end,
            0.04,
            0.045,
            Paint(second.rgb) if i == 1 else dark,
        )
    _feet(b, 0.09, body[1] - tall * 0.75, Paint(BEAK), 0.1)
    b.words["color"] = color.name
    b.words["pattern"] = f"{second.name} wing tips"


def owl(b: Build) -> None:
    """Huge eyes in pale discs, ear tufts, a scaly breast."""
    color = pick(b.rng, ("brown", "grey", "tan", "purple", "white", "blue"))
    pale = lighter(color.rgb, 0.62) if color.name != "white" else CREAM
    coat = Paint(color.rgb)
    wide, tall = b.uniform(0.22, 0.25), b.uniform(0.24, 0.27)
    scales = Paint(pale, darker(pale, 0.28), "checks", scale=0.085)
    body = (0.0, 0.09 + tall, 0.0)
    size = (wide * 1.02, 0.20, 0.20)
    head = (0.0, body[1] + tall * 0.75 + 0.08, 0.01)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, body[1] + tall * 0.55, 0.0))
    b.ball("torso", "root", body, (wide, tall, wide * 0.9), coat)
    front = (wide * 0.74, tall * 0.78, wide * 0.5)
    b.ball("breast", "root", add(body, (0, -0.03, wide * 0.46)), front, scales)
    b.ball("head", "head", head, size, coat)
    at, n = on_ellipsoid(head, size, 26.0, 4.0)
    disc = b.uniform(0.105, 0.12)
    b.ball(
        "disc",
        "head",
        add(at, (0, 0, -0.012)),
        (disc, disc, 0.05),
        Paint(pale),
        (0, 22, 0),
        mirror=True,
    )
    iris = Paint(b.choose(((0.98, 0.76, 0.15), (0.96, 0.55, 0.12))))
    ring = add(at, (n[0] * 0.4, 0, n[2]), 0.028)
    b.ball("iris", "head", ring, (0.07, 0.07, 0.034), iris, (0, 14, 0), mirror=True)
    black = add(ring, (0.0, 0.0, 0.022))
    b.ball("pupil", "head", black, (0.044, 0.044, 0.026), Paint(INK), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * black[0] + 0.016, black[1] + 0.02, black[2] + 0.02)
        b.ball("glint" + mark, "head", spot, 0.015, Paint((1.0, 1.0, 1.0)))
    mid, _ = on_ellipsoid(head, size, 0.0, -14.0)
    b.cone(
        "beak",
        "head",
        add(mid, (0, 0.03, -0.01)),
        add(mid, (0, -0.07, 0.045)),
        0.042,
        0.008,
        Paint(BEAK),
    )
    tuft, _ = on_ellipsoid(head, size, 90.0, 52.0)
    b.joint("ear", "head", tuft, mirror=True)
    end = add(tuft, (0.07, 0.13, 0.01))
    b.cone(
        "ear", "ear", add(tuft, (-0.03, -0.04, 0)), end, 0.07, 0.012, Paint(darker(color.rgb)), True
    )
    wing = Paint(darker(color.rgb, 0.2))
    _wings(b, (wide * 0.88, body[1] + tall * 0.4, 0.0), tall * 1.5, 0.12, wing, wing, 0.42)
    _feet(b, 0.095, 0.12, Paint(BEAK), 0.085)
    b.joint("tail", "root", (0.0, 0.16, -wide * 0.7))
    b.limb("tail", "tail", (0, 0.17, -wide * 0.7), (0, 0.07, -wide * 1.15), 0.07, 0.06, wing)
    b.words["color"] = color.name


def bee(b: Build) -> None:
    """Striped body, glassy wings, antennae and a sting."""
    yellow = pick(b.rng, ("yellow",)).rgb
    stripes = Paint(
        yellow,
        mix(INK, (0.3, 0.2, 0.1), b.uniform(0, 0.5)),
        "stripes",
        scale=b.uniform(0.15, 0.19),
        axis=(0, 0.25, 1),
        extent=0.5,
    )
    dark, glass = Paint((0.13, 0.10, 0.09)), Paint(mix((0.80, 0.92, 1.0), SNOW, b.uniform(0, 0.6)))
    wide, long = b.uniform(0.2, 0.23), b.uniform(0.26, 0.3)
    body = (0.0, 0.32, -0.12)
    big = b.uniform(0.185, 0.21)
    size = (big * 1.06, big, big)
    head = (0.0, 0.42, long * 0.72)
    b.joint("root", None, body)
    b.joint("head", "root", (0.0, 0.38, long * 0.4))
    b.joint("tail", "root", add(body, (0, 0, -0.05)))
    b.ball("abdomen", "tail", body, (wide, wide * 0.98, long), stripes, (-8, 0, 0))
    sting = add(body, (0, -0.03, -long * 0.92))
    b.cone("sting", "tail", sting, add(sting, (0, -0.02, -0.13)), 0.045, 0.006, dark)
    b.ball(
        "thorax",
        "root",
        add(body, (0, 0.05, long * 0.7)),
        (wide * 0.8, wide * 0.8, 0.14),
        Paint(mix(yellow, (0.8, 0.5, 0.1), 0.35)),
    )
    b.ball("head", "head", head, size, Paint(yellow))
    eyes(b, head, size, azimuth=32.0, elevation=8.0, radius=0.056, tall=1.25)
    smile(b, head, size, elevation=-34.0, width=24.0, thick=0.013)
    cheeks(b, head, size, azimuth=42.0, elevation=-20.0)
    root, _ = on_ellipsoid(head, size, 40.0, 64.0)
    b.joint("ear", "head", root, mirror=True)
    tip = add(root, (0.055, 0.14, 0.06))
    b.limb("antenna", "ear", root, tip, 0.015, 0.013, dark, mirror=True)
    b.ball("antenna_tip", "ear", tip, 0.034, dark, mirror=True)
    shoulder = add(body, (0.07, wide * 0.75, 0.12))
    mid = add(shoulder, (0.10, 0.12, -0.03))
    b.joint("wing", "root", shoulder, mirror=True)
    b.joint("wingtip", "wing", mid, mirror=True)
    b.ball(
        "wing",
        "wing",
        add(shoulder, (0.07, 0.085, -0.02)),
        (0.14, 0.03, 0.085),
        glass,
        (0, 15, 50),
        mirror=True,
    )
    b.ball(
        "wingtip",
        "wingtip",
        add(mid, (0.08, 0.08, -0.03)),
        (0.15, 0.026, 0.11),
        glass,
        (0, 15, 47),
        mirror=True,
    )
    for i, z in enumerate((0.16, 0.06, -0.04)):
        hip = add(body, (wide * 0.55, -wide * 0.7, z))
        name = "leg" if i == 0 else f"foot{i}"
        b.joint(name, "root", hip, mirror=True)
        b.limb(name, name, hip, add(hip, (0.045, -0.12, 0.03)), 0.027, 0.022, dark, mirror=True)
    b.words["pattern"] = "dark stripes"
    dress(
        b,
        neck=head,
        neck_radius=0.1,
        crown=(0.0, head[1] + big, head[2]),
        kinds=("hat",),
        avoid=("yellow",),
        probability=0.3,
        hat_radius=0.085,
    )
