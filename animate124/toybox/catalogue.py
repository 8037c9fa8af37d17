"""Every kind of toy: its builder, its body plan, its motions."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from animate124.errors import UserError
from animate124.toybox.motions import PLAN_MOTIONS
from animate124.toybox.species import birds, heavy, machines, plants, quadrupeds, sea, toys, upright
from animate124.toybox.species.build import Build


@dataclass(frozen=True)
class Species:
    """A kind of toy. `more` are motions beyond its body plan's, `fewer` those it cannot do."""

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
        Species("bird", "bird", birds.bird, fewer=("swimming",)),
        Species("owl", "bird", birds.owl, fewer=("swimming",)),
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


def known(name: str, among: Mapping[str, object] | tuple[str, ...], what: str) -> str:
    """`name` if it is one of `among`, else UserError with the names that are."""
    if name not in among:
        near = difflib.get_close_matches(name, among, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"Unknown toybox {what} {name!r}: {hint}choose one of {', '.join(among)}.")
    return name


def motions_of(species: str) -> tuple[str, ...]:
    """Names of the motions that a species can perform."""
    kind = SPECIES[known(species, SPECIES, "species")]
    return tuple(m for m in PLAN_MOTIONS[kind.plan] if m not in kind.fewer) + kind.more
