"""Captions say what is there, in a closed language."""

from animate124.toybox.captions import (
    caption,
    details,
    motion_phrase,
    motion_prompt,
    static_prompt,
    subject,
    vocabulary,
    words_of,
)
from animate124.toybox.characters import SPECIES, motions_of, sample_clip


def test_the_parts_of_a_caption():
    marks = {"color": "orange", "pattern": "white spots", "accessory": "blue scarf"}
    assert subject("panda", {}) == "a panda"
    assert subject("owl", {}) == "an owl"
    assert subject("fox", marks) == "an orange fox"
    assert details(marks) == "with white spots and a blue scarf"
    assert details({"accessory": "orange hat"}) == "with an orange hat"
    assert details({"color": "red"}) == ""
    assert motion_phrase("panda", "shaking") == "is shaking its head"
    assert motion_phrase("penguin", "flapping") == "is flapping its wings"
    assert motion_phrase("bear", "flapping") == "is flapping its arms"
    assert motion_phrase("elephant", "flapping") == "is flapping its ears"


def test_paraphrases_are_chosen_by_seed_and_mean_the_same():
    marks = {"color": "red", "accessory": "blue hat"}
    said = {caption("fox", "dancing", marks, seed) for seed in range(200)}
    assert said == {
        template.format(toy)
        for toy in ("a red fox", "a red fox with a blue hat")
        for template in ("{} is dancing", "{} that is dancing", "a toy: {} is dancing")
    }
    assert caption("fox", "dancing", marks, 7) == caption("fox", "dancing", marks, 7)


def test_prompts_of_a_clip_are_the_halves_of_its_caption():
    clip = sample_clip(11, "fox", "sitting")
    toy = subject("fox", clip.attributes)
    assert motion_prompt(clip) == f"{toy} is sitting down"
    assert toy in static_prompt(clip)
    assert "sitting" not in static_prompt(clip)
    assert toy in clip.caption and clip.caption.endswith("is sitting down")


def test_the_vocabulary_is_closed_and_holds_every_name():
    known = set(vocabulary())
    assert tuple(sorted(known)) == vocabulary()
    assert set(SPECIES) <= known
    for seed in range(250):
        clip = sample_clip(seed)
        for text in (clip.caption, static_prompt(clip), motion_prompt(clip)):
            assert set(words_of(text)) <= known, text
    for species in SPECIES:
        for motion in motions_of(species):
            assert set(words_of(motion_phrase(species, motion))) <= known


def test_words_keep_hyphens_and_drop_punctuation():
    assert words_of("A toy: a Red-brown fox!") == ("a", "toy", "a", "red-brown", "fox")


def test_captions_name_what_the_rig_wears():
    dressed = 0
    for seed in range(200):
        clip = sample_clip(seed)
        parts = " ".join(part.name for part in clip.rig.parts)
        accessory = clip.attributes.get("accessory")
        if accessory is not None:
            dressed += 1
            assert accessory.split()[-1] in parts
        elif clip.species != "snowman":
            assert "scarf" not in parts and "bow" not in parts.replace("elbow", "")
    assert dressed > 30
