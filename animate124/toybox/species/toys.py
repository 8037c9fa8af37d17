"""Toys that never lived: robot, snowman; and one that did, the dinosaur."""

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
from animate124.toybox.species.upright import dress_upright, upright

STEEL = (0.62, 0.65, 0.70)


def robot(b: Build) -> None:
    """Boxes on steel limbs, a dark screen face, antenna and a chest dial."""
    color = pick(b.rng, (*BRIGHT, "grey", "white"))
    second = pick(b.rng, BRIGHT, (color.name,))
    shell, trim = Paint(color.rgb), Paint(second.rgb)
    steel, dark = Paint(mix(STEEL, SNOW, b.uniform(0, 0.3))), Paint((0.13, 0.15, 0.20))
    bx, by, bz = b.uniform(0.18, 0.22), b.uniform(0.17, 0.21), b.uniform(0.13, 0.16)
    hx, hy, hz = b.uniform(0.19, 0.23), b.uniform(0.14, 0.17), b.uniform(0.14, 0.165)
    leg, stance = b.uniform(0.2, 0.26), bx * 0.55
    torso, top = (0.0, leg + by, 0.0), leg + 2 * by
    head = (0.0, top + 0.05 + hy, 0.0)
    b.joint("root", None, torso)
    b.joint("chest", "root", (0.0, leg + by * 0.3, 0.0))
    b.joint("head", "chest", (0.0, top + 0.02, 0.0))
    b.part("torso", "chest", "box", (bx, by, bz), torso, shell)
    b.ball("pelvis", "root", (0, leg + 0.02, 0), (bx * 0.72, 0.07, bz * 0.8), steel)
    b.rod("neck", "chest", (0, top - 0.02, 0), (0, top + 0.09, 0), 0.06, steel)
    b.part("head", "head", "box", (hx, hy, hz), head, shell)
    screen = (0.0, head[1], hz)
    b.part("screen", "head", "box", (hx * 0.82, hy * 0.72, 0.018), screen, dark)
    glow = Paint(mix(second.rgb, (1, 1, 1), 0.55))
    eye = (hx * 0.38, head[1] + hy * 0.16, hz + 0.018)
    if b.chance(0.5):
        b.ball("eye", "head", eye, (0.042, 0.05, 0.02), glow, mirror=True)
    else:
        b.part("eye", "head", "box", (0.04, 0.036, 0.016), eye, glow, mirror=True)
    mouth = (0.0, head[1] - hy * 0.36, hz + 0.016)
    b.part("mouth", "head", "box", (hx * 0.3, 0.014, 0.012), mouth, glow)
    b.joint("ear", "head", (hx, head[1], 0.0), mirror=True)
    side = (hx, head[1], 0.0)
    b.rod("ear", "ear", add(side, (-0.01, 0, 0)), add(side, (0.045, 0, 0)), 0.055, trim, True)
    tip = (0.0, head[1] + hy + 0.10, 0.0)
    b.joint("antenna", "head", (0.0, head[1] + hy, 0.0))
    b.rod("antenna", "antenna", (0, head[1] + hy - 0.01, 0), tip, 0.014, steel)
    b.ball("antenna_ball", "antenna", tip, b.uniform(0.035, 0.05), trim)
    dial = (0.0, torso[1] + by * 0.1, bz)
    b.part("panel", "chest", "box", (bx * 0.66, by * 0.6, 0.014), dial, Paint(lighter(color.rgb)))
    b.rod("dial", "chest", add(dial, (-0.05, 0.02, 0)), add(dial, (-0.05, 0.02, 0.03)), 0.04, trim)
    for i, tone in enumerate(((0.9, 0.25, 0.2), (0.98, 0.8, 0.2), (0.3, 0.75, 0.35))):
        b.ball(f"lamp{i}", "chest", add(dial, (0.06, 0.06 - 0.05 * i, 0.016)), 0.018, Paint(tone))
    b.part("pack", "chest", "box", (bx * 0.6, by * 0.62, 0.04), (0, torso[1], -bz - 0.02), trim)
    shoulder = (bx + 0.035, torso[1] + by * 0.62, 0.0)
    elbow = add(shoulder, (0.06, -0.14, 0.02))
    wrist = add(elbow, (0.02, -0.13, 0.06))
    b.joint("arm", "chest", shoulder, mirror=True)
    b.joint("fore", "arm", elbow, mirror=True)
    b.ball("shoulder", "arm", shoulder, 0.064, trim, mirror=True)
    b.limb("arm", "arm", shoulder, elbow, 0.036, 0.036, steel, mirror=True)
    b.cone("fore", "fore", elbow, wrist, 0.042, 0.062, shell, mirror=True)
    b.ball("hand", "fore", add(wrist, (0, -0.02, 0.01)), 0.055, steel, mirror=True)
    hip, ankle = (stance, leg, 0.0), (stance, 0.06, 0.0)
    b.joint("leg", "root", hip, mirror=True)
    b.limb("leg", "leg", hip, ankle, 0.045, 0.045, steel, mirror=True)
    b.ball("knee", "leg", (stance, leg * 0.55, 0.0), 0.056, trim, mirror=True)
    b.part("foot", "leg", "box", (0.075, 0.05, 0.115), (stance, 0.05, 0.035), shell, mirror=True)
    b.words["color"] = color.name
    b.words["pattern"] = f"{second.name} ears"


