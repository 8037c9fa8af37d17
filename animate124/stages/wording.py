"""Sentences that the profile's text models understand.

The nano models know the toybox's language alone: a closed list of words in a few templates. What a
user says in other words is said anew in that language, and every word that changed or was left out
is named in a warning. Models of any captions are given the sentence as it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from animate124.errors import UserError
from animate124.media.images import composite
from animate124.stages.models import Models
from animate124.stages.synonyms import (
    COLOR_SYNONYMS,
    FUNCTION_WORDS,
    MOTION_SYNONYMS,
    SPECIES_SYNONYMS,
)
from animate124.toybox import captions
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.toybox.motions import MOTIONS
from animate124.toybox.species.palette import COLORS

FALLBACK = "dancing"  # every kind of toy can

_WORD = re.compile(r"<[^<>\s]+>|\w+(?:[-'’]\w+)*")
_SAYS_NOTHING = frozenset(FUNCTION_WORDS.split())
_AUXILIARIES = ("is", "are", "was", "were", "am")
_INTRODUCTION = re.compile(r"^an? (?:toy: ?|(?:picture|photo|image|drawing|rendering) of )")
_DESCRIBING = ("with", "in", "on", "at", "of", "to", "from", "by", "and", "that")
_NOUNS_IN_ING = ("king", "ring", "wing", "thing", "spring", "string", "sling", "being")
_COLORLESS = ("panda", "snowman", "bee")  # captions name no colour of theirs
_PHRASES = {
    captions.motion_phrase(species, motion): motion
    for species in SPECIES
    for motion in motions_of(species)
}


@dataclass(frozen=True)
class Wording:
    """A sentence for the text models, and what had to be changed.

    `sentence` is `subject` and `motion` ("a red fox" and "is dancing"; "" where the sentence has no
    motion). `species` and `action` are the toybox's names for them; None where the profile's models
    understand any sentence (then `subject` and `motion` are empty), or the subject is a learnt word
    such as <subject>.
    """

    sentence: str
    subject: str = ""
    motion: str = ""
    warnings: tuple[str, ...] = ()
    species: str | None = None
    action: str | None = None


def fit_wording(sentence: str, image: np.ndarray | None, models: Models) -> Wording:
    """The sentence as the profile's text models understand it.

    Args:
        image: straight-alpha RGBA [H, W, 4] in [0, 1] of the subject; it decides what an unknown
            noun is called, where there is one.

    Raises UserError for an empty sentence, and for a subject that can be mapped to nothing.
    """
    if not _WORD.search(sentence):
        raise UserError("The sentence is empty: say what moves and how, as in 'a fox is dancing'.")
    if models.language != "toybox":
        return Wording(sentence.strip())
    return in_toybox_words(sentence, _judge(image, models))


def fit_word(word: str, image: np.ndarray | None, models: Models) -> tuple[str, list[str]]:
    """One word for a kind of thing as the profile's text models know it, and warnings.

    Arguments and errors as of `fit_wording`.
    """
    if models.language != "toybox" or not word.strip():
        return word, []
    told = fit_wording(word, image, models)
    return told.species or word, list(told.warnings)


def in_toybox_words(sentence: str, look: Callable[[], str] | None = None) -> Wording:
    """A sentence in the toybox's words and templates; `look` tells the species in the picture.

    Raises UserError for a subject that is unknown if there is no picture to look at.
    """
    text = " ".join(sentence.lower().replace("’", "'").split()).rstrip(" .!?")
    return _understood(text) or _Retelling(text, look).wording()


def nearest_species(image: np.ndarray, models: Models) -> str:
    """What the embedder of the profile takes the subject of an RGBA image [H, W, 4] for."""
    names = list(SPECIES)
    white = torch.from_numpy(composite(image[..., :3], image[..., 3])).permute(2, 0, 1)[None]
    with torch.no_grad():
        seen = models.embedding.embed_images(white)
        said = models.embedding.embed_text([captions.subject(name, {}) for name in names])
    return names[int((seen @ said.T).argmax())]


def _judge(image: np.ndarray | None, models: Models) -> Callable[[], str] | None:
    if image is None or image.shape[-1] != 4 or not models.has("embedding"):
        return None
    return lambda: nearest_species(image, models)


def _understood(text: str) -> Wording | None:
    """The wording of a sentence that is in the language already, else None."""
    bare = _INTRODUCTION.sub("", text)
    match = _TEMPLATE.match(bare)
    if match is None or not _known_details(match["details"]):
        return None
    species = match["noun"] if match["noun"] in SPECIES else None
    action = _PHRASES.get(match["motion"]) if match["motion"] else None
    if match["motion"] and action is None:
        return None
    if species and action:
        able = action in motions_of(species)
        if not able or captions.motion_phrase(species, action) != match["motion"]:
            return None
    return Wording(text, match["subject"], match["motion"] or "", (), species, action)


_NAMES = "|".join([*SPECIES, "<[^<> ]+>"])
_HUES = "|".join(COLORS)
_TEMPLATE = re.compile(
    rf"^(?P<subject>an? (?:(?:{_HUES}) )?(?P<noun>{_NAMES})(?: with (?P<details>[a-z -]+?))?)"
    r"(?:(?: that)? (?P<motion>is .+))?$"
)


def _known_details(details: str | None) -> bool:
    return details is None or all(_detail(part.split()) for part in details.split(" and "))


def _detail(words: list[str]) -> str | None:
    """A mark or a piece of clothing as captions say it ("a blue hat", "dark spots"), or None."""
    words = [word for word in words if word not in ("a", "an")]
    for noun in (*captions.MARKS, *captions.ACCESSORIES):
        tail = noun.split()
        look = words[: len(words) - len(tail)]
        if (
            words[len(look) :] == tail
            and look
            and all(w in (*COLORS, "dark", "pale") for w in look)
        ):
            plural = noun.endswith("s")
            said = " ".join(words)
            return said if plural else f"{'an' if said[0] in 'aeiou' else 'a'} {said}"
    return None


_KINDS = {word: kind for kind, words in SPECIES_SYNONYMS.items() for word in words.split()}
_KINDS |= {kind: kind for kind in SPECIES}


def kind_of(noun: str) -> str | None:
    """The species that a noun, or its plural, is nearest to; None if none is near."""
    forms = (noun, *(noun.removesuffix(ending) for ending in ("'s", "s", "es")))
    return next((_KINDS[form] for form in forms if form in _KINDS), None)


def stem(verb: str) -> str:
    """What the forms of a verb have in common: "waves", "waving" and "wave" give "wav"."""
    if verb.endswith("ies") and len(verb) > 4:
        verb = verb[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        if verb.endswith(ending) and len(verb) - len(ending) >= 2 and not verb.endswith("ss"):
            verb = verb[: -len(ending)]
            break
    if len(verb) > 3 and verb[-1] == verb[-2]:
        verb = verb[:-1]
    return verb.removesuffix("e")


_MOTIONS = {
    stem(verb): motion for motion, verbs in MOTION_SYNONYMS.items() for verb in verbs.split()
}
_MOTIONS |= {stem(motion): motion for motion in MOTIONS}


@dataclass
class _Retelling:
    """One sentence being said anew: its words, what each became, and what is still unsaid."""

    text: str
    look: Callable[[], str] | None
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = [match[0] for match in _WORD.finditer(_INTRODUCTION.sub("", self.text))]
        self.said: set[int] = set()

    def wording(self) -> Wording:
        noun_at = self._noun_place()
        verb_at = self._verb_place(noun_at)
        species, noun = self._noun(noun_at, verb_at)
        subject = self._subject(noun, noun_at, verb_at)
        action, motion = self._motion(species, verb_at)
        self._name_the_rest()
        sentence = f"{subject} {motion}".strip()
        return Wording(sentence, subject, motion, tuple(self.warnings), species, action)

    def _noun_place(self) -> int | None:
        """Where a word stands that names a subject that is known, or a learnt one."""
        for index, word in enumerate(self.words):
            if word.startswith("<") or kind_of(word) is not None:
                return None if "with" in self.words[:index] else index  # "with a red flower"
        return None

    def _verb_place(self, noun_at: int | None) -> int | None:
        """Where the word stands that says the motion, known or not."""
        words = self.words
        first = 0 if noun_at is None else noun_at + 1
        order = [*range(first, len(words)), *range(first - 1)]
        for index in order:
            if stem(words[index]) in _MOTIONS and index != noun_at and not self._is_noun(index):
                return index
        for index in order:
            if words[index] in _AUXILIARIES:
                rest = (i for i in range(index + 1, len(words)) if not words[i].endswith("ly"))
                return next(rest, None)
        for index in order:
            if words[index].endswith("ing") and words[index] not in _NOUNS_IN_ING:
                return index
        content = [i for i in range(first, len(words)) if words[i] not in _SAYS_NOTHING]
        content = [i for i in content if words[i] not in COLORS]
        least = 1 if noun_at is None else 0
        for index in content[least:]:
            if re.search(r"[^s]s$", words[index]) and "with" not in words[:index]:
                return index
        return None

    def _is_noun(self, index: int) -> bool:
        """Whether a word that could be a verb follows an article or colour: "a red bow"."""
        word, before = self.words[index], self.words[index - 1] if index else ""
        return (
            not word.endswith("ing")
            and word != "somersault"
            and (before in ("the", "its", "with") or before in ("a", "an") or before in COLORS)
        )

    def _noun(self, noun_at: int | None, verb_at: int | None) -> tuple[str | None, str]:
        """Species (None for a learnt word) and noun of the subject."""
        if noun_at is not None:
            word = self.words[noun_at]
            self.said.add(noun_at)
            if word.startswith("<"):
                return None, word
            species = kind_of(word)
            assert species is not None, word  # that is why it was chosen
            if not word.startswith(species):
                self._warn(word, species)
            return species, species
        end = len(self.words) if verb_at is None else verb_at
        nouns = self._content(0, end) or self._content(end + 1, len(self.words))
        word = self.words[nouns[-1]] if nouns else ""
        if nouns:
            self.said.add(nouns[-1])
            near = difflib.get_close_matches(word, list(SPECIES), n=1, cutoff=0.8)
            if near:
                self._warn(word, near[0])
                return near[0], near[0]
        if self.look is None:
            what = f"do not know '{word}'" if word else f"find no subject in '{self.text}'"
            raise UserError(
                f"The nano models {what} and there is no picture to look at: name one of "
                f"{', '.join(SPECIES)}."
            )
        species = self.look()
        if word:
            self.warnings.append(
                f"The nano models do not know '{word}'; the picture looks most like "
                f"'{captions.subject(species, {})}', so '{species}' is said instead."
            )
        else:
            self.warnings.append(
                f"The sentence '{self.text}' names no subject; the picture looks most like "
                f"'{captions.subject(species, {})}'."
            )
        return species, species

    def _content(self, start: int, end: int) -> list[int]:
        """Places from `start` to `end`, up to "with" or "in", of words that carry meaning."""
        places: list[int] = []
        for index in range(start, end):
            word = self.words[index]
            if places and (word in _DESCRIBING or word.endswith("ed")):
                break
            if word not in _SAYS_NOTHING and word not in COLORS and not word.endswith("ly"):
                places.append(index)
        return places

    def _subject(self, noun: str, noun_at: int | None, verb_at: int | None) -> str:
        """Colour, noun and details: "an orange fox with a blue hat"."""
        color = None
        for index, word in enumerate(self.words[:noun_at]):
            if word == "with" or (noun_at is None and index == verb_at):
                break
            known = word if word in COLORS else COLOR_SYNONYMS.get(word)
            if known is not None and color is None and noun not in _COLORLESS:
                color = known
                self.said.add(index)
                if known != word:
                    self._warn(word, known)
        start = captions.subject(noun, {"color": color} if color else {})
        details = self._details(verb_at)
        return f"{start} with {' and '.join(details)}" if details else start

    def _details(self, verb_at: int | None) -> list[str]:
        """What stands after "with", where captions say it so."""
        if "with" not in self.words:
            return []
        first = self.words.index("with") + 1
        stop = verb_at if verb_at is not None and verb_at >= first else len(self.words)
        found, part = [], []
        for index in [*range(first, stop), stop]:
            ends = index == stop or self.words[index] in ("and", "is", "that", "with")
            if not ends:
                part.append(index)
                continue
            said = _detail([self.words[i] for i in part])
            if said is not None:
                found.append(said)
                self.said.update(part)
            part = []
        return found

    def _motion(self, species: str | None, verb_at: int | None) -> tuple[str | None, str]:
        """Name and phrase of the motion; None and "" if the sentence has none."""
        if verb_at is None:
            return None, ""
        word = self.words[verb_at]
        self.said.add(verb_at)
        action = _MOTIONS.get(stem(word), FALLBACK)
        if species is not None and action not in motions_of(species):
            self.warnings.append(
                f"The nano models have never seen '{captions.subject(species, {})}' do "
                f"'{word}': '{FALLBACK}' is said instead."
            )
            action = FALLBACK
        elif stem(word) != stem(action) and not (word == "somersault" and action == "tumbling"):
            self._warn(word, action)
        phrase = captions.motion_phrase(species or "", action)
        own = set(captions.words_of(phrase)) | {"doing"}
        self.said.update(i for i in range(len(self.words)) if self.words[i] in own)
        return action, phrase

    def _name_the_rest(self) -> None:
        left = [
            word
            for index, word in enumerate(self.words)
            if index not in self.said and word not in _SAYS_NOTHING
        ]
        if left:
            words = ", ".join(f"'{word}'" for word in dict.fromkeys(left))
            self.warnings.append(f"Left out, for the nano models expect no such word: {words}.")

    def _warn(self, word: str, instead: str) -> None:
        self.warnings.append(f"The nano models do not know '{word}': '{instead}' is said instead.")
