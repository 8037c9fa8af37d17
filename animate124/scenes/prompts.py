"""What a motion sentence leaves to be derived: subject, its noun, and the sentence with a token.

No language model is asked: a few rules of English find where the subject ends. They are right for
sentences such as "a panda is dancing", "a red fox with white spots jumps over a log" or "a tiger
elegantly playing a violin"; any result can be given in the table of scenes instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = "<subject>"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ARTICLES = _words("a an the one some two three")
_POSSESSIVES = _words("its his her their my our")
_AUXILIARIES = _words("is are was were has can will starts begins")
_LINKS = _words("that which who while and")
_PREPOSITIONS = _words(
    "with in on at of to from by for under over above behind beside near into onto around through "
    "against without inside across along up down off out like between towards"
)
# Words that end like a participle and are none.
_NOUNS_IN_ING = _words(
    "king ring wing string spring sling swing thing being ceiling building painting duckling "
    "gosling viking herring starling pudding lightning earring evening"
)
# Base forms, for plural subjects ("two pandas dance") and for sentences that leave the -s out.
_VERBS = _words(
    "bark blow bounce climb clap crawl dance dive drink drive drop eat fall flap float flow fly "
    "gallop hop jump kick lean march move nod open play race raise ride rise roar roll rotate run "
    "shake sing sit skate ski sleep slide slither spin stand stomp stretch sway swim swing talk "
    "throw trot tumble turn twist wag waddle walk wave wiggle wobble yawn"
)
_INTRODUCTION = re.compile(
    r"an? (?:[\w-]+ ){0,3}?(?:toy: ?|(?:picture|photo|image|rendering) of )", re.IGNORECASE
)
_WORD = re.compile(r"[\w'<>-]+|[,;.]")


@dataclass(frozen=True)
class Prompts:
    """What the stages are told: motion sentence, subject, its word, and sentences with TOKEN."""

    motion: str
    subject: str
    word: str
    token_motion: str
    token_subject: str


def derive(
    prompt: str,
    subject: str | None = None,
    word: str | None = None,
    token_prompt: str | None = None,
) -> Prompts:
    """Prompts from a motion sentence; what is given is taken as it is.

    A subject that is given and stands in the sentence is what TOKEN replaces. The token sentences
    keep the subject's article ("a panda is dancing" becomes "a <subject> is dancing").
    """
    start, end = _span(prompt)
    place = prompt.lower().find(subject.lower()) if subject else -1
    if subject and place >= 0:
        start, end = place, place + len(subject)
    phrase = subject or prompt[start:end]
    token_motion = f"{prompt[:start]}{_with_token(prompt[start:end])}{prompt[end:]}"
    return Prompts(
        prompt, phrase, word or head_noun(phrase), token_prompt or token_motion, _with_token(phrase)
    )


def head_noun(phrase: str) -> str:
    """The noun of a subject, in small letters: the last word before what describes it from behind.

    "a sleek, futuristic robot with a shiny finish" gives "robot".
    """
    words = [match[0].lower() for match in _WORD.finditer(phrase)]
    nouns: list[str] = []
    for index, word in enumerate(words[: _apposition(words)]):
        after = words[index + 1] if index + 1 < len(words) else ""
        described = word in _PREPOSITIONS | _LINKS or (  # "a flag attached to a pole"
            word.endswith("ed") and after in _PREPOSITIONS
        )
        if nouns and described:
            break
        if word not in _ARTICLES and word not in ",;.":
            nouns.append(word)
    return nouns[-1] if nouns else phrase.strip().lower()


def _with_token(phrase: str) -> str:
    first, _, rest = phrase.partition(" ")
    return f"{first} {TOKEN}" if rest and first.lower() in _ARTICLES else TOKEN


def _span(prompt: str) -> tuple[int, int]:
    """Where the subject of a sentence begins and ends."""
    introduction = _INTRODUCTION.match(prompt)
    start = introduction.end() if introduction else 0
    places = list(_WORD.finditer(prompt, start))
    words = [place[0].lower() for place in places]
    stop = next((i for i in range(1, len(words)) if _is_verb(words, i)), len(words))
    stop = min(stop, _apposition(words[:stop]))
    while stop > 1 and _leads_over(words, stop - 1):
        stop -= 1
    return (start, places[stop - 1].end()) if places else (start, len(prompt))


def _leads_over(words: list[str], index: int) -> bool:
    """Whether a word before the verb is none of the subject: "that", a comma, "elegantly"."""
    adverb = words[index].endswith("ly") and index > 1 and len(words[index]) > 4
    return adverb or words[index] in _LINKS or words[index] in ",;."


def _apposition(words: list[str]) -> int:
    """Index of the comma that ends the noun ("an astronaut, helmet in hand"), or their number.

    A comma that two plain words follow stands between adjectives ("a sleek, futuristic robot").
    """
    for index, word in enumerate(words):
        follow = words[index + 1 : index + 3]
        if word == "," and (len(follow) < 2 or set(follow) & (_PREPOSITIONS | _LINKS | {","})):
            return index
    return len(words)


def _is_verb(words: list[str], index: int) -> bool:
    """Whether the motion begins with this word."""
    word, before = words[index], words[index - 1]
    after = words[index + 1] if index + 1 < len(words) else ""
    if word in _AUXILIARIES:
        return True
    if before in _ARTICLES | _POSSESSIVES | _PREPOSITIONS:
        return False  # "a dancing panda", "a rose in spring"
    if word.endswith("ing"):
        return word not in _NOUNS_IN_ING
    if word in _VERBS:
        return index > 1
    if not word.endswith("s") or word.endswith(("ss", "us", "is", "'s")):
        return False
    # "a crab raises its claws", but not "a fox with white spots in the snow"
    if after in _ARTICLES | _POSSESSIVES:
        return True
    if set(words[:index]) & {"with", "of"}:
        return word[:-1] in _VERBS and after not in ("", "and")
    return index > 1 and (word[:-1] in _VERBS or after in _PREPOSITIONS - {"with", "of"})
