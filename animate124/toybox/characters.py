"""Characters by seed: species, rig, looks, and the clips they perform."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from animate124.errors import UserError
from animate124.toybox.bounds import bounding_points, posed_radius
from animate124.toybox.captions import caption
from animate124.toybox.catalogue import SPECIES, known, motions_of
from animate124.toybox.clip import Clip
from animate124.toybox.figure import Body
from animate124.toybox.motions import MOTIONS, Style, sample_style
from animate124.toybox.rig import Pose, Rig
from animate124.toybox.species.build import Build, fitted

CLIP_RADIUS = 0.665
_CHECK_PHASES = tuple(k / 24 for k in range(24))


@dataclass(frozen=True)
class Character:
    """A toy at rest: its rig inside the sphere of radius 0.56, and the words for its looks."""

    species: str
    plan: str
    rig: Rig
    attributes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


def sample_character(seed: int, species: str | None = None) -> Character:
    """The character of a seed ≥ 0; its species too is the seed's unless given."""
    if seed < 0:
        raise UserError(f"toybox seed {seed} is negative; seeds start at 0")
    names = tuple(SPECIES)
    if species is None:
        species = names[int(np.random.default_rng((seed, 0)).integers(len(names)))]
    kind = SPECIES[known(species, SPECIES, "species")]
    build = Build(np.random.default_rng((seed, 1, *species.encode())))
    kind.build(build)
    return Character(species, kind.plan, build.rig(), build.words, seed)


def sample_rig(seed: int, species: str | None = None) -> Rig:
    """The rig of `sample_character(seed, species)`."""
    return sample_character(seed, species).rig


def perform(character: Character, motion: str, style: Style) -> Clip:
    """A looping clip of a character; its seed chooses among the caption's paraphrases.

    A clip that would reach past radius 0.68 is scaled down as a whole about the origin.
    """
    act = MOTIONS[known(motion, motions_of(character.species), f"{character.species} motion")]
    rig, body = character.rig, Body.of(character.rig, character.plan)
    points, joints = bounding_points(rig)
    # Cycles and phase only change the clock: one slow cycle holds every pose of the clip.
    slow = replace(style, cycles=1, phase=0.0)
    poses = [act.pose(body, u, slow) for u in _CHECK_PHASES]
    reach = posed_radius(points, joints, rig, poses)
    scale = min(1.0, CLIP_RADIUS / reach)
    if scale < 1.0:
        rig = fitted(rig, (0.0, 0.0, 0.0), scale)

    def pose(t: float) -> Pose:
        return act.pose(body, t, style, scale)

    words, seed = character.attributes, character.seed
    text = caption(character.species, motion, words, seed)
    return Clip(rig, pose, character.species, motion, text, attributes=words, seed=seed)


def sample_clip(seed: int, species: str | None = None, motion: str | None = None) -> Clip:
    """The clip of a seed: character, motion and style; species and motion may be prescribed."""
    character = sample_character(seed, species)
    rng = np.random.default_rng((seed, 2))
    options = motions_of(character.species)
    drawn = options[int(rng.integers(len(options)))]
    motion = drawn if motion is None else known(motion, options, f"{character.species} motion")
    return perform(character, motion, sample_style(rng, MOTIONS[motion]))
