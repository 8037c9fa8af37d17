"""What the toys do: each motion is a function of phase u in [0, 1) on a Figure, at amplitude a.

Every motion passes through the rest pose at u = 0, has a continuous slope and period 1, and reads
in eight frames. Plans differ through the roles of `Figure` and, where they must, here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from animate124.toybox import gaits, gestures
from animate124.toybox.figure import Body, Figure
from animate124.toybox.rig import Pose


@dataclass(frozen=True)
class Style:
    """How one clip performs its motion.

    `amplitude` multiplies the angles (0.8 to 1.15 in sampled clips), `cycles` is the whole number
    of repeats per clip, `phase` in [0, 1) where the clip starts, `mirror` swaps left and right.
    """

    amplitude: float = 1.0
    cycles: int = 1
    phase: float = 0.0
    mirror: bool = False


@dataclass(frozen=True)
class Motion:
    """A motion, the words that say it, and how often it may repeat in a clip."""

    name: str
    phrase: str
    play: Callable[[Figure, float, float], None]
    cycles: tuple[int, ...] = (1,)

    def pose(self, body: Body, t: float, style: Style, scale: float = 1.0) -> Pose:
        """The pose at clip time t; `scale` multiplies moves (the size of a scaled character)."""
        figure = Figure(body)
        self.play(figure, (style.cycles * (t % 1.0) + style.phase) % 1.0, style.amplitude)
        return figure.pose(style.mirror, scale)


MOTIONS: dict[str, Motion] = {
    m.name: m
    for m in (
        Motion("dancing", "is dancing", gestures.dancing, (1, 2)),
        Motion("waving", "is waving", gestures.waving),
        Motion("walking", "is walking", gaits.walking, (1, 2)),
        Motion("running", "is running", gaits.running, (1, 2)),
        Motion("jumping", "is jumping", gaits.jumping),
        Motion("hopping", "is hopping", gaits.hopping),
        Motion("nodding", "is nodding", gestures.nodding, (1, 2)),
        Motion("shaking", "is shaking its head", gestures.shaking, (1, 2)),
        Motion("spinning", "is spinning", gestures.spinning),
        Motion("flapping", "is flapping its arms", gestures.flapping, (1, 2)),
        Motion("swimming", "is swimming", gaits.swimming),
        Motion("stretching", "is stretching", gestures.stretching),
        Motion("sitting", "is sitting down", gaits.sitting),
        Motion("bowing", "is bowing", gestures.bowing),
        Motion("clapping", "is clapping", gestures.clapping),
        Motion("wiggling", "is wiggling", gestures.wiggling, (2,)),
        Motion("kicking", "is kicking", gaits.kicking),
        Motion("tumbling", "is doing a somersault", gaits.tumbling),
        Motion("driving", "is driving", gaits.driving),
    )
}

_STILL_FEET = ("dancing", "waving", "jumping", "hopping", "nodding", "shaking", "spinning",
               "stretching", "bowing", "wiggling")  # fmt: skip
_ON_LEGS = (*_STILL_FEET, "walking", "running", "swimming", "sitting", "tumbling")
PLAN_MOTIONS: dict[str, tuple[str, ...]] = {
    "upright": (*_ON_LEGS, "flapping", "clapping", "kicking"),
    "quadruped": _ON_LEGS,
    "bird": (*_ON_LEGS, "flapping"),
    "bug": ("dancing", "jumping", "nodding", "shaking", "spinning", "bowing", "wiggling",
            "flapping", "tumbling"),
    "fish": ("dancing", "waving", "jumping", "nodding", "shaking", "spinning", "flapping",
             "swimming", "wiggling", "tumbling"),
    "octopus": (*_STILL_FEET, "walking", "flapping", "swimming", "tumbling"),
    "crab": ("dancing", "waving", "walking", "jumping", "hopping", "nodding", "spinning",
             "stretching", "bowing", "clapping", "wiggling"),
    "wheels": ("dancing", "jumping", "hopping", "nodding", "spinning", "bowing", "wiggling",
               "tumbling", "driving"),
    "plant": (*_STILL_FEET, "flapping"),
}  # fmt: skip


def sample_style(rng: np.random.Generator, motion: Motion) -> Style:
    """Amplitude 0.85 to 1.15, a number of cycles, a side, and a phase that is 0 half the time."""
    amplitude = 0.85 + 0.30 * float(rng.random())
    cycles = motion.cycles[int(rng.integers(len(motion.cycles)))]
    phase = float(rng.random()) if rng.random() < 0.5 else 0.0
    return Style(amplitude, cycles, phase, bool(rng.random() < 0.5))
