"""Stages static, dynamic and refine from folder to folder, with the shipped models, in seconds."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from animate124 import training
from animate124.errors import UserError
from animate124.fields.store import load_field
from animate124.media.images import read_image, write_png
from animate124.priors.tokens import write_word
from animate124.settings.base import parse
from animate124.settings.dynamic import DynamicSettings
from animate124.settings.refine import RefineSettings
from animate124.settings.static import StaticSettings
from animate124.stages.dynamic import dynamic
from animate124.stages.evaluate_subject import choose
from animate124.stages.models import Models
from animate124.stages.refine import refine
from animate124.stages.static import static
from animate124.zoo.text_to_image import TEXT_WIDTH

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config" / "presets" / "smoke.yaml").read_text())
KINDS = {"static": StaticSettings, "dynamic": DynamicSettings, "refine": RefineSettings}


def settings(stage, *more):
    video = ["source=video"] if stage == "dynamic" else []  # the other: test_carry_task.py
    return parse(KINDS[stage], SMOKE[stage], [*video, *more])


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene's folder with all three stages done."""
    folder = tmp_path_factory.mktemp("scene")
    subject = folder / "preprocess"
    picture = read_image(ROOT / "config" / "inputs" / "panda.png")[::4, ::4]
    write_png(subject / "rgba.png", picture)
    static(subject, folder / "static", settings("static"), Models("nano"), "a panda")
    dynamic(
        folder / "static",
        subject,
        folder / "dynamic",
        settings("dynamic"),
        Models("nano"),
        "a panda is dancing",
    )
    refine(
        folder / "dynamic",
        subject,
        folder / "refine",
        settings("refine"),
        Models("nano"),
        "a panda is boogieing",
    )
    return folder


def record(folder):
    return json.loads((folder / "stage.json").read_text())


def test_every_stage_leaves_a_field_a_picture_and_a_record(scene):
    for stage, sheet, slices in (
        ("static", "views.png", 1), ("dynamic", "sheet.png", 4), ("refine", "sheet.png", 4),
    ):  # fmt: skip
        folder = scene / stage
        assert {p.name for p in folder.iterdir()} == {"field.safetensors", sheet, "stage.json"}
        field, _ = load_field(folder / "field.safetensors")
        assert len(field.grid.slices) == slices
        found = record(folder)
        assert found["stage"] == stage and found["profile"] == "nano"
        assert found["steps"] == settings(stage).train.steps and found["seconds"] > 0
        assert found["settings"] == settings(stage).model_dump(mode="json")
        assert not any((scene / f".{stage}.work").glob("*.safetensors"))  # nothing to resume


def test_the_record_names_models_licences_and_inputs(scene):
    roles = {
        stage: {use["role"] for use in record(scene / stage)["priors"]}
        for stage in ("static", "dynamic", "refine")
    }
    assert roles["static"] == {"novel-view"}
    assert {"text-to-video", "novel-view"} <= roles["dynamic"]
    assert "tile-control" in roles["refine"]
    for use in record(scene / "dynamic")["priors"]:
        assert use["licence"] == "Apache-2.0" and use["commercial"] is True
    assert set(record(scene / "dynamic")["inputs"]) == {"static", "rgba"}


def test_a_word_outside_the_language_is_named_and_replaced(scene):
    found = record(scene / "refine")
    assert found["prompt"] == "a panda is boogieing"
    assert found["told"] == "a panda is dancing"
    assert any("boogieing" in warning for warning in found["warnings"])


def test_a_stage_that_was_stopped_ends_with_the_same_field(scene, tmp_path, monkeypatch):
    chosen = settings("dynamic", "train.checkpoint_seconds=0")
    original, calls = training._Loop._step, []

    def stopped(self, step):
        calls.append(step)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, step)

    monkeypatch.setattr(training._Loop, "_step", stopped)
    arguments = (scene / "static", scene / "preprocess", tmp_path / "dynamic", chosen)
    with pytest.raises(KeyboardInterrupt):
        dynamic(*arguments, Models("nano"), "a panda is dancing")
    assert not (tmp_path / "dynamic").exists()
    dynamic(*arguments, Models("nano"), "a panda is dancing")
    assert calls[3:] == [2, 3]  # it went on where it stopped
    assert record(tmp_path / "dynamic")["resumed_from"] == 2
    whole, parts = (
        (folder / "field.safetensors").read_bytes()
        for folder in (scene / "dynamic", tmp_path / "dynamic")
    )
    assert whole == parts


