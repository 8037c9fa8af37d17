"""Reading settings: coercion, merging, and one sentence for every mistake."""

import importlib
import pkgutil
from pathlib import Path
from typing import Literal

import pytest
from pydantic import model_validator

import animate124.settings
from animate124.errors import UserError
from animate124.settings.base import Settings, digest, known_keys, parse, setting
from animate124.settings.fit import FitSettings
from animate124.settings.training import TrainSettings


class Grid(Settings):
    levels: int = setting(8, "Resolutions", "levels", ge=1, le=16)
    bound: float = setting(1.0, "Half the side of the cube", "world units", gt=0)
    kind: Literal["hash", "dense"] = setting("hash", "How entries are found", None)


class Fit(Settings):
    image: Path = setting(..., "The reference image", None)
    prompt: str | None = setting(None, "What it does", None)
    jitter: bool = setting(True, "Whether rays are jittered", None)
    weights: tuple[float, float] = setting((1.0, 0.1), "Of colour and mask", None)
    grid: Grid = Grid()
    train: TrainSettings = TrainSettings()
    low: float = setting(0.1, "Smallest", "seconds", ge=0)
    high: float = setting(0.9, "Largest", "seconds", ge=0)

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            raise ValueError("low is larger than high")
        return self


def test_text_is_read_as_the_fields_type():
    read = parse(
        Fit,
        [
            "image=a=b.png",
            "prompt=true",
            "jitter=off",
            "weights=[2, 1e-3]",
            "grid.levels=4",
            "train.steps = 300",
            "low=1e-2",
        ],
    )
    assert read.image == Path("a=b.png") and read.prompt == "true" and read.jitter is False
    assert read.weights == (2.0, 0.001) and read.grid.levels == 4 and read.train.steps == 300
    assert read.low == 0.01 and read.grid.bound == 1.0
    assert parse(Fit, ["image=x", "prompt=null"]).prompt is None
    assert parse(Fit, ["image=null"]).image == Path("null")  # not an optional field


