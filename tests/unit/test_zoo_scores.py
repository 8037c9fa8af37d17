"""The zoo's scores: figures on constructed inputs, and every scorer on untrained models."""

import json
import math

import numpy as np
import pytest
import torch
import zoo_models
from zoo_models import models  # noqa: F401

from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.toybox.splits import split_of
from animate124.zoo import data, roles
from animate124.zoo.judge import Judge
from animate124.zoo.scores import autoencoder, common, embedding, novel_view


def test_decibels_by_hand():
    truth = torch.full((3, 3, 4, 4), 0.5)
    images = truth.clone()
    images[1] += 0.1  # a squared error of 0.01 everywhere
    images[2, 0] += 0.5  # of 0.25 in one of three channels
    found = common.decibels(images, truth).tolist()
    assert found == pytest.approx([100.0, 20.0, -10 * math.log10(0.25 / 3)], abs=1e-4)


def test_means_and_sheets():
    assert common.mean([True, False, False]) == 0.333
    assert common.mean(torch.tensor([1.0, 2.0, 2.0]), 1) == 1.7
    rows = [torch.zeros(3, 3, 8, 8), torch.ones(3, 3, 8, 8) * 2.0]
    made = common.sheet(rows, ("a", "b"))
    assert made.ndim == 3 and made.shape[2] == 3 and made.max() <= 1.0


def test_scored_characters_are_of_the_split_and_of_every_species():
    count = len(SPECIES)
    clips = common.clips("test", count)
    assert {split_of(clip.seed) for clip in clips} == {"test"}
    assert [clip.species for clip in clips] == list(SPECIES)
    assert len({clip.seed for clip in clips}) == count
    assert {split_of(clip.seed) for clip in common.clips("dev", 2)} == {"dev"}


def test_shrinking_loses_detail_alone():
    flat = torch.full((1, 3, 64, 64), 0.3)
    assert common.decibels(autoencoder._shrunk(flat), flat).item() > 80
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)
    assert common.decibels(autoencoder._shrunk(stripes), stripes).item() == pytest.approx(
        6.02, abs=0.1
    )  # only the mean, ½, is left


def test_sides_are_told_by_their_truth():
    truth = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    swapped = truth.clone()
    swapped[2], swapped[6] = truth[6], truth[2]
    same = truth.clone()
    same[6] = truth[2]
    assert novel_view._sides(truth, truth) == [True, True]
    assert novel_view._sides(swapped, truth) == [False, False]
    assert novel_view._sides(same, truth) == [True, False]


class Known:
    """An embedding in which the k-th sentence asked for first is the k-th unit vector."""

    def __init__(self):
        self.texts = []

    def embed_text(self, texts):
        self.texts += [text for text in texts if text not in self.texts]
        return torch.stack([torch.eye(200)[self.texts.index(text)] for text in texts])

    def embed_clip(self, clip):
        return torch.eye(200)[int(clip[0, 0, 0, 0, 0])][None]


class Acting:
    """An action recogniser sure of the k-th of the actions it is asked about, k in the clip."""

    def probabilities(self, clips, among):
        return torch.eye(len(among))[int(clips[0, 0, 0, 0, 0])][None]


def test_the_judge_takes_the_nearest_sentence_and_the_likeliest_action():
    judge = Judge(Known(), Acting())
    names = list(SPECIES)
    for k in (0, 3, len(names) - 1):
        assert judge.species(torch.full((2, 3, 1, 1), float(k))) == names[k]
    for species in ("panda", "fish"):
        for k, motion in enumerate(motions_of(species)):
            assert judge.motion(torch.full((2, 3, 1, 1), float(k)), species) == motion


def test_the_embedders_own_motions():
    known = Known()
    motions = list(motions_of("panda"))
    embedding.retrieved(known, torch.zeros(2, 3, 1, 1), "panda")  # makes the sentences known
    for k, motion in enumerate(motions):
        assert embedding.retrieved(known, torch.full((2, 3, 1, 1), float(k)), "panda") == motion


def test_the_mean_view_is_the_mean(monkeypatch):
    monkeypatch.setattr(data, "look", zoo_models.painted)
    monkeypatch.setattr(novel_view, "_MEAN_CLIPS", 3)
    seen = []

    def recording(*arguments):
        seen.append(data.over(zoo_models.painted(*arguments).rgba[:, 0]))
        return zoo_models.painted(*arguments)

    monkeypatch.setattr(data, "look", recording)
    found = novel_view.mean_views()
    assert found.shape == (8, 3, 64, 64) and len(seen) == 3
    assert torch.allclose(found, torch.stack(seen).mean(0), atol=1e-6)


BASELINES = {
    "autoencoder": "baseline_shrunk_64_white",
    "embedding": "baseline_species_chance",
    "action-recognition": "baseline_motion_chance",
    "text-to-image": "baseline_chance",
    "novel-view": "baseline_copy_reference",
    "tile-control": "baseline_blurred_4x",
    "multi-view-video": "baseline_still_agreement",
}


@pytest.mark.parametrize("role", zoo_models.ROLES)
def test_every_scorer_runs(role, models, monkeypatch):  # noqa: F811
    monkeypatch.setattr(data, "look", zoo_models.painted)
    monkeypatch.setattr(novel_view, "_MEAN_CLIPS", 1)
    scorer = roles.scores_of(role)
    if hasattr(scorer, "STEPS"):
        monkeypatch.setattr(scorer, "STEPS", 2)
    found = scorer.evaluate(models, "test", 1)
    figures = json.loads(json.dumps(found.figures))
    numbers = np.hstack([np.ravel(value) for value in figures.values()])
    assert np.isfinite(numbers).all() and BASELINES[role] in figures
    assert found.sheet is None or (found.sheet.ndim == 3 and found.sheet.shape[2] == 3)
    shares = [value for key, value in figures.items() if "top1" in key or "species" in key]
    assert all(0 <= share <= 1 for share in shares)
    if role == "multi-view-video":
        told = {key.removeprefix("told_"): value for key, value in figures.items()}
        assert told["characters"] == 4
        assert told["baseline_frozen_amplitude"] == 0 and figures["told_oracle_amplitude"] > 0
        assert told["baseline_frozen_flicker"] == 1
        # Shuffling changes the order alone.
        assert told["baseline_shuffled_amplitude"] == figures["told_oracle_amplitude"]
    if role == "embedding":
        assert figures["baseline_species_chance"] == pytest.approx(1 / len(SPECIES), abs=1e-3)


def test_copying_the_reference_is_scored_by_hand(models, monkeypatch):  # noqa: F811
    """Views that are all alike: copying is perfect, and the mean view is off by 0.2."""

    def plain(clip, azimuth, elevation, times, *_):
        rgba = torch.full((len(azimuth), len(times), 4, 64, 64), 0.4)
        return data.Sight(rgba, None, None, None)

    monkeypatch.setattr(data, "look", plain)
    monkeypatch.setattr(novel_view, "mean_views", lambda: torch.full((8, 3, 64, 64), 0.8))
    monkeypatch.setattr(novel_view, "STEPS", 1)
    figures = novel_view.evaluate(models, "test", 1).figures
    # Colour 0.4 under a share of 0.4 over white is 1.0.
    assert figures["baseline_copy_reference"] == 100.0
    assert figures["baseline_mean_training_view"] == pytest.approx(-20 * math.log10(0.2), abs=0.01)
