"""Prompts derived from motion sentences: the 24 published captions, and the toybox's language."""

import pytest

from animate124.scenes.prompts import derive, head_noun
from animate124.toybox.captions import motion_phrase, subject
from animate124.toybox.characters import sample_clip

# The captions of Animate124's benchmark (spec, section 7.4): subject, its word, token sentence.
CAPTIONS = {
    "an astronaut, helmet in hand, rides a white horse": (
        "an astronaut", "astronaut", "an <subject>, helmet in hand, rides a white horse",
    ),
    "a cat singing in front of a microphone": (
        "a cat", "cat", "a <subject> singing in front of a microphone",
    ),
    "a full-bodied cat is waving its paw": (
        "a full-bodied cat", "cat", "a <subject> is waving its paw",
    ),
    "a chimpanzee playing accordion": (
        "a chimpanzee", "chimpanzee", "a <subject> playing accordion",
    ),
    "a crab raises its crawls": ("a crab", "crab", "a <subject> raises its crawls"),
    "a crocodile enthusiastically drumming on a drum set": (
        "a crocodile", "crocodile", "a <subject> enthusiastically drumming on a drum set",
    ),
    "an eagle is flying": ("an eagle", "eagle", "an <subject> is flying"),
    "Chinese flag attached to a flagpole, waving with a smooth, gentle curve": (
        "Chinese flag attached to a flagpole", "flag",
        "<subject>, waving with a smooth, gentle curve",
    ),
    "a fox maneuvering a game controller with its paws": (
        "a fox", "fox", "a <subject> maneuvering a game controller with its paws",
    ),
    "a kangaroo sitting, playing an accordion with its front paws": (
        "a kangaroo", "kangaroo", "a <subject> sitting, playing an accordion with its front paws",
    ),
    # The one that is wrong: what it does is told before what it is, and is lost with the subject.
    "a lighting candle": ("a lighting candle", "candle", "a <subject>"),
    "a lion is roaring": ("a lion", "lion", "a <subject> is roaring"),
    "lionel messi wearing a white and light blue striped soccer jersey, raising his fist": (
        "lionel messi", "messi",
        "<subject> wearing a white and light blue striped soccer jersey, raising his fist",
    ),
    "a monkey riding a bike": ("a monkey", "monkey", "a <subject> riding a bike"),
    "a panda is dancing": ("a panda", "panda", "a <subject> is dancing"),
    "a sleek, futuristic humanoid robot with a shiny silver finish, using a laptop": (
        "a sleek, futuristic humanoid robot with a shiny silver finish", "robot",
        "a <subject>, using a laptop",
    ),
    "a rose in a flowerpot sway in the wind": (
        "a rose in a flowerpot", "rose", "a <subject> sway in the wind",
    ),
    "a complete human skeleton in a relaxed position, enjoying a glass of rich red wine": (
        "a complete human skeleton in a relaxed position", "skeleton",
        "a <subject>, enjoying a glass of rich red wine",
    ),
    "a space shuttle launching": ("a space shuttle", "shuttle", "a <subject> launching"),
    "a squirrel eating nut": ("a squirrel", "squirrel", "a <subject> eating nut"),
    "a squirrel playing saxophone": ("a squirrel", "squirrel", "a <subject> playing saxophone"),
    "a tiger elegantly playing a violin": (
        "a tiger", "tiger", "a <subject> elegantly playing a violin",
    ),
    "a full-bodied tiger standing on its hind legs, confidently playing an acoustic guitar": (
        "a full-bodied tiger", "tiger",
        "a <subject> standing on its hind legs, confidently playing an acoustic guitar",
    ),
    "a Clownfish is swimming": ("a Clownfish", "clownfish", "a <subject> is swimming"),
}  # fmt: skip

OTHERS = {
    "a red fox with white spots that is dancing": (
        "a red fox with white spots", "fox", "a <subject> that is dancing",
    ),
    "a fox with white spots jumps over a log": (
        "a fox with white spots", "fox", "a <subject> jumps over a log",
    ),
    "a toy: a red fox is dancing": ("a red fox", "fox", "a toy: a <subject> is dancing"),
    "two pandas dance": ("two pandas", "pandas", "two <subject> dance"),
    "the old king waves his hand": ("the old king", "king", "the <subject> waves his hand"),
    "a big, red fox is running": ("a big, red fox", "fox", "a <subject> is running"),
    "a bus drives": ("a bus", "bus", "a <subject> drives"),
    "panda": ("panda", "panda", "<subject>"),
    "": ("", "", "<subject>"),
}  # fmt: skip


@pytest.mark.parametrize("caption", [*CAPTIONS, *OTHERS])
def test_subject_word_and_token_sentence(caption):
    found = derive(caption)
    assert (found.subject, found.word, found.token_motion) == (CAPTIONS | OTHERS)[caption]
    assert found.motion == caption


def test_there_are_all_published_captions():
    assert len(CAPTIONS) == 24


def test_the_token_sentence_of_the_subject_alone_keeps_the_article():
    assert derive("an eagle is flying").token_subject == "an <subject>"
    assert derive("lionel messi wearing a shirt").token_subject == "<subject>"


def test_every_sentence_of_the_toybox():
    for seed in range(300):
        clip = sample_clip(seed)
        found = derive(clip.caption)
        assert found.word == clip.species, clip.caption
        assert found.subject.startswith(subject(clip.species, clip.attributes)), clip.caption
        assert found.token_motion.endswith(motion_phrase(clip.species, clip.motion)), clip.caption
        assert found.token_motion.count("<subject>") == 1, clip.caption


def test_what_is_given_is_taken():
    found = derive("a lighting candle", "a candle", "wax", "a <subject> that burns")
    assert (found.subject, found.word) == ("a candle", "wax")
    assert found.token_motion == "a <subject> that burns"


def test_a_given_subject_is_replaced_where_it_stands():
    found = derive("my dear Panda Ling is dancing", subject="panda ling")
    assert found.token_motion == "my dear <subject> is dancing"
    assert derive("Something moves", subject="a ball").token_subject == "a <subject>"


def test_head_noun_of_a_described_subject():
    assert head_noun("a sleek, futuristic robot with a shiny finish") == "robot"
    assert head_noun("an astronaut, helmet in hand") == "astronaut"
    assert head_noun("flag") == "flag"
