"""What users say becomes what the text models understand, and nothing changes in silence."""

import json

import pytest

from animate124.errors import UserError
from animate124.media.images import read_image
from animate124.stages.models import Models
from animate124.stages.wording import (
    Wording,
    fit_word,
    fit_wording,
    in_toybox_words,
    kind_of,
    nearest_species,
    stem,
)
from animate124.toybox.captions import (
    motion_phrase,
    motion_prompt,
    static_prompt,
    vocabulary,
    words_of,
)
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.toybox.characters import sample_clip


class Stub:
    """A profile without models."""

    def __init__(self, language):
        self.language = language

    def has(self, role):
        return False


def say(sentence, seen="car"):
    return in_toybox_words(sentence, lambda: seen)


def test_what_is_in_the_language_stays_as_it_is():
    for seed in range(150):
        clip = sample_clip(seed)
        for text in (clip.caption, motion_prompt(clip), static_prompt(clip)):
            told = say(text)
            assert (told.sentence, told.warnings, told.species) == (text, (), clip.species)
        told = say(clip.caption)
        assert told.action == clip.motion
        assert told.motion == motion_phrase(clip.species, clip.motion)
        assert told.subject + " " + told.motion in clip.caption.replace(" that is", " is")


# Sentence: what it becomes, and the words that the warnings have to name.
SENTENCES = {
    "Panda dancing!": ("a panda is dancing", ()),
    "a dancing panda": ("a panda is dancing", ()),
    "the frog jumps": ("a frog is jumping", ()),
    "a penguin flaps": ("a penguin is flapping its wings", ()),
    "an elephant flaps": ("an elephant is flapping its ears", ()),
    "a lion shakes its head": ("a lion is shaking its head", ()),
    "a grey robot does a somersault": ("a grey robot is doing a somersault", ()),
    "a dog sits": ("a dog is sitting down", ()),
    "foxes waving": ("a fox is waving", ()),
    "a frog with a red bow": ("a frog with a red bow", ()),
    "a frog that wears a hat": ("a frog is dancing", ("wears", "hat")),
    "a fox with white spots and a blue hat jumps": (
        "a fox with white spots and a blue hat is jumping",
        (),
    ),
    "a teal frog hops": ("a turquoise frog is hopping", ("teal", "turquoise")),
    "a black and white panda is dancing": ("a panda is dancing", ("black", "white")),
    "a blue and red fox is dancing": ("a blue fox is dancing", ("red",)),
    "the tiger plays guitar": (
        "a lion is dancing",
        ("tiger", "lion", "plays", "dancing", "guitar"),
    ),
    "an astronaut, helmet in hand, rides a white horse": (
        "a robot is dancing",
        ("astronaut", "robot", "rides", "dancing", "helmet", "hand", "white", "horse"),
    ),
    "a red fox gallops over a log": ("a red fox is running", ("gallops", "running", "log")),
    "a squirrel eating nut": ("a fox is nodding", ("squirrel", "fox", "eating", "nodding", "nut")),
    "a rose in a flowerpot sway in the wind": (
        "a flower is wiggling",
        ("rose", "flower", "sway", "wiggling", "flowerpot", "wind"),
    ),
    "a cute fluffy rabbit is thinking": (
        "a rabbit is dancing",
        ("cute", "fluffy", "thinking", "dancing"),
    ),
    "a fox is flapping its wings": ("a fox is dancing", ("a fox", "flapping", "dancing", "wings")),
    "a panda drives a car": ("a panda is dancing", ("a panda", "drives", "dancing", "car")),
    "a pandda is dancing": ("a panda is dancing", ("pandda", "panda")),
    "3 pandas are dancing": ("a panda is dancing", ("3",)),
    "a panda is sadly dancing": ("a panda is dancing", ("sadly",)),
    # What is in no list is what the picture looks most like: here a car.
    "a zebra": ("a car", ("zebra", "a car")),
    "a zebra meditates": ("a car is dancing", ("zebra", "car", "meditates", "dancing")),
    "a purple zebra jumps": ("a purple car is jumping", ("zebra", "car")),
    "a lighting candle": ("a car is dancing", ("candle", "car", "lighting", "dancing")),
    "a man fishing": ("a car is dancing", ("man", "car", "fishing", "dancing")),
    "a flag attached to a pole, waving": (
        "a car is dancing",
        ("flag", "car", "waving", "dancing", "attached", "pole"),
    ),
    "dancing": ("a car is dancing", ("'dancing' names no subject", "a car")),
    "a gnome with a red flower is waving": (
        "a car with a red flower is dancing",
        ("gnome", "car", "waving", "dancing"),
    ),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_other_words_become_known_ones_and_are_named(sentence):
    expected, named = SENTENCES[sentence]
    told = say(sentence)
    assert told.sentence == expected
    assert told.sentence == f"{told.subject} {told.motion}".strip()
    warned = " ".join(told.warnings)
    assert bool(told.warnings) == bool(named), warned
    for word in named:
        assert word in warned, warned
    # What came out is in the language, and said again it stays.
    assert set(words_of(told.sentence)) <= set(vocabulary())
    assert say(told.sentence) == Wording(
        told.sentence, told.subject, told.motion, (), told.species, told.action
    )
    assert told.species in SPECIES
    assert told.action is None or told.action in motions_of(told.species)


def test_every_word_of_a_user_is_kept_changed_or_named(shared_data):
    """The published captions: what is not in the result stands in a warning, or says nothing."""
    small = {"a", "an", "the", "in", "of", "on", "to", "is", "its", "with"}
    records = json.loads((shared_data / "animate124" / "benchmark.json").read_text())
    for record in records:
        told = say(record["caption"], "bear")
        warned = set(words_of(" ".join(told.warnings)))
        left = set(words_of(record["caption"])) - set(words_of(told.sentence)) - warned - small
        assert not left, (record["caption"], told)
    told = say(next(r["caption"] for r in records if r["name"] == "panda-dance"))
    assert (told.sentence, told.warnings) == ("a panda is dancing", ())


def test_a_learnt_word_is_a_subject():
    for sentence in ("a <subject> is dancing", "a <subject> is flapping its wings"):
        told = say(sentence)
        assert (told.sentence, told.warnings, told.species) == (sentence, (), None)
    told = say("the <Fox-2> gallops")
    assert told.sentence == "a <fox-2> is running" and "gallops" in told.warnings[0]


def test_without_a_picture_an_unknown_subject_is_refused():
    for sentence, words in (
        ("a zebra is dancing", "do not know 'zebra'"),
        ("is dancing", "find no subject in 'is dancing'"),
    ):
        with pytest.raises(UserError, match=f"{words}.* no picture.* panda, bear"):
            in_toybox_words(sentence)
        with pytest.raises(UserError, match=words):
            fit_wording(sentence, None, Stub("toybox"))
    for sentence in ("", "  ", "...!"):
        with pytest.raises(UserError, match="The sentence is empty"):
            fit_wording(sentence, None, Stub("photo"))


def test_models_of_any_captions_are_told_what_the_user_said():
    sentence = "An astronaut, helmet in hand, rides a white horse"
    assert fit_wording(f" {sentence}\n", None, Stub("photo")) == Wording(sentence)
    assert fit_word("astronaut", None, Stub("photo")) == ("astronaut", [])


def test_one_word_for_a_kind():
    toys = Stub("toybox")
    assert fit_word("panda", None, toys) == ("panda", [])
    word, warnings = fit_word("tiger", None, toys)
    assert word == "lion" and len(warnings) == 1 and "'tiger'" in warnings[0]
    assert fit_word("<other>", None, toys)[0] == "<other>"


def test_the_picture_decides_what_an_unknown_subject_is_called(root):
    models = Models("nano")
    for species in ("panda", "frog", "robot"):
        image = read_image(root / "config" / "inputs" / f"{species}.png")
        assert nearest_species(image, models) == species
        told = fit_wording("a gnome is walking", image, models)
        assert told.sentence == f"a {species} is walking"
        assert "'gnome'" in told.warnings[0] and f"'a {species}'" in told.warnings[0]
    assert [used["role"] for used in models.used] == ["embedding"]


def test_forms_of_words():
    assert {stem(w) for w in ("wave", "waves", "waved", "waving")} == {"wav"}
    assert {stem(w) for w in ("hop", "hops", "hopped", "hopping")} == {"hop"}
    assert {stem(w) for w in ("fly", "flies", "flying")} == {"fly"}
    assert stem("sing") == "sing" and stem("singing") == "sing" and stem("kiss") == "kis"
    assert [kind_of(w) for w in ("foxes", "pandas", "bunny", "robot's")] == [
        "fox",
        "panda",
        "rabbit",
        "robot",
    ]
    assert kind_of("fishing") is None and kind_of("training") is None and kind_of("being") is None
