"""Toys on wheels: car and train."""

from animate124.toybox.rig import Paint
from animate124.toybox.species.build import Build
from animate124.toybox.species.face import add
from animate124.toybox.species.palette import (
    BRIGHT,
    INK,
    SNOW,
    lighter,
    mix,
    pick,
)

RUBBER = Paint((0.14, 0.14, 0.16))
GLASS = Paint((0.62, 0.84, 0.95))


def _wheel(b: Build, name: str, at: tuple, radius: float, width: float, hub: Paint) -> None:
    """A tyre with a hub and four nuts, turning about x on its own joint."""
    x, y, z = at
    b.joint(name, "root", at, mirror=True)
    b.rod(name, name, (x - width / 2, y, z), (x + width / 2, y, z), radius, RUBBER, mirror=True)
    face = x + width / 2
    b.rod(name + "_hub", name, (x, y, z), (face + 0.012, y, z), radius * 0.56, hub, mirror=True)
    for i, (dy, dz) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
        nut = (face + 0.012, y + dy * radius * 0.34, z + dz * radius * 0.34)
        b.ball(f"{name}_nut{i}", name, nut, radius * 0.12, Paint(INK), mirror=True)


def car(b: Build) -> None:
    """A round little car: cabin with windows, headlight eyes, grille smile, turning wheels."""
    color = pick(b.rng, (*BRIGHT, "white"))
    second = pick(b.rng, ("white", *BRIGHT), (color.name,))
    shell, roof = Paint(color.rgb), Paint(second.rgb if b.chance(0.5) else color.rgb)
    wide, low, long = b.uniform(0.23, 0.26), b.uniform(0.115, 0.135), b.uniform(0.38, 0.42)
    radius = b.uniform(0.105, 0.125)
    y = radius * 1.25 + low * 0.6
    b.joint("root", None, (0.0, y, 0.0))
    b.joint("chest", "root", (0.0, y - 0.05, -long * 0.4))
    b.part("frame", "root", "box", (wide * 0.82, 0.05, long * 0.86), (0, radius, 0), RUBBER)
    b.part("torso", "chest", "box", (wide, low, long), (0.0, y, 0.0), shell)
    b.ball(
        "hood",
        "chest",
        (0, y + low * 0.55, long * 0.5),
        (wide * 0.94, low * 0.8, long * 0.5),
        shell,
    )
    b.ball(
        "boot",
        "chest",
        (0, y + low * 0.4, -long * 0.55),
        (wide * 0.94, low * 0.8, long * 0.44),
        shell,
    )
    tall = b.uniform(0.13, 0.16)
    cabin = (0.0, y + low + tall * 0.72, -long * 0.12)
    cx, cz = wide * 0.8, long * 0.46
    b.part("cabin", "chest", "box", (cx, tall, cz), cabin, roof)
    b.ball(
        "roof", "chest", add(cabin, (0, tall * 0.72, 0)), (cx * 1.02, tall * 0.5, cz * 1.04), roof
    )
    pane = add(cabin, (0, tall * 0.02, cz))
    b.part("windshield", "chest", "box", (cx * 0.82, tall * 0.62, 0.014), pane, GLASS)
    pane = add(cabin, (0, tall * 0.02, -cz))
    b.part("rear_window", "chest", "box", (cx * 0.78, tall * 0.58, 0.014), pane, GLASS)
    pane = (cx, cabin[1] + tall * 0.02, cabin[2])
    b.part("window", "chest", "box", (0.014, tall * 0.6, cz * 0.74), pane, GLASS, mirror=True)
    lamp = (wide * 0.60, y + low * 0.42, long * 0.985)
    b.ball("lamp", "chest", lamp, (0.075, 0.075, 0.045), Paint(SNOW), mirror=True)
    pupil = add(lamp, (-0.008, 0.0, 0.034))
    b.ball("pupil", "chest", pupil, (0.036, 0.04, 0.02), Paint(INK), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * pupil[0] + 0.012, pupil[1] + 0.018, pupil[2] + 0.014)
        b.ball("glint" + mark, "chest", spot, 0.012, Paint((1.0, 1.0, 1.0)))
    chrome = Paint((0.80, 0.82, 0.86))
    bumper = (wide * 0.9, y - low * 0.72, long + 0.015)
    b.limb("bumper", "chest", (-bumper[0], *bumper[1:]), bumper, 0.036, 0.036, chrome)
    back = (bumper[0], bumper[1], -bumper[2])
    b.limb("bumper_rear", "chest", (-back[0], *back[1:]), back, 0.036, 0.036, chrome)
    grin = (0.001, y - low * 0.22, long + 0.002)
    b.limb(
        "grille", "chest", grin, (wide * 0.34, y - low * 0.04, long), 0.02, 0.016, Paint(INK), True
    )
    tail = (wide * 0.72, y + low * 0.35, -long)
    b.ball("tail_lamp", "chest", tail, (0.05, 0.04, 0.025), Paint((0.86, 0.14, 0.12)), mirror=True)
    hub = Paint(mix(second.rgb, (0.85, 0.87, 0.9), 0.4))
    for name, z in (("wheel", long * 0.62), ("rear_wheel", -long * 0.62)):
        _wheel(b, name, (wide * 0.94, radius, z), radius, 0.085, hub)
    b.words["color"] = color.name
    if roof.base != color.rgb:
        b.words["pattern"] = f"a {second.name} roof"


