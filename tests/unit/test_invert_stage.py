"""The stage `invert`: from a matted picture to a word on disk, whatever happens on the way."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json
import os
import signal

import numpy as np
import pytest
import tiny_priors
import torch
import yaml
from bad_input import animate124, assert_one_sentence  # noqa: F401

from animate124.media.images import read_image, write_png
from animate124.priors.inversion import initial_vector
from animate124.priors.text_to_image import TextToImage
from animate124.priors.tokens import read_word, write_word
from animate124.settings.invert import InversionSettings
from animate124.stages.invert import OUTPUTS, invert
from animate124.stages.invert_task import InvertTask
from animate124.stages.models import Models
from animate124.stages.outputs import work_folder

SIZE = 16
SMALL = {"batch": 2, "lr": 0.01, "preview_images": 2, "preview_steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_priors.text_to_image(tmp_path_factory.mktemp("text-to-image"))


@pytest.fixture
def place(folder, tmp_path, monkeypatch):
    """A folder with a matted picture and two profiles; the tiny text model knows letters alone."""
    image = np.zeros((SIZE, SIZE, 4), np.float32)
    image[4:12, 4:12] = 1.0
    write_png(tmp_path / "subject" / "rgba.png", image)
    entry = {"model": str(folder), "source": "folder", "licence": "free", "commercial": True}
    roles = {"text-to-image": entry | {"allow_patterns": ["*"]}}
    for name, language in (("tiny", "photo"), ("toys", "toybox")):
        profile = {"about": "a test", "language": language, "roles": roles}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(profile))
    (tmp_path / "bare.yaml").write_text("about: nothing in it\n")
    # The tiny text model reads twelve tokens.
    few = dict.fromkeys(("photo", "toybox"), ("a {}", "{}"))
    monkeypatch.setattr("animate124.stages.invert.TEMPLATES", few)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(steps=3, **values):
    loop = {"steps": steps, "checkpoint_seconds": 1e9, "preview_every": 0}
    return InversionSettings(**SMALL, **values, train=loop)


def run(place, out="out", values=None, **more):
    models = Models(place / "tiny.yaml")
    return invert(place / "subject", place / out, values or settings(), models, "f", **more)


def test_word_samples_and_record_are_written(place, folder):
    record = run(place)
    out = place / "out"
    assert tuple(sorted(p.name for p in out.iterdir())) == tuple(sorted(OUTPUTS))
    name, vector = read_word(out / "token.safetensors")
    start = initial_vector(TextToImage.load(folder).text, "f")
    assert name == "<subject>" and vector.shape == start.shape
    # Three steps of Adam at a rate of 0.01 go at most about 0.03 far.
    assert 1e-3 < (vector - start).abs().max() < 0.035
    sheet = read_image(out / "samples.png")
    assert sheet.shape == (SIZE, 3 * SIZE, 3)  # the subject and two samples
    assert (sheet[:, :SIZE] == 1.0).all()  # white over white
    assert record == json.loads((out / "stage.json").read_text())
    assert record["start"] == record["word"] == "f" and record["steps"] == 3
    assert record["losses"]["denoise"] > 0 and record["warnings"] == []
    assert [(u["role"], u["licence"]) for u in record["priors"]] == [("text-to-image", "free")]
    assert list(record["inputs"]) == ["rgba"]


def test_what_is_not_set_depends_on_the_models():
    for language, lr, white in (("toybox", 0.005, 1.0), ("photo", 0.0005, 0.25)):
        usual = InversionSettings().for_language(language)
        assert (usual.lr, usual.white) == (lr, white)
        own = InversionSettings(lr=0.1, white=0.0).for_language(language)
        assert (own.lr, own.white) == (0.1, 0.0)


def test_the_same_again_gives_the_same_bytes(place):
    run(place)
    run(place, "again")
    for name in OUTPUTS[:2]:
        assert (place / "out" / name).read_bytes() == (place / "again" / name).read_bytes()
    # The resumable state is gone with the results safe; the log stays.
    assert not list(work_folder(place / "out").glob("*.safetensors"))


def test_killed_it_goes_on_and_ends_the_same(place, monkeypatch):
    run(place, "whole", settings(6))
    loss = InvertTask.loss

    def killed(self, step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, step)

    monkeypatch.setattr(InvertTask, "loss", killed)
    with pytest.raises(SystemExit):
        run(place, "cut", settings(6), work=place / "state")
    assert not (place / "cut").exists()
    monkeypatch.setattr(InvertTask, "loss", loss)
    record = run(place, "cut", settings(6), work=place / "state")
    assert record["resumed_from"] == 3
    for name in OUTPUTS[:2]:
        assert (place / "cut" / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_an_error_at_the_end_costs_no_training(place, monkeypatch):
    def broken(*_):
        raise OSError("no samples")

    with monkeypatch.context() as patch:
        patch.setattr(InvertTask, "preview", broken)
        with pytest.raises(OSError, match="no samples"):
            run(place)
    assert not (place / "out").exists()
    assert run(place)["resumed_from"] == 3


def test_the_command_says_what_it_did(place, animate124):
    status, errors = animate124(*COMMAND, "--profile", "tiny.yaml", "--word", "f", *FEW)
    assert status == 0 and "3 steps" in errors
    name, vector = read_word(place / "out" / "token.safetensors")
    assert name == "<subject>" and torch.isfinite(vector).all()


# What is refused.

COMMAND = ("invert", "subject", "--out", "out", "--device", "cpu")
FEW = [f"--set={key}={value}" for key, value in SMALL.items()]
FEW += ["--set=train.steps=3", "--set=train.preview_every=0"]


def rewrite(place, image):
    write_png(place / "subject" / "rgba.png", image)


def damage(place):
    path = place / "subject" / "rgba.png"
    path.write_bytes(path.read_bytes()[:-30])


BAD = {
    "no folder": (
        lambda p: os.rename(p / "subject", p / "elsewhere"),
        (),
        ("no file subject/rgba.png", "animate124 preprocess"),
    ),
    "damaged picture": (damage, (), ("subject/rgba.png is damaged or cut short",)),
    "no alpha": (
        lambda p: rewrite(p, np.ones((16, 16, 3))),
        (),
        ("has no alpha channel", "cut it out first"),
    ),
    "opaque": (
        lambda p: rewrite(p, np.ones((16, 16, 4))),
        (),
        ("opaque everywhere", "cut it out first"),
    ),
    "unknown word": (
        lambda p: None,
        ("--word", "panda"),
        ("does not know 'panda' as one word", "it reads pa+nda"),
    ),
    "no word": (lambda p: None, ("--word", ""), ("does not know '' as one word", "nothing")),
    "a word of the toybox": (  # "tiger" becomes "lion", which the tiny tokenizer cannot read
        lambda p: None,
        ("--profile", "toys.yaml", "--word", "tiger"),
        ("does not know 'lion' as one word",),
    ),
    "nothing near": (
        lambda p: None,
        ("--profile", "toys.yaml", "--word", "samovar"),
        ("do not know 'samovar'", "name one of panda, bear"),
    ),
    "a token of two words": (
        lambda p: None,
        ("--set", "token=my fox"),
        ("The token 'my fox' cannot be used", "choose another"),
    ),
    "no text-to-image model": (
        lambda p: None,
        ("--profile", "bare.yaml"),
        ("profile bare names no text-to-image model",),
    ),
    "unknown setting": (
        lambda p: None,
        ("--set", "train.step=3"),
        ("Unknown setting 'train.step'", "'train.steps'"),
    ),
    "learning rate too high": (
        lambda p: None,
        ("--set", "lr=1e38"),
        ("Training 'invert' stopped at step", "lower the learning rate"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_sentence_and_no_results(name, place, animate124):
    prepare, more, words = BAD[name]
    prepare(place)
    more = [*more, *(() if "--word" in more else ("--word", "f"))]
    more += [] if "--profile" in more else ["--profile", "tiny.yaml"]
    status, errors = animate124(*COMMAND, *FEW, *more)
    assert status == 2
    lines = [line for line in errors.splitlines(True) if line.startswith("error")]
    assert_one_sentence("".join(lines), words)
    assert "Traceback" not in errors and not (place / "out").exists()


def test_results_of_an_earlier_run_stay_whole_when_the_next_fails(place, animate124):
    (place / "out").mkdir()
    write_word(place / "out" / "token.safetensors", "<a>", torch.ones(4))
    before = (place / "out" / "token.safetensors").read_bytes()
    damage(place)
    status, _ = animate124(*COMMAND, *FEW, "--word", "f", "--profile", "tiny.yaml")
    assert status == 2
    assert [p.name for p in (place / "out").iterdir()] == ["token.safetensors"]
    assert (place / "out" / "token.safetensors").read_bytes() == before
