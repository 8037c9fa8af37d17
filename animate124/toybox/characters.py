"""Characters by seed: species, rig, looks, and the clips they perform."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from animate124.errors import UserError
from animate124.toybox.bounds import bounding_points, posed_radius
from animate124.toybox.captions import caption
from animate124.toybox.clip import Clip
from animate124.toybox.figure import Body
from animate124.toybox.motions import MOTIONS, PLAN_MOTIONS, Style, sample_style
from animate124.toybox.rig import Pose, Rig
from animate124.toybox.species import birds, heavy, machines, plants, quadrupeds, sea, toys, upright
from animate124.toybox.species.build import Build, fitted

CLIP_RADIUS = 0.67
_CHECK_TIMES = tuple(k / 16 for k in range(16))


@dataclass(frozen=True)
class Species:
    """A kind of toy: its name, its body plan, its builder, and motions beyond or not of its plan."""

    name: str
    plan: str
    build: Callable[[Build], None]
    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()


SPECIES: dict[str, Species] = {
    s.name: s
    for s in (
        Species("panda", "upright", upright.panda),
        Species("bear", "upright", upright.bear),
        Species("rabbit", "upright", upright.rabbit),
        Species("frog", "upright", upright.frog),
        Species("monkey", "upright", upright.monkey),
        Species("robot", "upright", toys.robot, fewer=("swimming",)),
        Species("dinosaur", "upright", toys.dinosaur, fewer=("clapping", "sitting")),
        Species(
            "snowman",
            "upright",
            toys.snowman,
            fewer=("walking", "running", "sitting", "kicking", "swimming", "clapping", "tumbling"),
        ),
        Species("fox", "quadruped", quadrupeds.fox),
        Species("dog", "quadruped", quadrupeds.dog),
        Species("cat", "quadruped", quadrupeds.cat),
        Species("pig", "quadruped", quadrupeds.pig),
        Species("lion", "quadruped", quadrupeds.lion),
        Species("elephant", "quadruped", heavy.elephant, more=("flapping",)),
        Species("turtle", "quadruped", heavy.turtle),
        Species("sheep", "quadruped", heavy.sheep),
        Species("penguin", "bird", birds.penguin, more=("clapping",)),
        Species("duck", "bird", birds.duck),
        Species("bird", "bird", birds.bird),
        Species("owl", "bird", birds.owl),
        Species("bee", "bug", birds.bee),
        Species("fish", "fish", sea.fish),
        Species("whale", "fish", sea.whale),
        Species("octopus", "octopus", sea.octopus),
        Species("crab", "crab", sea.crab),
        Species("car", "wheels", machines.car),
        Species("train", "wheels", machines.train),
        Species("cactus", "plant", plants.cactus),
        Species("flower", "plant", plants.flower),
    )
}


@dataclass(frozen=True)
class Character:
    """A toy at rest: its rig inside the sphere of radius 0.56, and the words for its looks."""

    species: str
    plan: str
    rig: Rig
    attributes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


def _known(name: str, among: Mapping[str, object] | tuple[str, ...], what: str) -> str:
    if name not in among:
        raise UserError(f"unknown toybox {what} {name!r}; choose one of {', '.join(among)}")
    return name


def motions_of(species: str) -> tuple[str, ...]:
    """Names of the motions that a species can perform."""
    kind = SPECIES[_known(species, SPECIES, "species")]
    return tuple(m for m in PLAN_MOTIONS[kind.plan] if m not in kind.fewer) + kind.more


def sample_character(seed: int, species: str | None = None) -> Character:
    """The character of a seed ≥ 0; its species too is the seed's unless given."""
    if seed < 0:
        raise UserError(f"toybox seed {seed} is negative; seeds start at 0")
    names = tuple(SPECIES)
    if species is None:
        species = names[int(np.random.default_rng((seed, 0)).integers(len(names)))]
    kind = SPECIES[_known(species, SPECIES, "species")]
    build = Build(np.random.default_rng((seed, 1, *species.encode())))
    kind.build(build)
    return Character(species, kind.plan, build.rig(), build.words, seed)


def sample_rig(seed: int, species: str | None = None) -> Rig:
    """The rig of `sample_character(seed, species)`."""
    return sample_character(seed, species).rig


def perform(character: Character, motion: str, style: Style, words: int = 0) -> Clip:
    """A looping clip of a character; `words` chooses among the caption's paraphrases.

    A clip that would reach past radius 0.68 is scaled down as a whole about the origin.
    """
    act = MOTIONS[_known(motion, motions_of(character.species), f"{character.species} motion")]
    rig, body = character.rig, Body.of(character.rig, character.plan)
    points, joints = bounding_points(rig)
    poses = [act.pose(body, t, style) for t in _CHECK_TIMES]
    reach = posed_radius(points, joints, rig, poses)
    scale = min(1.0, CLIP_RADIUS / reach)
    if scale < 1.0:
        rig = fitted(rig, (0.0, 0.0, 0.0), scale)

    def pose(t: float) -> Pose:
        return act.pose(body, t, style, scale)

    attributes = {**character.attributes, "words": str(words)}
    text = caption(character.species, motion, attributes)
    return Clip(
        rig, pose, character.species, motion, text, attributes=attributes, seed=character.seed
    )


def sample_clip(seed: int, species: str | None = None, motion: str | None = None) -> Clip:
    """The clip of a seed: character, motion and style; species and motion may be prescribed."""
    character = sample_character(seed, species)
    rng = np.random.default_rng((seed, 2))
    options = motions_of(character.species)
    drawn = options[int(rng.integers(len(options)))]
    motion = drawn if motion is None else _known(motion, options, f"{character.species} motion")
    style = sample_style(rng, MOTIONS[motion])
    return perform(character, motion, style, int(rng.integers(1 << 16)))