def train(b: Build) -> None:
    """A steam engine: boiler, funnel with a puff of steam, cab, lamp and six wheels."""
    color = pick(b.rng, BRIGHT)
    second = pick(b.rng, BRIGHT, (color.name,))
    shell, trim = Paint(color.rgb), Paint(second.rgb)
    brass = Paint((0.93, 0.74, 0.28))
    wide, long, big = b.uniform(0.17, 0.19), b.uniform(0.38, 0.42), b.uniform(0.15, 0.17)
    radius = 0.088
    y = 0.16 + big
    b.joint("root", None, (0.0, y, 0.0))
    b.joint("chest", "root", (0.0, 0.16, -long * 0.4))
    b.part("frame", "root", "box", (wide * 0.86, 0.045, long), (0.0, 0.14, 0.0), RUBBER)
    b.rod("torso", "chest", (0, y, -long * 0.3), (0, y, long * 0.88), big, shell)
    for i, z in enumerate((0.12, 0.5)):
        b.rod(f"hoop{i}", "chest", (0, y, long * z), (0, y, long * z + 0.03), big * 1.04, brass)
    b.rod(
        "face",
        "chest",
        (0, y, long * 0.86),
        (0, y, long * 0.93),
        big * 0.92,
        Paint((0.2, 0.2, 0.23)),
    )
    plate = lighter((0.7, 0.72, 0.76), 0.4)
    b.ball("face_plate", "chest", (0, y, long * 0.93), (big * 0.76, big * 0.76, 0.03), Paint(plate))
    eye = (big * 0.32, y + big * 0.16, long * 0.95)
    b.ball("pupil", "chest", eye, (0.034, 0.042, 0.024), Paint(INK), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * eye[0] + 0.01, eye[1] + 0.018, eye[2] + 0.018)
        b.ball("glint" + mark, "chest", spot, 0.012, Paint((1.0, 1.0, 1.0)))
    grin = (0.001, y - big * 0.36, long * 0.965)
    b.limb(
        "smile",
        "chest",
        grin,
        (big * 0.34, y - big * 0.24, long * 0.955),
        0.012,
        0.01,
        Paint(INK),
        mirror=True,
    )
    tall = b.uniform(0.2, 0.23)
    cab = (0.0, 0.18 + tall, -long * 0.62)
    b.part("cab", "chest", "box", (wide, tall, long * 0.34), cab, shell)
    b.part("roof", "chest", "box", (wide * 1.2, 0.026, long * 0.42), add(cab, (0, tall, 0)), trim)
    pane = (wide, cab[1] + tall * 0.36, cab[2])
    b.part("window", "chest", "box", (0.012, tall * 0.34, long * 0.2), pane, GLASS, mirror=True)
    pane = add(cab, (0, tall * 0.36, -long * 0.34))
    b.part("rear_window", "chest", "box", (wide * 0.6, tall * 0.32, 0.012), pane, GLASS)
    pipe = (0.0, y + big * 0.85, long * 0.62)
    b.joint("antenna", "chest", pipe)
    b.cone("funnel", "antenna", pipe, add(pipe, (0, 0.17, 0)), 0.052, 0.08, trim)
    b.rod("funnel_rim", "antenna", add(pipe, (0, 0.16, 0)), add(pipe, (0, 0.19, 0)), 0.09, brass)
    puff = Paint(SNOW)
    for i, (dy, dz, size) in enumerate(((0.24, -0.01, 0.06), (0.30, -0.07, 0.068))):
        b.ball(f"steam{i}", "antenna", add(pipe, (0, dy, dz)), size, puff)
    b.ball("dome", "chest", (0, y + big * 0.95, long * 0.18), (0.062, 0.085, 0.062), brass)
    fender = (0.0, 0.10, long * 1.02)
    b.cone(
        "fender",
        "root",
        add(fender, (0, 0.0, -0.07)),
        add(fender, (0, -0.045, 0.06)),
        0.10,
        0.03,
        trim,
    )
    hub = Paint(mix(second.rgb, SNOW, 0.2))
    for name, z in (("wheel", 0.62), ("mid_wheel", 0.08), ("rear_wheel", -0.6)):
        size = radius * (1.25 if name == "rear_wheel" else 1.0)
        _wheel(b, name, (wide * 0.95, size, long * z), size, 0.055, hub)
    b.words["color"] = color.name
    b.words["pattern"] = f"a {second.name} roof"
