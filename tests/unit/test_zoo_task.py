"""What every training of the zoo shares: rates, averages, groups, and resuming to the bit."""

import math

import pytest
import torch
import zoo_models
from torch import nn
from zoo_models import models  # noqa: F401

from animate124 import checkpoints, training
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import data, roles, task


class Stopped(Exception):
    pass


class Tiny(task.ZooTask):
    """A layer whose normalisation counts along, and one part that is not trained."""

    def __init__(self, settings, stop_at=None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
            fixed = nn.Linear(2, 2).requires_grad_(False)
        super().__init__("tiny", settings, {"net": net, "fixed": fixed}, "cpu")
        self.stop_at = stop_at

    def loss(self, step):
        if step == self.stop_at:
            raise Stopped
        x = torch.randn(8, 3, generator=self.generator("x", step))
        return {"square": self.modules["net"](x).square().mean()}


def settings(steps=8, **values):
    train = TrainSettings(steps=steps, checkpoint_seconds=0)
    return ZooSettings(**({"lr": 0.1, "warmup": 2, "train": train} | values))


def everything(task):
    """All that a training leaves behind, by name."""
    return {name: p.detach().clone() for name, p in task.trained.items()} | {
        name: value.clone() for name, value in task.state().items()
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_learning_rate_by_hand():
    tiny = Tiny(settings(steps=100, warmup=4, decay=0.2))
    scale = tiny.lr_scale
    assert [scale(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert scale(80) == 1.0  # the fall begins after 80 steps
    assert scale(85) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert scale(90) == pytest.approx(0.5)
    assert scale(99) == pytest.approx(0.5 * (1 - math.cos(math.pi / 20)))
    assert Tiny(settings(steps=10, warmup=0, decay=0.0)).lr_scale(9) == 1.0
    # A fall from the first step on, while the warm-up still rises.
    assert Tiny(settings(steps=10, warmup=4, decay=1.0)).lr_scale(1) == pytest.approx(
        0.5 * 0.5 * (1 + math.cos(math.pi / 10))
    )


def test_average_by_hand():
    tiny = Tiny(settings(ema=0.5))
    weight, average = tiny.trained["net.0.bias"], tiny.average["net.0.bias"]
    start = weight.detach().clone()
    for step, (moved, expected) in enumerate(
        # keep: 1/10 at the first step, 2/11 at the second
        ((1.0, 0.9), (2.0, 0.9 * 2 / 11 + 2.0 * 9 / 11))
    ):
        with torch.no_grad():
            weight.copy_(start + moved)
        tiny.after_step(step)
        assert (average - start).tolist() == pytest.approx([expected] * 4, rel=1e-5)
    before = average.clone()
    tiny.after_step(1000)  # (1 + step) / (10 + step) is past the limit now
    assert torch.allclose(average, 0.5 * before + 0.5 * weight, atol=1e-6)


def test_what_is_trained_and_how():
    tiny = Tiny(settings(weight_decay=0.3))
    assert set(tiny.trained) == {f"net.{k}.{w}" for k in (0, 1, 2) for w in ("weight", "bias")}
    decayed, plain = tiny.parameters()
    assert [name for name, _ in decayed["params"]] == ["net.0.weight", "net.2.weight"]
    assert decayed["weight_decay"] == 0.3 and plain["weight_decay"] == 0.0 and plain["lr"] == 0.1
    assert set(tiny.buffers) == {
        f"net.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_gradients_are_clipped_together():
    tiny = Tiny(settings(clip_norm=0.5))
    optimizer = tiny.optimizer()
    for p in tiny.trained.values():
        p.grad = torch.ones_like(p)
    count = sum(p.numel() for p in tiny.trained.values())
    optimizer.step()
    grads = torch.cat([p.grad.flatten() for p in tiny.trained.values()])
    assert grads.tolist() == pytest.approx([0.5 / math.sqrt(count)] * count, rel=1e-4)


def test_the_average_is_what_ships(tmp_path):
    tiny = Tiny(settings())
    training.run(tiny, tiny.settings.train, tmp_path, "x")
    shipped = tiny.averaged()
    assert not any(module.training for module in shipped.values())
    own = dict(shipped["net"].named_parameters())
    for name, value in tiny.average.items():
        assert torch.equal(own[name.removeprefix("net.")], value)
        assert not torch.equal(value, tiny.trained[name])
    assert torch.equal(shipped["net"][1].running_mean, tiny.modules["net"][1].running_mean)
    assert torch.equal(shipped["fixed"].weight, tiny.modules["fixed"].weight)
    assert tiny.modules["net"].training  # the copies alone were changed


def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path):
    whole = Tiny(settings())
    training.run(whole, whole.settings.train, tmp_path / "whole", "x")
    with pytest.raises(Stopped):
        training.run(Tiny(settings(), 5), settings().train, tmp_path / "cut", "x")
    resumed = Tiny(settings())
    report = training.run(resumed, resumed.settings.train, tmp_path / "cut", "x")
    assert report.resumed_from == 5
    assert resumed.buffers["net.1.num_batches_tracked"] == 8
    assert_same(everything(resumed), everything(whole))
    fresh = everything(Tiny(settings()))
    assert not any(torch.equal(fresh[name], value) for name, value in everything(whole).items())


@pytest.mark.parametrize("role", ["embedding", "autoencoder", "novel-view"])
def test_the_real_trainings_resume_to_the_bit(role, models, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(data, "look", zoo_models.painted)
    # With pictures that are used again the second step is in the middle of them.
    wanted = zoo_models.settings(role, steps=2, batch=4 if role == "novel-view" else 2)
    train = wanted.train.model_copy(update={"checkpoint_seconds": 0})

    def make():
        return roles.module_of(role).make_task(wanted, "cpu", models)

    whole, cut, resumed = make(), make(), make()
    training.run(whole, train, tmp_path / "whole", "x")
    loss = cut.loss

    def stopping(step):
        if step == 1:
            raise Stopped
        return loss(step)

    monkeypatch.setattr(cut, "loss", stopping)
    with pytest.raises(Stopped):
        training.run(cut, train, tmp_path / "cut", "x")
    assert (tmp_path / "cut" / checkpoints.NAME).exists()
    assert training.run(resumed, train, tmp_path / "cut", "x").resumed_from == 1
    assert_same(everything(resumed), everything(whole))
    counted = [value for name, value in whole.buffers.items() if "num_batches" in name]
    assert all(value == 2 for value in counted) and bool(counted) == (role == "embedding")
