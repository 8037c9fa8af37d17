"""Model cards, roles and the folders that are written."""

import hashlib
import json

import pytest
import torch
import zoo_models
from torch import nn
from zoo_models import models  # noqa: F401

from animate124.errors import UserError
from animate124.training import TrainReport
from animate124.zoo import cards, folders, roles, train


def test_an_unknown_role_is_answered_with_the_nearest():
    assert roles.known("depth") == "depth"
    with pytest.raises(UserError, match="no nano model 'novelview': did you mean 'novel-view'"):
        roles.known("novelview")
    with pytest.raises(UserError, match="no nano model 'xyz': known are autoencoder, embedding,"):
        roles.known("xyz")


def test_models_are_built_in_an_order_that_works():
    done = set()
    for role in roles.MODULES:
        assert set(roles.NEEDS.get(role, ())) <= done
        done.add(role)
        assert role == roles.module_of(role).ROLE
        assert callable(roles.scores_of(role).evaluate)


def test_what_is_missing_is_named_with_the_command(models, tmp_path):  # noqa: F811
    wanted = zoo_models.settings("novel-view")
    with pytest.raises(UserError, match="run `animate124 zoo train autoencoder --models"):
        train.train("novel-view", wanted, tmp_path, tmp_path / "work", "cpu")
    (tmp_path / "autoencoder").symlink_to(models / "autoencoder")
    with pytest.raises(UserError, match="needs the embedding model"):
        train.train("novel-view", wanted, tmp_path, tmp_path / "work", "cpu")


def test_a_card_says_what_was_trained(models):  # noqa: F811
    wanted = zoo_models.settings("multi-view-video", batch=3)
    task = roles.module_of("multi-view-video").make_task(wanted, "cpu", models)
    report = TrainReport(steps=7, seconds=12.6, peak_memory_mib=1.0, peak_device_memory_mib=None)
    card = cards.describe("multi-view-video", task, wanted, report, models)
    assert card["name"] == "animate124-nano-multi-view-video"
    assert card["networks"] == {"unet": "MultiViewUNet"}
    assert (
        card["trained_parameters"]
        < card["parameters"]
        == sum(p.numel() for p in task.network.parameters())
    )
    assert (card["steps"], card["samples"], card["seconds"]) == (7, 21, 13)
    assert card["licence"] == "Apache-2.0" and card["device"]
    assert card["settings"]["batch"] == 3
    assert card["built_on"] == {
        need: cards.weights_digest(models / need) for need in ("autoencoder", "text-to-image")
    }
    assert card["earlier"] is None
    assert json.loads(json.dumps(card)) == card


def test_a_card_counts_what_led_to_the_weights_it_went_on_from(models, tmp_path):  # noqa: F811
    task = roles.module_of("depth").make_task(zoo_models.settings("depth"), "cpu", models)
    again = zoo_models.settings("depth", start="shipped")
    report = TrainReport(steps=7, seconds=12.6, peak_memory_mib=1.0, peak_device_memory_mib=None)
    counts = {"steps": 5, "samples": 40, "seconds": 9}
    for before, total in ((None, 5), (counts, 10)):
        cards.write(tmp_path / "depth", counts | {"earlier": before})
        (tmp_path / "embedding").mkdir(exist_ok=True)
        card = cards.describe("depth", task, again, report, tmp_path)
        assert card["earlier"]["steps"] == total and card["steps"] == 7
    assert f"after {total} steps, 80 samples before" in cards.text(card | {"bytes": 1})


def test_digest_and_size_are_of_the_weights_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.safetensors").write_bytes(b"one")
    (tmp_path / "sub" / "b.onnx").write_bytes(b"three")
    (tmp_path / "config.json").write_bytes(b"{}")
    assert cards.weight_bytes(tmp_path) == 8
    assert cards.weights_digest(tmp_path) == hashlib.sha256(b"onethree").hexdigest()[:16]


def test_cards_are_read_and_told(tmp_path):
    with pytest.raises(UserError, match=r"no model card .*: train the model first"):
        cards.read(tmp_path)
    card = {
        "name": "animate124-nano-depth",
        "role": "depth",
        "networks": {"model": "DPT"},
        "parameters": 1234567,
        "bytes": 2500000,
        "licence": "Apache-2.0",
        "data": "toys",
        "steps": 5,
        "samples": 4000,
        "seconds": 9,
        "device": "a CPU",
    }
    cards.write(tmp_path, card)
    assert cards.read(tmp_path) == card
    told = cards.text(card)
    assert "1,234,567 parameters, 2.5 MB, Apache-2.0" in told and "4,000 samples" in told
    assert told.endswith("not scored yet: animate124 zoo evaluate depth")
    assert cards.text(card | {"scores": {"pearson": 0.9}}).endswith("scores:\n  pearson: 0.9")
    (tmp_path / cards.NAME).write_text("{")
    with pytest.raises(UserError, match=r"is damaged .*: train again"):
        cards.read(tmp_path)


def test_weights_are_halved_and_limited(tmp_path, models):  # noqa: F811
    task = roles.module_of("autoencoder").make_task(
        zoo_models.settings("autoencoder"), "cpu", models
    )
    folders.save_model(task.model, tmp_path / "small")
    assert cards.weight_bytes(tmp_path / "small") < 2.1 * sum(
        p.numel() for p in task.model.parameters()
    )
    assert next(task.model.parameters()).dtype == torch.float32  # a copy was halved
    again = type(task.model).from_pretrained(tmp_path / "small")
    folders.save_model(again, tmp_path / "again")
    assert str(tmp_path) not in (tmp_path / "again" / "config.json").read_text()

    class Large(nn.Module):
        def save_pretrained(self, folder):
            folder.mkdir()
            with open(folder / "model.safetensors", "wb") as file:
                file.truncate((16 << 20) + 1)

    with pytest.raises(ValueError, match="16777217 bytes, more than 16777216"):
        folders.save_model(Large(), tmp_path / "large")


def test_a_failing_export_leaves_the_old_model(tmp_path):
    (tmp_path / "role").mkdir()
    (tmp_path / "role" / "old").touch()

    class Module:
        @staticmethod
        def export(task, folder):
            (folder / "half").touch()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        train.write(Module, None, tmp_path / "role", {})
    assert [path.name for path in tmp_path.rglob("*")] == ["role", "old"]
    Module.export = staticmethod(lambda task, folder: (folder / "w.onnx").write_bytes(b"four"))
    assert train.write(Module, None, tmp_path / "role", {"steps": 1}) == {"steps": 1, "bytes": 4}
    assert {path.name for path in tmp_path.rglob("*")} == {"role", "w.onnx", "card.json"}
    assert cards.read(tmp_path / "role") == {"steps": 1, "bytes": 4}
