"""Colours with names: the name in a caption is the colour on the screen, by construction."""

import colorsys
from dataclasses import dataclass

import numpy as np

from animate124.toybox.rig import Vec3

# Hue in degrees (may run below 0), saturation and value in [0, 1]: (low, high) each.
COLORS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-6.0, 5.0), (0.76, 0.90), (0.76, 0.92)),
    "red-brown": ((9.0, 16.0), (0.68, 0.80), (0.56, 0.68)),
    "orange": ((20.0, 31.0), (0.78, 0.92), (0.90, 1.0)),
    "yellow": ((46.0, 54.0), (0.70, 0.88), (0.94, 1.0)),
    "green": ((96.0, 136.0), (0.52, 0.72), (0.56, 0.76)),
    "turquoise": ((170.0, 184.0), (0.52, 0.74), (0.66, 0.82)),
    "blue": ((208.0, 226.0), (0.58, 0.78), (0.72, 0.92)),
    "purple": ((264.0, 284.0), (0.42, 0.60), (0.62, 0.80)),
    "pink": ((334.0, 348.0), (0.32, 0.46), (0.94, 1.0)),
    "brown": ((21.0, 29.0), (0.52, 0.66), (0.42, 0.54)),
    "tan": ((29.0, 37.0), (0.36, 0.46), (0.80, 0.90)),
    "grey": ((190.0, 240.0), (0.02, 0.10), (0.52, 0.66)),
    "black": ((190.0, 260.0), (0.04, 0.14), (0.13, 0.19)),
    "white": ((20.0, 60.0), (0.0, 0.05), (0.93, 0.99)),
}
BRIGHT = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")
INK: Vec3 = (0.06, 0.05, 0.07)
SNOW: Vec3 = (0.97, 0.96, 0.94)
CREAM: Vec3 = (0.98, 0.91, 0.78)
BLUSH: Vec3 = (0.96, 0.58, 0.60)


@dataclass(frozen=True)
class Color:
    """An sRGB triple in [0, 1] and the English name a child would give it."""

    name: str
    rgb: Vec3


def pick(rng: np.random.Generator, names: tuple[str, ...], avoid: tuple[str, ...] = ()) -> Color:
    """One of `names` that is not in `avoid`, with hue, saturation and value drawn in its range."""
    left = [name for name in names if name not in avoid]
    name = left[int(rng.integers(len(left)))]
    hue, saturation, value = COLORS[name]
    a, b, c = rng.random(3)
    h = (hue[0] + a * (hue[1] - hue[0])) % 360.0 / 360.0
    s = saturation[0] + b * (saturation[1] - saturation[0])
    v = value[0] + c * (value[1] - value[0])
    return Color(name, colorsys.hsv_to_rgb(h, s, v))


def name_of(rgb: Vec3) -> str | None:
    """The name whose range holds `rgb` (to 1e-6), or None when it lies between names."""
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    for name, ((h0, h1), (s0, s1), (v0, v1)) in COLORS.items():
        turn = (h * 360.0 - h0) % 360.0
        hue_fits = turn <= h1 - h0 + 1e-6 or turn >= 360.0 - 1e-6 or s < 1e-9
        if hue_fits and s0 - 1e-6 <= s <= s1 + 1e-6 and v0 - 1e-6 <= v <= v1 + 1e-6:
            return name
    return None


def mix(a: Vec3, b: Vec3, share: float) -> Vec3:
    """Colour between `a` (share 0) and `b` (share 1)."""
    return tuple(x + share * (y - x) for x, y in zip(a, b, strict=True))


def darker(rgb: Vec3, share: float = 0.3) -> Vec3:
    """`rgb` moved towards ink by `share`."""
    return mix(rgb, INK, share)


def lighter(rgb: Vec3, share: float = 0.5) -> Vec3:
    """`rgb` moved towards warm white by `share`."""
    return mix(rgb, SNOW, share)
