"""Faces and dress: eyes, noses, mouths, cheeks, ears, scarves, hats and bows."""

from animate124.toybox.rig import Paint, Vec3
from animate124.toybox.species.build import Build, direction_rotation, on_ellipsoid
from animate124.toybox.species.palette import BLUSH, BRIGHT, INK, SNOW, darker, pick


def add(p: Vec3, d: Vec3, share: float = 1.0) -> Vec3:
    """p + share · d."""
    return tuple(a + share * b for a, b in zip(p, d, strict=True))


def eyes(
    b: Build,
    center: Vec3,
    size: Vec3,
    *,
    azimuth: float = 24.0,
    elevation: float = 8.0,
    radius: float = 0.045,
    white: bool = False,
    iris: Vec3 = INK,
    joint: str = "head",
    tall: float = 1.15,
) -> None:
    """A pair of eyes on the head ellipsoid; `white` puts a dark pupil on a white ball."""
    at, n = on_ellipsoid(center, size, azimuth, elevation)
    if white:
        b.ball("eye", joint, at, radius * 1.15, Paint(SNOW), mirror=True)
        n = (n[0] * 0.35, n[1] * 0.6, 1.0)  # both pupils look ahead
        length = sum(v * v for v in n) ** 0.5
        n = tuple(v / length for v in n)
        at = add(at, n, radius * 0.82)
        radius *= 0.72
    flat = (radius, radius * tall, radius * 0.7)
    b.ball("pupil", joint, at, flat, Paint(iris), mirror=True)
    for side, mark in ((1.0, ".l"), (-1.0, ".r")):
        spot = (side * at[0] + radius * 0.3, at[1] + radius * 0.45, at[2] + radius * 0.55)
        b.ball("glint" + mark, joint, spot, radius * 0.34, Paint((1.0, 1.0, 1.0)))


def smile(
    b: Build,
    center: Vec3,
    size: Vec3,
    *,
    elevation: float = -38.0,
    width: float = 16.0,
    joint: str = "head",
    thick: float = 0.011,
    paint: Vec3 = INK,
) -> None:
    """A smile drawn on an ellipsoid; `width` is half its width in degrees.

    Strokes of at most 20° keep to the surface; they rise with the square of the way out.
    """
    strokes = max(1, round(width / 20.0))
    points = []
    for i in range(strokes + 1):
        way = i / strokes
        rise = (6.0 + 0.22 * width) * (way * way if strokes > 1 else way)
        at, n = on_ellipsoid(center, size, way * width, elevation + rise)
        points.append(add(at, n, 0.002))
    points[0] = (0.001, *points[0][1:])
    for i in range(strokes):
        name = f"smile{i}"
        b.limb(name, joint, points[i], points[i + 1], thick, thick * 0.85, Paint(paint), True)


def nose(b: Build, at: Vec3, width: float, paint: Vec3 = INK, joint: str = "head") -> None:
    """A small wide nose with a glint."""
    b.ball("nose", joint, at, (width, width * 0.72, width * 0.7), Paint(paint))
    glint = (at[0] + width * 0.25, at[1] + width * 0.42, at[2] + width * 0.42)
    b.ball("nose_glint", joint, glint, width * 0.24, Paint(SNOW))


def muzzle(
    b: Build,
    center: Vec3,
    size: Vec3,
    paint: Vec3,
    *,
    drop: float = -20.0,
    width: float = 0.10,
    length: float = 0.09,
    nose_paint: Vec3 = INK,
    nose_width: float = 0.04,
    joint: str = "head",
) -> None:
    """A snout ball with nose and smile; `length` is how far it stands out."""
    at, _ = on_ellipsoid(center, size, 0.0, drop)
    at = add(at, (0.0, 0.0, 1.0), length * 0.25)
    ball = (width, width * 0.78, length)
    b.ball("muzzle", joint, at, ball, Paint(paint))
    tip, _ = on_ellipsoid(at, ball, 0.0, 32.0)
    nose(b, tip, nose_width, nose_paint, joint)
    smile(b, at, ball, elevation=-18.0, width=34.0, joint=joint)


def cheeks(
    b: Build,
    center: Vec3,
    size: Vec3,
    *,
    azimuth: float = 44.0,
    elevation: float = -16.0,
    radius: float = 0.035,
    paint: Vec3 = BLUSH,
    joint: str = "head",
) -> None:
    """A flat blushing spot on either cheek."""
    at, n = on_ellipsoid(center, size, azimuth, elevation)
    flat = (radius, radius * 0.28, radius * 0.8)
    b.ball("cheek", joint, at, flat, Paint(paint), direction_rotation(n), mirror=True)


