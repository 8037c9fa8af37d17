"""The zoo's training data: what depends on seed and step, the splits, compositing, directions."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toybox_samples import GREEN, RED, ball, clip_of

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.toybox.catalogue import motions_of
from animate124.toybox.characters import sample_clip
from animate124.toybox.render import render
from animate124.toybox.splits import split_of
from animate124.zoo import data, multiview_video, text_to_image, tile_control

HANDS = clip_of(
    ball(0.2, name="body"),
    ball(0.1, (0.35, 0.0, 0.0), GREEN, name="left hand"),
    ball(0.1, (-0.35, 0.0, 0.0), RED, name="right hand"),
)


def test_streams_are_told_apart_by_every_part_of_their_key():
    def first(*key):
        return data.stream(*key).random()

    assert first(0, "a", 1) == first(0, "a", 1)
    assert len({first(0, "a", 1), first(1, "a", 1), first(0, "b", 1), first(0, "a", 2)}) == 4


def test_only_characters_of_the_training_split_are_drawn(monkeypatch):
    monkeypatch.setattr(data.characters, "sample_clip", lambda seed, species: (seed, species))
    drawn = data.draw_clips(data.stream(0, "x"), 4000, "panda")
    assert {split_of(seed) for seed, _ in drawn} == {"train"}
    assert {seed % 20 for seed, _ in drawn} == set(range(18))  # all of them
    assert len({seed for seed, _ in drawn}) == 4000  # of 2^40 blocks
    assert {species for _, species in drawn} == {"panda"}
    assert drawn == data.draw_clips(data.stream(0, "x"), 4000, "panda")


def test_compositing_is_rendering_over_that_background():
    clip, azimuth, elevation = sample_clip(3), np.array([20.0, 200.0]), np.array([0.0, 30.0])
    times, color = np.array([0.1, 0.6]), (0.2, 0.9, 0.4)
    sight = data.look(clip, azimuth, elevation, times, 24)
    assert sight.rgba.shape == (2, 2, 4, 24, 24) and sight.depth is None
    cameras = Cameras(orbit(torch.tensor(azimuth), torch.tensor(elevation)), DEFAULT_FOV_Y, 24, 24)
    truth = render(clip, times, cameras, 2, background=color, channels=("rgb",))
    expected = torch.from_numpy(truth.rgb).permute(0, 1, 4, 2, 3)
    found = data.over(sight.rgba, torch.tensor(color)[:, None, None])
    assert (found - expected).abs().max() < 1e-6
    partly = (sight.rgba[:, :, 3] > 0) & (sight.rgba[:, :, 3] < 1)
    assert partly.any()  # edges were compared too


def test_over_by_hand():
    pixel = torch.tensor([0.3, 0.0, 0.1, 0.4])[:, None, None]
    assert data.over(pixel).flatten().tolist() == pytest.approx([0.9, 0.6, 0.7])
    assert data.over(pixel, 0.5).flatten().tolist() == pytest.approx([0.6, 0.3, 0.4])


def test_a_camera_at_positive_azimuth_sees_the_left_side():
    angles = np.array([90.0, -90.0, 0.0])
    right, left, front = data.look(HANDS, angles, np.zeros(3), np.zeros(1), 32).rgba[:, 0]

    def colored(image):  # pixels that are clearly red, clearly green
        return [int((image[a] > image[b] + 0.3).sum()) for a, b in ((0, 1), (1, 0))]

    assert colored(right)[0] == 0 and colored(right)[1] > 5
    assert colored(left)[0] > 5 and colored(left)[1] == 0
    # From the front the subject's left hand is on the image's right.
    assert colored(front[:, :, 16:])[0] == 0 and colored(front[:, :, 16:])[1] > 5
    assert colored(front[:, :, :16])[0] > 5 and colored(front[:, :, :16])[1] == 0


def test_depth_comes_where_it_is_asked_for():
    sight = data.look(HANDS, np.zeros(1), np.zeros(1), np.zeros(1), 17, samples=1, depth=True)
    assert sight.depth.shape == (1, 1, 1, 17, 17)
    # The camera stands 2.2 before the origin, the ball's front 0.2 nearer.
    assert sight.depth[0, 0, 0, 8, 8].item() == pytest.approx(2.0, abs=0.01)
    assert sight.depth[0, 0, 0, 0, 0] == 0


def test_backgrounds():
    white = data.plain_backgrounds(data.stream(0, "w"), 5, white=1.0)
    assert white.shape == (5, 3, 1, 1) and (white == 1).all()
    plain = data.plain_backgrounds(data.stream(0, "w"), 2000)
    assert 0.71 < (plain == 1).flatten(1).all(1).float().mean() < 0.79
    assert not (data.plain_backgrounds(data.stream(0, "w"), 50, white=0.0) == 1).all(1).any()
    drops, again = (data.backgrounds(data.stream(4, "b"), 24, 16) for _ in range(2))
    assert torch.equal(drops, again) and drops.min() >= 0 and drops.max() <= 1
    deviation = drops.flatten(2).std(2).mean(1)
    assert (deviation < 0.04).any() and (deviation > 0.1).any()  # plain ones and varied ones


def test_view_words():
    words = {44.9: "front", 45.0: "side", 134.9: "side", 135.0: "back", 180.0: "back", 0.0: "front"}
    for azimuth, word in words.items():
        for angle in (azimuth, -azimuth, azimuth + 360.0, azimuth - 720.0):
            assert text_to_image.view_word(angle) == word


def test_prompts_leave_out_what_they_may():
    clip, rng = sample_clip(3), data.stream(0, "p")
    texts = [text_to_image.prompt(rng, clip, 90.0) for _ in range(2000)]
    said = [text for text in texts if text]
    assert abs(len(said) / 2000 - 0.9) < 0.03
    views = [text for text in said if text.endswith(", side view")]
    assert abs(len(views) / len(said) - 0.6) < 0.05
    assert len({text.removesuffix(", side view") for text in said}) == 3
    # Videos' sentences always name the motion.
    from animate124.toybox.captions import motion_phrase

    phrase = motion_phrase(clip.species, clip.motion)
    videos = [multiview_video.prompt(rng, clip, 0.0) for _ in range(200)]
    assert all(phrase in text for text in videos if text) and "" in videos


def test_some_clips_are_made_to_begin_at_rest(monkeypatch):
    rng, clip, styles = data.stream(0, "r"), sample_clip(3), []
    perform = data.characters.perform

    def performed(character, motion, style):
        styles.append(style)
        return perform(character, motion, style)

    monkeypatch.setattr(data.characters, "perform", performed)
    drawn = [data.resting(rng, clip, 0.25) for _ in range(200)]
    others = [one for one in drawn if one is not clip]
    assert 30 < len(others) < 70
    assert all((one.species, one.motion) == (clip.species, clip.motion) for one in others)
    # At phase 0 every motion passes through the rest pose; wide and narrow differ, nothing else.
    assert {(style.phase, style.cycles, style.mirror) for style in styles} == {(0.0, 1, False)}
    assert len(set(styles)) == len(styles) == len(others)


def test_what_is_learnt_least_is_drawn_most():
    rng, clip = data.stream(0, "o"), sample_clip(3)
    known = motions_of(clip.species)
    often = dict.fromkeys(known, 0.0) | {known[0]: 3.0, known[1]: 1.0}
    drawn = [data.resting(rng, clip, 1.0, often) for _ in range(200)]
    counts = Counter(one.motion for one in drawn)
    assert set(counts) == {known[0], known[1]} and 120 < counts[known[0]] < 180
    assert {one.species for one in drawn} == {clip.species}


def test_spoilt_images_keep_their_place_and_lose_detail(monkeypatch):
    monkeypatch.setattr(tile_control, "_TWICE", 0.0)
    monkeypatch.setattr(tile_control, "_MISTY", 0.0)
    x = torch.arange(64) % 2
    stripes = x.float().expand(6, 3, 64, 64).clone()
    flat = torch.full((6, 3, 64, 64), 0.25)
    for image, name in ((stripes, "stripes"), (flat, "flat")):
        spoilt = tile_control.spoil(data.stream(0, name), image, image)
        again = tile_control.spoil(data.stream(0, name), image, image)
        assert spoilt.shape == image.shape and torch.equal(spoilt, again)
        assert spoilt.min() >= 0 and spoilt.max() <= 1
        noisy = spoilt.var((1, 2, 3)) > 1e-8
        if name == "flat":
            assert torch.allclose(spoilt[~noisy], torch.tensor(0.25)) and noisy.any()
            assert (spoilt - 0.25).abs().mean() < 0.08
        else:
            assert (spoilt.std((1, 2, 3)) < 0.3).all()  # of 0.5: the finest stripes are gone
    # A bright half stays on its side.
    half = torch.zeros(4, 3, 64, 64)
    half[..., 32:] = 1.0
    spoilt = tile_control.spoil(data.stream(0, "half"), half, 1 - half)
    assert spoilt[..., 44:].mean() > 0.9 and spoilt[..., :20].mean() < 0.1


def test_spoilt_images_show_another_moment_and_mist(monkeypatch):
    dark, green = torch.zeros(24, 3, 64, 64), torch.zeros(24, 3, 64, 64)
    green[:, 1] = 1.0
    monkeypatch.setattr(tile_control, "_TWICE", 1.0)
    monkeypatch.setattr(tile_control, "_MISTY", 0.0)
    both = tile_control.spoil(data.stream(0, "g"), dark, green).mean((2, 3))
    assert both[:, 1].min() > 0.05 and both[:, 1].max() < 0.55  # a tenth to a half, and noise
    assert both[:, [0, 2]].max() < 0.05
    monkeypatch.setattr(tile_control, "_TWICE", 0.0)
    monkeypatch.setattr(tile_control, "_MISTY", 1.0)
    misty = tile_control.spoil(data.stream(0, "m"), dark, green)
    # White of all colours, in places.
    assert (misty.mean((2, 3)).std(1) < 0.05).all()
    assert (misty.amax((1, 2, 3)) > 0.2).float().mean() > 0.8
    assert (misty.amin((1, 2, 3)) < 0.05).all()


def test_tile_batches_know_another_moment_of_the_same_view(monkeypatch):
    seen = {}

    def spoil(rng, images, others):
        seen.update(images=images, others=others)
        return images

    def look(clip, azimuth, elevation, times):
        rgba = torch.ones(len(azimuth), len(times), 4, 8, 8)
        for v, view in enumerate(azimuth):
            for f, time in enumerate(times):
                rgba[v, f, 0], rgba[v, f, 1] = view / 360.0, float(time)
        return data.Sight(rgba, *[torch.zeros(1)] * 3)

    monkeypatch.setattr(tile_control, "spoil", spoil)
    monkeypatch.setattr(data, "look", look)
    tile_control.TileControlTask.batch(
        SimpleNamespace(
            seed=0, name="t", settings=tile_control.DEFAULTS.model_copy(update={"batch": 8})
        ),
        0,
    )
    images, others = seen["images"], seen["others"]
    assert images.shape == others.shape == (8, 3, 8, 8)
    assert torch.equal(images[:, 0], others[:, 0])
    assert (images[:, 1] != others[:, 1]).all()
    assert torch.equal(images[0::2, 1], others[1::2, 1])


def test_azimuths_are_mostly_near_the_front():
    from animate124.zoo.diffusion import front_biased

    angles = front_biased(data.stream(0, "f"), 20000)
    near = np.abs(angles) <= 60
    assert np.abs(angles).max() <= 180
    assert abs(near.mean() - (0.5 + 0.5 / 3)) < 0.02
    assert abs((angles > 0).mean() - 0.5) < 0.02
