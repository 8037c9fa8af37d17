"""Half-plane profiles (radius, height) of the parts that are solids of revolution about y."""

from dataclasses import dataclass

import numpy as np

RIM = 0.2


@dataclass(frozen=True, eq=False)
class Profile:
    """Samples [M, 4] from bottom to top: radius ≥ 0, height, outward normal (radial, upward)."""

    samples: np.ndarray


def segments(radius: float, tolerance: float) -> int:
    """Even number of chords (at least 8) that follow a full circle of `radius` to `tolerance`.

    The sagitta of one of n chords is radius · (1 − cos(π / n)) ≈ radius · π² / (2 n²).
    """
    count = int(np.ceil(np.pi * np.sqrt(radius / (2.0 * tolerance)) / 2.0)) * 2
    return max(count, 8)


def profile_of(kind: str, size: tuple[float, float, float], tolerance: float) -> Profile:
    """Profile of a "capsule", "cone" or "cylinder" part of `size` (see `rig.Part`)."""
    if kind == "capsule":
        return _capsule(*size, tolerance)
    return _truncated_cone(*size, tolerance)


def divided(profile: Profile, edge: float) -> Profile:
    """The profile with every stretch longer than `edge` cut into equal steps."""
    pieces = [profile.samples[:1]]
    for a, b in zip(profile.samples[:-1], profile.samples[1:], strict=True):
        steps = max(int(np.ceil(np.hypot(*(b - a)[:2]) / edge)), 1)
        share = np.linspace(0.0, 1.0, steps + 1)[1:, None]
        pieces.append(a + share * (b - a))
    return Profile(np.concatenate(pieces))


def _arc(centre, radius: float, start: float, stop: float, tolerance: float) -> np.ndarray:
    """Samples [K, 4] on a circle about `centre` (r, y), by the angle of the normal above r."""
    count = int(np.ceil(segments(radius, tolerance) * abs(stop - start) / (2 * np.pi)))
    angle = np.linspace(start, stop, max(count, 1) + 1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + radius * cos, centre[1] + radius * sin, cos, sin], -1)


def _close(samples: np.ndarray) -> Profile:
    """Put the ends exactly on the axis with vertical normals, so that poles weld to one point."""
    samples[0, [0, 2, 3]] = 0.0, 0.0, -1.0
    samples[-1, [0, 2, 3]] = 0.0, 0.0, 1.0
    return Profile(samples)


def _capsule(low: float, length: float, high: float, tolerance: float) -> Profile:
    """Convex hull of two balls: two arcs joined by their common tangent."""
    down, up = np.array([0.0, -length / 2]), np.array([0.0, length / 2])
    if abs(low - high) >= length:  # the larger ball contains the smaller one
        centre, radius = (down, low) if low > high else (up, high)
        return _close(_arc(centre, radius, -np.pi / 2, np.pi / 2, tolerance))
    tilt = np.arcsin((low - high) / length)
    return _close(
        np.concatenate(
            [
                _arc(down, low, -np.pi / 2, tilt, tolerance),
                _arc(up, high, tilt, np.pi / 2, tolerance),
            ]
        )
    )


def _truncated_cone(low: float, height: float, high: float, tolerance: float) -> Profile:
    """Flat caps and a straight side; the rims, or the tip of a pointed end, are rounded off."""
    tilt = np.arctan2(low - high, height)
    reach = min(RIM * min(max(low, high), height), 0.45 * np.hypot(low - high, height))
    bottom = _end(low, tilt, reach, tolerance)
    # The top is a bottom seen upside down: heights, normals and the order of samples turn over.
    top = _end(high, -tilt, reach, tolerance)[::-1] * [1.0, -1.0, 1.0, -1.0]
    bottom[:, 1] -= height / 2
    top[:, 1] += height / 2
    return _close(np.concatenate([bottom, top]))


def _end(radius: float, tilt: float, reach: float, tolerance: float) -> np.ndarray:
    """Samples [K, 4] of a bottom end at height 0, from the axis to where the straight side begins.

    `tilt` is the angle of the side's normal above the horizontal. A fillet that touches its two
    lines at distance c from their corner has radius c / tan(half the turn of the normal); at a
    point, the other line is the side's mirror image and the fillet is a ball on the axis.
    """
    if radius < 1e-9:
        ball, centre = reach * np.tan(-tilt), (0.0, reach / np.cos(tilt))
        return _arc(centre, ball, -np.pi / 2, tilt, tolerance)
    cut = min(reach, 0.8 * radius)
    fillet = cut / np.tan((tilt + np.pi / 2) / 2)
    arc = _arc((radius - cut, fillet), fillet, -np.pi / 2, tilt, tolerance)
    return np.concatenate([[[0.0, 0.0, 0.0, -1.0]], arc])
