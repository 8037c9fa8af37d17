"""Where cameras stand: evenly spaced, spread out, drawn at random, or moving during a clip.

Every function returns poses c2w float32 [..., 4, 4] that look at the origin (see `cameras`). Angles
are degrees, radii world units. Random draws come from the given generator only.
"""

import math

import torch
from torch import Generator, Tensor

from animate124.geometry.cameras import DEFAULT_RADIUS, orbit

_GOLDEN_ANGLE = 180.0 * (3.0 - math.sqrt(5.0))

# A path never rises above this: at the pole itself a camera that turns with its azimuth spins on
# the spot, and one that looks at the subject with +y up turns its image over.
POLE_LIMIT = 80.0


def orbit_views(count: int, elevation: float = 0.0, radius: float = DEFAULT_RADIUS) -> Tensor:
    """`count` poses [count, 4, 4] on a level circle, view k at azimuth k·360/count."""
    return orbit(torch.arange(count) * (360.0 / count), elevation, radius)


def spread_views(
    count: int,
    radius: float = DEFAULT_RADIUS,
    generator: Generator | None = None,
    elevation_range: tuple[float, float] = (-30.0, 60.0),
) -> Tensor:
    """`count` poses [count, 4, 4] spread evenly over the sphere between two elevations.

    A golden-angle spiral: each view stands for the same area and no two share an azimuth. A
    generator turns the whole spiral by a random azimuth; without one view 0 is at azimuth 0.
    """
    low, high = _sines(elevation_range)
    k = torch.arange(count, dtype=torch.float64)
    elevation = torch.rad2deg(torch.asin(low + (high - low) * (k + 0.5) / count))
    turn = 0.0 if generator is None else _uniform(generator, 1, 0.0, 360.0)
    return orbit(k * _GOLDEN_ANGLE + turn, elevation, radius)


def random_views(
    count: int,
    generator: Generator,
    elevation_range: tuple[float, float] = (-30.0, 60.0),
    azimuth_range: tuple[float, float] = (-180.0, 180.0),
    radius_range: tuple[float, float] = (DEFAULT_RADIUS, DEFAULT_RADIUS),
) -> Tensor:
    """`count` independent poses [count, 4, 4], uniform by area on the sphere between the limits."""
    sine = _uniform(generator, count, *_sines(elevation_range))
    azimuth = _uniform(generator, count, *azimuth_range)
    radius = _uniform(generator, count, *radius_range)
    return orbit(azimuth, torch.rad2deg(torch.asin(sine)), radius)


def published_views(count: int, generator: Generator, radius: float = DEFAULT_RADIUS) -> Tensor:
    """`count` poses [count, 4, 4] drawn as the published Animate124 code draws them.

    With probability 1/2 the direction of a point uniform in a half cube above the horizon, else
    elevation uniform in ±45° and azimuth uniform: denser overhead and towards the cube's corners
    than by area, and only one view in four from below the horizon. For comparisons; `random_views`
    is the one to train with.
    """
    azimuth, elevation = _published_angles(count, generator)
    return orbit(azimuth, elevation, radius)


def drift(
    frames: int,
    generator: Generator,
    azimuth: float = 0.0,
    elevation: float = 0.0,
    radius: float = DEFAULT_RADIUS,
    max_azimuth_step: float = 5.6,
    max_elevation_step: float = 0.7,
) -> Tensor:
    """A clip [frames, 4, 4] whose camera glides on at a steady small rate.

    The change per frame is drawn once, uniform in ± the given steps (the default values are those
    of the published threestudio variant, which by mistake moved the azimuth by the elevation's
    step). Elevation turns back at ±POLE_LIMIT.
    """
    k = torch.arange(frames, dtype=torch.float64)
    azimuth_step = _uniform(generator, 1, -max_azimuth_step, max_azimuth_step)
    elevation_step = _uniform(generator, 1, -max_elevation_step, max_elevation_step)
    return orbit(azimuth + k * azimuth_step, _reflect(elevation + k * elevation_step), radius)


def dynamic_camera(
    frames: int,
    generator: Generator,
    radius: float = DEFAULT_RADIUS,
    max_azimuth_change: float = 90.0,
    max_elevation_change: float = 45.0,
    moving_rate: float = 0.9,
) -> Tensor:
    """A clip [frames, 4, 4] with the random camera path of Animate124's dynamic stage.

    The start is drawn as in `published_views`; with probability `moving_rate` the camera then moves
    by a random azimuth and elevation change (uniform in ± the maxima), frame k of F at share k/F of
    it, else it stands still. In the published code about 1.5 % of the paths cross the pole, where
    the look-at up vector turns the image over in mid-clip. Here elevation is reflected at
    ±POLE_LIMIT: a path that would cross rises to the limit and comes down on the same side, and the
    image turns smoothly.
    """
    azimuth, elevation = _published_angles(1, generator)
    moving = _uniform(generator, 1, 0.0, 1.0) < moving_rate
    azimuth_change = _uniform(generator, 1, -max_azimuth_change, max_azimuth_change)
    elevation_change = _uniform(generator, 1, -max_elevation_change, max_elevation_change)
    share = torch.arange(frames, dtype=torch.float64, device=azimuth.device) / frames * moving
    return orbit(
        azimuth + share * azimuth_change, _reflect(elevation + share * elevation_change), radius
    )


def _published_angles(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Azimuths and elevations [count] of the published mixture (dnerf/provider.py)."""
    from_cube = _uniform(generator, count, 0.0, 1.0) < 0.5
    x = _uniform(generator, count, -1.0, 1.0)
    y = _uniform(generator, count, 0.0, 1.0)
    z = _uniform(generator, count, -1.0, 1.0)
    azimuth = _uniform(generator, count, -180.0, 180.0)
    elevation = _uniform(generator, count, -45.0, 45.0)
    cube_azimuth = torch.rad2deg(torch.atan2(x, z))
    cube_elevation = torch.rad2deg(torch.atan2(y, torch.hypot(x, z)))
    return (
        torch.where(from_cube, cube_azimuth, azimuth),
        torch.where(from_cube, cube_elevation, elevation),
    )


def _reflect(elevation: Tensor) -> Tensor:
    """Fold elevations back into ±POLE_LIMIT, as a ball between two walls."""
    period = 4.0 * POLE_LIMIT
    return POLE_LIMIT - ((elevation + POLE_LIMIT) % period - 2.0 * POLE_LIMIT).abs()


def _sines(elevation_range: tuple[float, float]) -> tuple[float, float]:
    low, high = elevation_range
    if not -90.0 <= low <= high <= 90.0:
        raise ValueError(f"elevations must rise within -90 to 90 degrees, got {elevation_range}")
    return math.sin(math.radians(low)), math.sin(math.radians(high))


def _uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    """float64 [count] uniform in [low, high)."""
    share = torch.rand(count, generator=generator, dtype=torch.float64, device=generator.device)
    return low + (high - low) * share