def snowman(b: Build) -> None:
    """Three snowballs, carrot nose, coal buttons, twig arms; always dressed."""
    white = Paint(mix(SNOW, (0.84, 0.92, 1.0), b.uniform(0.0, 0.7)))
    low, mid, top = b.uniform(0.24, 0.27), b.uniform(0.19, 0.22), b.uniform(0.165, 0.19)
    body = (0.0, low * 1.66 + mid * 0.62, 0.0)
    head = (0.0, body[1] + mid * 0.72 + top * 0.72, 0.0)
    b.joint("root", None, body)
    b.joint("chest", "root", (0.0, low * 1.5, 0.0))
    b.joint("head", "chest", (0.0, body[1] + mid * 0.8, 0.0))
    b.ball("base", "root", (0.0, low * 0.88, 0.0), (low * 1.06, low * 0.92, low * 1.06), white)
    b.ball("torso", "chest", body, mid, white)
    b.ball("head", "head", head, top, white)
    size = (top, top, top)
    eyes(b, head, size, azimuth=25.0, elevation=16.0, radius=0.034, tall=1.0)
    at, _ = on_ellipsoid(head, size, 0.0, -2.0)
    carrot = Paint((0.96, b.uniform(0.45, 0.55), 0.12))
    tip = add(at, (0.0, -0.015, b.uniform(0.15, 0.2)))
    b.cone("nose", "head", add(at, (0, 0, -0.02)), tip, 0.042, 0.012, carrot)
    smile(b, head, size, elevation=-36.0, width=26.0, thick=0.013)
    cheeks(b, head, size, azimuth=48.0, radius=0.03)
    for i, up in enumerate((32.0, 2.0, -28.0)):
        spot, _ = on_ellipsoid(body, (mid, mid, mid), 0.0, up)
        b.ball(f"button{i}", "chest", spot, 0.026, Paint(INK))
    twig = Paint((0.36, 0.24, 0.15))
    shoulder = (mid * 0.85, body[1] + mid * 0.3, 0.0)
    elbow = add(shoulder, (0.12, 0.03, 0.03))
    hand = add(elbow, (0.10, 0.07, 0.04))
    b.joint("arm", "chest", shoulder, mirror=True)
    b.joint("fore", "arm", elbow, mirror=True)
    b.limb("arm", "arm", shoulder, elbow, 0.024, 0.021, twig, mirror=True)
    b.limb("fore", "fore", elbow, hand, 0.021, 0.018, twig, mirror=True)
    for i, d in enumerate(((0.05, 0.03, 0.0), (0.015, 0.06, 0.01), (0.05, -0.015, 0.02))):
        b.limb(f"finger{i}", "fore", hand, add(hand, d), 0.017, 0.014, twig, mirror=True)
    hat = Paint((0.12, 0.12, 0.15))
    band = pick(b.rng, BRIGHT)
    crown = add(head, (0.0, top * 0.86, 0.0))
    if b.chance(0.6):
        b.rod("hat_brim", "head", crown, add(crown, (0, 0.03, 0)), top * 0.98, hat)
        b.rod("hat", "head", crown, add(crown, (0, 0.19, 0)), top * 0.62, hat)
        ribbon = add(crown, (0, 0.03, 0))
        b.rod("hat_band", "head", ribbon, add(ribbon, (0, 0.05, 0)), top * 0.645, Paint(band.rgb))
    dress(
        b,
        neck=(0.0, body[1] + mid * 0.74, 0.0),
        neck_radius=mid * 0.76,
        crown=crown,
        kinds=("scarf",),
        probability=1.0,
    )


