"""The nano action recogniser's training: batches, the loss by hand, and learning."""

import math

import pytest
import torch
import zoo_models

from animate124.priors.action import ActionRecognition
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.zoo import action, data


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(data, "look", zoo_models.painted)


def make(**values):
    return action.make_task(zoo_models.settings("action-recognition", **values), "cpu", None)


def test_it_knows_every_motion():
    assert {motion for species in SPECIES for motion in motions_of(species)} <= set(action.LABELS)


def test_batches_depend_on_the_step_alone():
    one, other = make(batch=6, echo=3), make(batch=6, echo=3)
    clips, frames = one.batch(60)
    assert len(clips) == 6 and frames.shape == (6, 8, 3, 64, 64)
    assert frames.min() >= 0 and frames.max() <= 1
    for step in (0, 25, 50):  # what it has seen before changes nothing
        other.batch(step)
    again, same = other.batch(60)
    assert [c.seed for c in again] == [c.seed for c in clips] and torch.equal(frames, same)


def test_clips_are_used_again_later(monkeypatch):
    rendered = []

    def look(clip, *given, **options):
        rendered.append(clip.seed)
        return zoo_models.painted(clip, *given, **options)

    monkeypatch.setattr(data, "look", look)
    task = make(batch=6, echo=3)
    first = task.batch(0)
    assert len(rendered) == 6
    later = task.batch(25)
    assert len(rendered) == 8  # two are new, the others were there before
    assert {c.seed for c in later[0]} & {c.seed for c in first[0]}
    for step in range(26, 120):
        task.batch(step)
    assert len(task._rendered) <= 3 * 25 + 2  # and forgotten in the end


def test_the_loss_by_hand():
    task = make(batch=4, echo=2)
    clips, frames = task.batch(0)
    found = task.loss(0)["motion"].item()
    expected = 0.0
    task.network.train()
    logits = task.network(frames * 2 - 1).double().tolist()
    for clip, row in zip(clips, logits, strict=True):
        can = [action.LABELS.index(m) for m in motions_of(clip.species)]
        total = sum(math.exp(row[k]) for k in can)
        expected -= math.log(math.exp(row[action.LABELS.index(clip.motion)]) / total) / 4
    assert found == pytest.approx(expected, rel=1e-4)


def test_it_learns_a_batch():
    task = make(batch=4, echo=1)
    clips, frames = task.batch(0)
    task.batch = lambda step: (clips, frames)
    optimizer = task.optimizer()
    losses = []
    for step in range(12):
        loss = task.loss(step)["motion"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_loaded_it_says_what_the_average_says(tmp_path, monkeypatch):
    task = zoo_models.shuffled(make(batch=4))
    kept = []
    real = action.recalibrate

    def keeping(network, task):
        real(network, task, batches=2)
        kept.append(network)

    monkeypatch.setattr(action, "recalibrate", keeping)
    (tmp_path / action.ROLE).mkdir()
    action.export(task, tmp_path / action.ROLE)
    assert {p.name for p in (tmp_path / action.ROLE).iterdir()} == {
        "config.json", "diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    shown = task.batch(1)[1]
    expected = ActionRecognition(kept[0], "").probabilities(shown)
    loaded = ActionRecognition.load(tmp_path / action.ROLE)
    assert loaded.labels == list(action.LABELS)
    # The statistics are rounded to half precision.
    assert (loaded.probabilities(shown) - expected).abs().max() < 5e-3
    further = action.make_task(zoo_models.settings(action.ROLE, start="shipped"), "cpu", tmp_path)
    assert further.average.keys() == task.average.keys()
    for name, value in task.average.items():
        assert torch.equal(further.average[name], value), name
