"""The toybox's language: captions from templates, and every word that they can use."""

import re
from collections.abc import Mapping

import numpy as np

from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.toybox.clip import Clip
from animate124.toybox.motions import MOTIONS
from animate124.toybox.species.palette import COLORS

# What flaps, by species; toys not named here flap their arms.
_FLAPS = {
    "penguin": "wings", "duck": "wings", "bird": "wings", "owl": "wings", "bee": "wings",
    "fish": "fins", "whale": "fins", "elephant": "ears", "flower": "leaves",
}  # fmt: skip
# Nouns of the marks and clothes that the species builders name.
MARKS = (
    "spots", "stripes", "belly", "dark", "pale", "spikes", "ears", "shell", "wing tips", "head",
    "roof", "pot", "flower",
)  # fmt: skip
ACCESSORIES = ("scarf", "hat", "bow")
_FULL = ("{subject} {motion}", "{subject} that {motion}", "a toy: {subject} {motion}")
_STATIC = ("{subject}", "a toy: {subject}", "a picture of {subject}")


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def subject(species: str, attributes: Mapping[str, str]) -> str:
    """The toy itself, such as "a red fox"."""
    color = attributes.get("color")
    return _article(f"{color} {species}" if color else species)


def details(attributes: Mapping[str, str]) -> str:
    """Its marks and dress, such as "with white spots and a blue scarf"; may be empty."""
    parts = [attributes[k] for k in ("pattern", "feature") if k in attributes]
    if "accessory" in attributes:
        parts.append(_article(attributes["accessory"]))
    return "with " + " and ".join(parts) if parts else ""


def motion_phrase(species: str, motion: str) -> str:
    """What it does, such as "is dancing"."""
    if motion == "flapping":
        return f"is flapping its {_FLAPS.get(species, 'arms')}"
    return MOTIONS[motion].phrase


def _described(species: str, attributes: Mapping[str, str], full: bool) -> str:
    words = subject(species, attributes)
    more = details(attributes) if full else ""
    return f"{words} {more}" if more else words


def _choices(seed: int) -> np.random.Generator:
    """The stream that chooses a seed's wording."""
    return np.random.default_rng((seed, 3))


def caption(species: str, motion: str, attributes: Mapping[str, str], seed: int = 0) -> str:
    """The sentence of a clip; `seed` ≥ 0 chooses the paraphrase.

    One caption in four leaves the details out, so that short sentences are learnt as well.
    """
    rng = _choices(seed)
    template = _FULL[int(rng.integers(len(_FULL)))]
    full = rng.random() < 0.75
    described = _described(species, attributes, full)
    return template.format(subject=described, motion=motion_phrase(species, motion))


def static_prompt(clip: Clip) -> str:
    """The toy without its motion, with all details; the clip's seed chooses the paraphrase."""
    template = _STATIC[int(_choices(clip.seed).integers(len(_STATIC)))]
    return template.format(subject=_described(clip.species, clip.attributes, True))


def motion_prompt(clip: Clip) -> str:
    """The plain sentence: subject without details, and motion; such as "a panda is dancing"."""
    said = motion_phrase(clip.species, clip.motion)
    return f"{subject(clip.species, clip.attributes)} {said}"


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in the toybox's spelling: lower case, hyphens kept, no punctuation."""
    return tuple(re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower()))


def _sayable() -> list[str]:
    """Every template, name, colour, mark and phrase that a caption may hold."""
    texts = [*_FULL, *_STATIC, *COLORS, *MARKS, *ACCESSORIES, "with and an"]
    for name in SPECIES:
        texts.append(name)
        texts.extend(motion_phrase(name, motion) for motion in motions_of(name))
    return [text.replace("{subject}", "").replace("{motion}", "") for text in texts]


def vocabulary() -> tuple[str, ...]:
    """All words of the toybox's captions and prompts, sorted; a closed language."""
    return tuple(sorted({word for text in _sayable() for word in words_of(text)}))