def test_later_sources_override_key_by_key(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text("image: a.png\ngrid:\n  levels: 4\n  bound: 2\ntrain.seed: 5\nlow: 1e-3\n")
    read = parse(Fit, path, {"grid": {"levels": 6}}, ["grid.kind=dense", "train.steps=7"])
    assert (read.grid.levels, read.grid.bound, read.grid.kind) == (6, 2.0, "dense")
    assert (read.train.seed, read.train.steps, read.low) == (5, 7, 0.001)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        TrainSettings().steps = 3


def test_an_empty_file_means_defaults(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert parse(TrainSettings, tmp_path / "empty.yaml") == TrainSettings()


@pytest.mark.parametrize(
    ("model", "source", "words"),
    [
        (TrainSettings, ["stepz=4"], ["'stepz' for TrainSettings", "did you mean 'steps'?"]),
        (TrainSettings, ["log-every=4"], ["did you mean 'log_every'?"]),
        (Fit, ["image=x", "levels=4"], ["'levels'", "did you mean 'grid.levels'?"]),
        (Fit, ["image=x", "grid.level=4"], ["'grid.level'", "did you mean 'grid.levels'?"]),
        (Fit, {"image": "x", "grid": {"level": 4}}, ["'grid.level'", "'grid.levels'?"]),
        (Grid, {"colour": 1}, ["'colour'", "known are levels, bound, kind."]),
        (Fit, ["image=x", "low.x=4"], ["'low.x'", "did you mean 'low'?"]),
        (TrainSettings, ["steps=-1"], ["'steps' cannot be '-1'", "a whole number ≥ 0 (steps"]),
        (TrainSettings, ["steps=2.5"], ["'steps' cannot be '2.5'", "a whole number ≥ 0"]),
        (TrainSettings, ["steps=many"], ["'steps' cannot be 'many'", "default 1000"]),
        (Fit, ["image=x", "grid.levels=17"], ["'grid.levels'", "≥ 1 and ≤ 16 (levels"]),
        (Fit, ["image=x", "grid.kind=tree"], ["'grid.kind'", "one of hash, dense"]),
        (Fit, ["image=x", "low=nan"], ["'low' cannot be 'nan'", "a number ≥ 0 (seconds"]),
        (Fit, ["image=x", "jitter=maybe"], ["'jitter'", "true or false"]),
        (Fit, ["image=x", "weights=[1, x]"], ["'weights", "'x'", "a list of a number"]),
        (Fit, ["image=x", "weights=[1"], ["'weights'", "brackets"]),
        (Fit, ["image=x", "low=2"], ["settings of Fit", "low is larger than high"]),
        (Fit, ["image=x", "grid=3"], ["'grid'", "'3'"]),
        (Fit, [], ["'image' (The reference image) is missing"]),
        (TrainSettings, ["steps"], ["'steps' is not of the form key=value"]),
        (TrainSettings, {"steps": True}, ["'steps' cannot be True"]),
    ],
)
def test_mistakes_become_one_sentence(model, source, words):
    with pytest.raises(UserError) as error:
        parse(model, source)
    sentence = str(error.value)
    assert all(word in sentence for word in words), sentence
    assert "\n" not in sentence and "pydantic" not in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [("- 1\n", "must hold 'key: value' lines, not a list"), ("a: [1\n", "not valid YAML")],
)
def test_bad_files_become_one_sentence(tmp_path, text, words):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as error:
        parse(TrainSettings, path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_absent_file_becomes_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml cannot be read: No such file"):
        parse(TrainSettings, tmp_path / "none.yaml")


def test_a_field_without_description_or_unit_is_refused():
    with pytest.raises(TypeError, match=r"Bare\.count has no description or unit"):

        class Bare(Settings):
            count: int = 3


def test_digest_changes_with_results_only():
    base = digest(TrainSettings())
    assert len(base) == 16 and base == digest(TrainSettings())
    assert digest(TrainSettings(seed=1)) != base
    assert digest(TrainSettings(steps=1)) != base
    assert digest(TrainSettings(log_every=3, checkpoint_seconds=1, preview_every=9)) == base
    nested = Fit(image=Path("a"))
    assert digest(Fit(image=Path("a"), train=TrainSettings(log_every=3))) == digest(nested)
    assert digest(Fit(image=Path("a"), train=TrainSettings(seed=3))) != digest(nested)


def test_known_keys_are_dotted_and_in_order():
    assert known_keys(Grid) == ["levels", "bound", "kind"]
    assert known_keys(Fit)[:5] == ["image", "prompt", "jitter", "weights", "grid.levels"]


def test_every_settings_class_of_the_package_can_be_made_from_text():
    """Every default survives being written as text and read back, whatever class is added."""
    modules = [
        importlib.import_module(f"animate124.settings.{found.name}")
        for found in pkgutil.iter_modules(animate124.settings.__path__)
    ]
    values = [value for module in modules for value in vars(module).values()]
    classes = [c for c in values if isinstance(c, type) and issubclass(c, Settings)]
    assert TrainSettings in classes
    for model in classes:
        if any(field.is_required() for field in model.model_fields.values()):
            continue
        assert parse(model, model().model_dump(mode="json")) == model()


def test_one_nested_key_keeps_the_other_defaults_of_the_outer_class():
    assert FitSettings().train.steps == 3000 != TrainSettings().steps
    one = parse(FitSettings, ["train.seed=1"])
    assert one.train == FitSettings().train.model_copy(update={"seed": 1})
    assert parse(FitSettings, {"train": {"seed": 1}}) == one
    both = parse(FitSettings, {"train": {"seed": 1}}, ["train.log_every=5"])
    assert (both.train.seed, both.train.log_every, both.train.steps) == (1, 5, 3000)
