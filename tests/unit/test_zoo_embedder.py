"""The nano embedder: its classes, losses, the measured normalisation, and the loader's reading."""

import math

import numpy as np
import pytest
import torch
import zoo_models
from toybox_samples import ball, clip_of
from zoo_models import models  # noqa: F401

from animate124.priors.embedding import Embedding
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.zoo import augment, data, embedder


@pytest.fixture(scope="module")
def task():
    return embedder.make_task(zoo_models.settings("embedding", batch=4), "cpu", None)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(data, "look", zoo_models.painted)


def test_classes_are_what_the_species_can_do():
    assert len(set(embedder.PAIRS)) == len(embedder.PAIRS)
    assert len(embedder.PAIRS) == sum(len(motions_of(species)) for species in SPECIES)
    sentence = embedder.pair_sentence("owl", "flapping")
    assert sentence == "an owl is flapping its wings"


def test_the_right_sentence_is_among_those_to_choose_from(task):
    clips, _ = task.batch(0)
    made = []
    task._tokens, kept = lambda texts: made.append(texts) or {}, task._tokens
    try:
        _, index = task._classes(clips, 0)
    finally:
        task._tokens = kept
    sentences = made[0]
    assert len(set(sentences)) == len(sentences)
    for clip, choice in zip(clips, index, strict=True):
        assert sentences[choice] == embedder.pair_sentence(clip.species, clip.motion)
        for motion in motions_of(clip.species):  # all that it could be mistaken for
            assert embedder.pair_sentence(clip.species, motion) in sentences


def test_every_clip_is_seen_from_two_sides(task):
    clips, frames = task.batch(0)
    assert len(clips) == 4 and frames.shape == (4, 4, 3, 64, 64)
    assert clips[0] is clips[1] and clips[2] is clips[3] and clips[0] is not clips[2]
    assert frames.min() >= 0 and frames.max() <= 1
    assert torch.equal(frames, task.batch(0)[1]) and not torch.equal(frames, task.batch(1)[1])


def test_times_of_loops_and_of_others(task, monkeypatch):
    asked = []

    def recording(clip, azimuth, elevation, times):
        asked.append(times)
        return zoo_models.painted(clip, azimuth, elevation, times)

    monkeypatch.setattr(data, "look", recording)
    for loop in (True, False):
        clip = clip_of(ball(), loop=loop)
        monkeypatch.setattr(data, "draw_clips", lambda rng, count, clip=clip: [clip])
        task.batch(0)
    assert np.allclose(np.diff(asked[0]) % 1.0, 0.25) and 0 <= asked[0].min() < 0.25
    assert asked[1].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])  # its end is not its start


def test_losses_by_hand(task, monkeypatch):
    """With embeddings given: two captions, of which the first belongs to two clips."""
    clips, frames = task.batch(0)
    moving = torch.nn.functional.normalize(torch.randn(4, 4, 96), dim=-1)
    bank = torch.nn.functional.normalize(torch.randn(500, 96), dim=-1)
    monkeypatch.setattr(task, "batch", lambda step: (clips, frames))
    monkeypatch.setattr(task, "_images", lambda images: moving.flatten(0, 1))
    monkeypatch.setattr(task, "_texts", lambda tokens: bank[: len(tokens["input_ids"])])
    terms = task.loss(0)
    scale = math.exp(min(task.model.logit_scale.item(), 4.6))
    means = torch.nn.functional.normalize(moving.mean(1), dim=-1).double()
    logits = scale * means @ bank[:4].double().T

    def entropy(rows):  # half of the probability for each of the clip's two sights
        logs = rows - rows.exp().sum(1, keepdim=True).log()
        return -sum(0.5 * (logs[k, k] + logs[k, k ^ 1]) for k in range(4)) / 4

    expected = 0.5 * 0.5 * (entropy(logits) + entropy(logits.T))
    assert terms["caption"].item() == pytest.approx(expected.item(), rel=1e-4)
    kinds = [list(SPECIES).index(clip.species) for clip in clips]
    rows = scale * moving[:, 0].double() @ bank[: len(SPECIES)].double().T
    logs = rows - rows.exp().sum(1, keepdim=True).log()
    expected = -0.5 * sum(logs[k, kinds[k]] for k in range(4)) / 4
    assert terms["species"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_statistics_are_measured_for_the_average(task):
    model = task.averaged()["model"]
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    first, seen = norms[0], []
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    embedder.recalibrate(model, task, batches=3)
    handle.remove()
    means = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variances = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
    assert len(seen) == 3 and norms
    assert torch.allclose(first.running_mean, means, atol=1e-5)
    assert torch.allclose(first.running_var, variances, rtol=1e-4)
    assert not model.training and all(norm.momentum == 0.1 for norm in norms)
    other = task.model.vision_model.state_dict()
    assert not any(value.any() for name, value in other.items() if "num_batches" in name)


@torch.no_grad()
def test_loaded_it_embeds_as_the_average(task, tmp_path, monkeypatch):
    zoo_models.shuffled(task)
    kept = []
    real = embedder.recalibrate

    def keeping(model, task):
        real(model, task, batches=1)
        kept.append(model)

    monkeypatch.setattr(embedder, "recalibrate", keeping)
    embedder.export(task, tmp_path / "embedding")
    loaded, network = Embedding.load(tmp_path / "embedding"), kept[0]
    assert loaded.width == 96
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    pooled = network.vision_model(pixel_values=images * 2.0 - 1.0).pooler_output.flatten(1)
    expected = torch.nn.functional.normalize(network.visual_projection(pooled), dim=-1)
    # The statistics are rounded to half precision.
    assert (loaded.embed_images(images) - expected).abs().max() < 5e-3
    text = "a red fox is jumping"
    pooled = network.text_model(**task.tokenizer([text], return_tensors="pt")).pooler_output
    expected = torch.nn.functional.normalize(network.text_projection(pooled), dim=-1)
    assert (
        loaded.embed_text([text, "a toy: a panda that is dancing"])[:1] - expected
    ).abs().max() < 1e-4


def test_disturbed_clips_stay_clips():
    frames = zoo_models.painted(
        clip_of(ball()), np.zeros(1), np.zeros(1), np.array([0.0, 0.5])
    ).rgba[0, :, :3]
    rng = data.stream(0, "d")
    made = [augment.disturbed(rng, frames) for _ in range(30)]
    assert all(m.shape == frames.shape and m.min() >= 0 and m.max() <= 1 for m in made)
    untouched = sum(torch.equal(m, frames) for m in made)
    assert 0 < untouched < 15  # a share of 0.5 · 0.6 · 0.5


def test_shipped_folder_is_whole(models):  # noqa: F811
    names = {path.name for path in (models / "embedding").iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
    } <= names