def round_ears(
    b: Build,
    center: Vec3,
    size: Vec3,
    *,
    radius: float,
    outer: Vec3,
    inner: Vec3,
    azimuth: float = 90.0,
    elevation: float = 48.0,
) -> None:
    """Ball ears with a paler inside, on their own joints."""
    root, n = on_ellipsoid(center, size, azimuth, elevation)
    at = add(root, n, radius * 0.45)
    b.joint("ear", "head", root, mirror=True)
    b.ball("ear", "ear", at, (radius, radius, radius * 0.55), Paint(outer), mirror=True)
    front = (at[0], at[1], at[2] + radius * 0.32)
    flat = (radius * 0.62, radius * 0.62, radius * 0.32)
    b.ball("ear_in", "ear", front, flat, Paint(inner), mirror=True)


def pointed_ears(
    b: Build,
    center: Vec3,
    size: Vec3,
    *,
    height: float,
    width: float,
    outer: Vec3,
    inner: Vec3,
    tip: Vec3 | None = None,
    azimuth: float = 90.0,
    elevation: float = 52.0,
) -> None:
    """Cone ears (cat, fox) with a paler inside; `tip` darkens their upper third."""
    root, _ = on_ellipsoid(center, size, azimuth, elevation)
    base = (root[0] * 0.92, root[1] - height * 0.22, root[2])
    top = (root[0] + height * 0.28, root[1] + height * 0.9, root[2])
    b.joint("ear", "head", base, mirror=True)
    paint = Paint(outer)
    if tip is not None:
        paint = Paint(outer, tip, "two_tone", axis=(0.3, 1.0, 0.0), extent=0.42)
    b.cone("ear", "ear", base, top, width, width * 0.16, paint, mirror=True)
    low = (base[0], base[1] + height * 0.1, base[2] + width * 0.42)
    high = (top[0] * 0.97, top[1] - height * 0.28, top[2] + width * 0.16)
    b.cone("ear_in", "ear", low, high, width * 0.62, width * 0.1, Paint(inner), mirror=True)


def dress(
    b: Build,
    *,
    neck: Vec3,
    neck_radius: float,
    crown: Vec3,
    neck_joint: str = "chest",
    crown_joint: str = "head",
    tilt: float = 0.0,
    hat_radius: float = 0.11,
    avoid: tuple[str, ...] = (),
    kinds: tuple[str, ...] = ("scarf", "hat", "bow"),
    probability: float = 0.42,
) -> None:
    """Perhaps a scarf, a party hat or a bow tie, in a colour unlike those in `avoid`."""
    if not b.chance(probability):
        return
    kind = b.choose(kinds)
    color = pick(b.rng, BRIGHT, avoid)
    paint = Paint(color.rgb)
    b.words["accessory"] = f"{color.name} {kind}"
    x, y, z = neck
    if kind == "scarf":
        thick = 0.042
        b.part("scarf", neck_joint, "torus", (neck_radius, thick, 0.0), neck, paint, (tilt, 0, 0))
        end = (x + neck_radius * 0.45, y - 0.02, z + neck_radius * 0.98)
        low = (end[0] + 0.03, end[1] - 0.15, end[2] + 0.03)
        b.limb("scarf_end", neck_joint, end, low, thick * 0.9, thick * 1.1, paint)
    elif kind == "hat":
        base = add(crown, (0.0, -0.025, 0.0))
        top = add(crown, (0.0, hat_radius * 2.1, 0.0))
        b.part("hat_brim", crown_joint, "torus", (hat_radius, 0.022, 0.0), base, Paint(SNOW))
        cone = Paint(color.rgb, SNOW, "rings", scale=hat_radius * 0.8, extent=0.25)
        b.cone("hat", crown_joint, base, top, hat_radius, 0.02, cone)
        b.ball("hat_top", crown_joint, top, 0.04, Paint(SNOW))
    else:
        at = (x, y - 0.02, z + neck_radius * 1.02)
        b.ball("bow_knot", neck_joint, at, 0.034, Paint(darker(color.rgb, 0.15)))
        wing = (x + 0.062, at[1], at[2])
        b.ball("bow", neck_joint, wing, (0.06, 0.045, 0.028), paint, (0, 0, 20), mirror=True)