def test_a_learnt_word_takes_part(scene, tmp_path):
    """As in the published recipe: every stage told about the subject by a word of its own."""
    write_word(tmp_path / "token.safetensors", "<subject>", torch.linspace(-0.1, 0.1, TEXT_WIDTH))
    subject = scene / "preprocess"
    static(
        subject, tmp_path / "static", settings("static", "text=1"), Models("nano"), "a <subject>",
        token=tmp_path,
    )  # fmt: skip
    refine(
        scene / "dynamic", subject, tmp_path / "refine", settings("refine"), Models("nano"),
        "a <subject> is dancing", token=tmp_path,
    )  # fmt: skip
    for stage in ("static", "refine"):
        found = record(tmp_path / stage)
        assert "token" in found["inputs"] and "<subject>" in found["told"]
    plain, told = ((f / "static" / "field.safetensors").read_bytes() for f in (scene, tmp_path))
    assert plain != told  # without the text the static stage listens to no sentence


def test_what_is_missing_or_wrong_is_one_sentence(scene, tmp_path):
    models, out = Models("nano"), tmp_path / "out"
    with pytest.raises(UserError, match=r"no file .*rgba.png.*preprocess"):
        static(tmp_path, out, settings("static"), models, "a panda")
    with pytest.raises(UserError, match=r"no file .*token.safetensors.*invert"):
        static(
            scene / "preprocess",
            out,
            settings("static", "text=1"),
            models,
            "a panda",
            token=tmp_path,
        )
    with pytest.raises(UserError, match=r"no file .*field.safetensors.*static"):
        dynamic(tmp_path, scene / "preprocess", out, settings("dynamic"), models, "a panda waves")
    with pytest.raises(UserError, match="moves already"):
        dynamic(
            scene / "dynamic",
            scene / "preprocess",
            out,
            settings("dynamic"),
            models,
            "a panda is waving",
        )
    with pytest.raises(UserError, match="sentence is empty"):
        dynamic(scene / "static", scene / "preprocess", out, settings("dynamic"), models, "")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(scene / "static" / "field.safetensors", alone)
    with pytest.raises(UserError, match=r"stage\.json"):
        dynamic(alone, scene / "preprocess", out, settings("dynamic"), models, "a panda is waving")
    assert not out.exists()


def test_refine_takes_a_still_scene_too(scene, tmp_path):
    refine(
        scene / "static",
        scene / "preprocess",
        tmp_path / "refine",
        settings("refine"),
        Models("nano"),
        "a panda",
    )
    field, _ = load_field(tmp_path / "refine" / "field.safetensors")
    assert len(field.grid.slices) == 1 and torch.isfinite(field.grid.base).all()


@pytest.mark.parametrize(
    "more, before, why",
    [
        (["size=64"], "dynamic", "64 pixels wide"),  # as large as the nano ControlNet's pictures
        (["size=64"], "static", "64 pixels wide"),
        (["when=never"], "dynamic", "settings say so"),
    ],
)
def test_what_cannot_become_sharper_is_passed_on(scene, tmp_path, capsys, more, before, why):
    where = scene / before, scene / "preprocess", tmp_path / "refine"
    refine(*where, settings("refine", *more), Models("nano"), "a panda is dancing")
    assert why in capsys.readouterr().out
    sheet = "sheet.png" if before == "dynamic" else "views.png"
    for theirs, ours in (("field.safetensors",) * 2, (sheet, "sheet.png")):
        assert (tmp_path / "refine" / ours).read_bytes() == (scene / before / theirs).read_bytes()
    found = record(tmp_path / "refine")
    assert found["steps"] == 0 and why in found["left_out"]
    assert found["elevation"] == record(scene / before)["elevation"]
    # What is scored is the last stage that did anything.
    (tmp_path / before).symlink_to(scene / before)
    assert choose(tmp_path, None) == before
    assert choose(tmp_path, "refine") == "refine"
    always = settings("refine", *more, "when=always")
    refine(*where, always, Models("nano"), "a panda is dancing")
    assert record(tmp_path / "refine")["steps"] == always.train.steps > 0
    assert choose(tmp_path, None) == "refine"