def dinosaur(b: Build) -> None:
    """Big jaw, tiny arms, strong legs, a thick tail and plates down the back."""
    color = pick(b.rng, ("green", "turquoise", "purple", "orange", "blue", "red"))
    plates = pick(b.rng, ("yellow", "orange", "red", "pink", "turquoise"), (color.name,))
    pale = mix(color.rgb, CREAM, 0.72)
    pattern = b.choose(("plain", "stripes", "spots"))
    mark = darker(color.rgb, 0.35)
    skin = Paint(color.rgb)
    if pattern != "plain":
        skin = Paint(color.rgb, mark, pattern, scale=0.12, axis=(0.0, 0.3, 1.0), extent=0.4)
    chest = Paint(color.rgb, pale, "belly", axis=(0.0, -0.15, 1.0), extent=0.46)
    f = upright(
        b,
        skin=skin,
        chest=chest,
        head=Paint(color.rgb),
        arms=Paint(color.rgb),
        hands=Paint(color.rgb),
        torso_size=(0.185, 0.24, 0.18),
        head_size=(0.19, 0.18, 0.21),
        arm=0.20,
        arm_radius=0.043,
        leg=0.19,
        leg_radius=0.095,
        stance=0.125,
        foot_size=(0.095, 0.055, 0.14),
    )
    jaw = add(f.head, (0.0, -0.045, 0.15))
    snout = (0.15, 0.105, 0.145)
    b.ball("muzzle", "head", jaw, snout, Paint(color.rgb))
    smile(b, jaw, snout, elevation=-16.0, width=62.0, thick=0.012)
    for i, turn in enumerate((16.0, 42.0)):
        tooth, _ = on_ellipsoid(jaw, snout, turn, -16.0)
        b.cone(
            f"tooth{i}",
            "head",
            tooth,
            add(tooth, (0, -0.045, 0.0)),
            0.017,
            0.004,
            Paint(SNOW),
            True,
        )
    nostril, _ = on_ellipsoid(jaw, snout, 16.0, 40.0)
    b.ball("nostril", "head", nostril, 0.016, Paint(darker(color.rgb, 0.6)), mirror=True)
    eyes(b, f.head, f.head_size, azimuth=40.0, elevation=30.0, radius=0.05, white=True)
    back = f.torso_size[2]
    start = (0.0, f.hips + 0.10, -back * 0.55)
    mid = add(start, (0.0, -0.08, -0.24))
    end = add(mid, (0.0, 0.02, -0.22))
    b.joint("tail", "root", start)
    b.joint("tail2", "tail", mid)
    b.limb("tail", "tail", start, mid, 0.145, 0.085, skin)
    b.limb("tail2", "tail2", mid, end, 0.085, 0.03, Paint(color.rgb))
    spike = Paint(plates.rgb)
    row = [
        ("head", on_ellipsoid(f.head, f.head_size, 180.0, 88.0)),
        ("head", on_ellipsoid(f.head, f.head_size, 180.0, 38.0)),
        ("chest", on_ellipsoid(f.torso, f.torso_size, 180.0, 32.0)),
        ("chest", on_ellipsoid(f.torso, f.torso_size, 180.0, -8.0)),
        ("tail", (add(start, (0.0, 0.10, -0.12)), (0.0, 0.9, -0.3))),
        ("tail2", (add(mid, (0.0, 0.06, -0.06)), (0.0, 1.0, -0.1))),
    ]
    for i, (joint, (at, n)) in enumerate(row):
        tall = (0.10, 0.11, 0.12, 0.12, 0.10, 0.08)[i]
        b.cone(f"plate{i}", joint, add(at, n, -0.02), add(at, n, tall), 0.055, 0.008, spike)
    b.words["color"] = color.name
    b.words["pattern"] = f"{plates.name} spikes"
    dress_upright(b, f, color.name, plates.name, kinds=("scarf", "bow"), probability=0.25)
