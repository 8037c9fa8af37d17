"""Configuration, recipe, preset and row become one stage's settings; errors say from which."""

import json

import pytest

from animate124.errors import UserError
from animate124.scenes.chain import STAGES
from animate124.scenes.plan import Plan
from animate124.settings.base import known_keys

PRESETS = ("smoke", "draft", "standard", "full")
RECIPES = ("default", "paper")


@pytest.fixture
def folder(tmp_path, monkeypatch, root):
    """A working directory with a table of one scene, a preset and a recipe of its own."""
    for kind in ("presets", "recipes"):
        (tmp_path / "config" / kind).mkdir(parents=True)
    (tmp_path / "config" / "presets" / "mine.yaml").write_text(
        "static:\n  rays: 300\n  train: {steps: 30}\nrender:\n"
    )
    (tmp_path / "config" / "recipes" / "mine.yaml").write_text(
        "static: {rays: 200, views: 2, train: {steps: 20, log_every: 5}}\n"
    )
    (tmp_path / "config" / "scenes.tsv").write_text(
        "scene\timage\tprompt\televation\tseed\tsettings\n"
        "one\tone.png\ta panda is dancing\n"
        "two\ttwo.png\ta fox runs\t15\t5\t{static: {rays: 500}}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(root, **config):
    return Plan({"recipe": "mine", "preset": "mine", **config}, root)


def test_the_later_of_class_recipe_preset_config_and_row_wins(folder, root):
    config = {"stages": {"static": {"size": 48, "train": {"steps": 40}}}}
    one = plan(root, **config).settings("static", "one")
    assert one.alpha == STAGES["static"].model().alpha  # the class's
    assert (one.views, one.train.log_every) == (2, 5)  # the recipe's
    assert one.rays == 300  # the preset's
    assert (one.size, one.train.steps) == (48, 40)  # the configuration's
    two = plan(root, **config).settings("static", "two")
    assert (two.rays, two.elevation, two.train.seed) == (500, 15.0, 5)  # the row's
    assert (two.size, two.train.steps) == (48, 40)


def test_the_seed_reaches_every_stage_that_draws(folder, root):
    found = plan(root, seed=9)
    drawing = [s for s in STAGES if "train.seed" in known_keys(STAGES[s].model)]
    assert {"invert", "static", "dynamic", "refine"} <= set(drawing)
    assert {found.settings(stage, "one").train.seed for stage in drawing} == {9}
    assert {found.settings(stage, "two").train.seed for stage in drawing} == {5}


def test_a_row_may_choose_its_own_preset_recipe_and_profile(folder, root):
    (folder / "config" / "scenes.tsv").write_text(
        "scene\timage\tprompt\tpreset\trecipe\tprofile\n"
        "one\tone.png\ta panda is dancing\tsmoke\tdefault\tanimate124\n"
    )
    found = plan(root)
    assert found.settings("static", "one").views == STAGES["static"].model().views
    assert found.settings("static", "one").train.steps < 30
    assert found.profile("one") == "animate124"


def test_what_comes_as_text_from_the_command_line_is_the_same(folder, root):
    typed = {"stages": {"static": {"t_low": 0.1, "train": {"steps": 31}}}, "seed": 3, "threads": 2}
    texts = {"stages": {"static": {"t_low": "1e-1", "train": {"steps": "31"}}}, "seed": "3",
             "threads": "2"}  # fmt: skip
    one, two = plan(root, **typed), plan(root, **texts)
    assert one.settings_text("static", "one") == two.settings_text("static", "one")
    assert one.config.model_dump(exclude={"stages"}) == two.config.model_dump(exclude={"stages"})
    loop = plan(root, stages={"dynamic": {"loop": "false"}}).settings("dynamic", "one").loop
    assert loop is False
    none = plan(root, zoo_steps="null").config.zoo_steps
    assert none is None


def test_the_text_is_canonical_and_complete(folder, root):
    text = plan(root).settings_text("static", "one")
    assert json.loads(text) == plan(root).settings("static", "one").model_dump(mode="json")
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    again = STAGES["static"].model.model_validate(json.loads(text))
    assert again == plan(root).settings("static", "one")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_shipped_preset_and_recipe_fits_every_stage(root, monkeypatch, preset, recipe):
    monkeypatch.chdir(root)
    found = Plan({"preset": preset, "recipe": recipe}, root)
    for scene in found.scenes:
        for stage in STAGES:
            found.settings(stage, scene)


def test_presets_spend_more_and_more(root, monkeypatch):
    monkeypatch.chdir(root)
    for stage in ("invert", "static", "dynamic", "refine"):
        steps = [Plan({"preset": p}, root).settings(stage, "panda").train.steps for p in PRESETS]
        assert steps == sorted(set(steps)), stage


def test_the_shipped_scenes_have_picture_truth_and_prompts(root, monkeypatch):
    monkeypatch.chdir(root)
    found = Plan({}, root)
    assert next(iter(found.scenes)) == "panda" and len(found.scenes) >= 6
    ways = [found.way(name) for name in found.scenes]
    assert ways.count("animate124") == ways.count("animate3d") == 6
    for name in found.scenes:
        source = found.image if found.way(name) == "animate124" else found.asset
        assert source(name).startswith("config/inputs/")
        assert found.prompts(name).word == found.truth(name).species
        assert found.stages(name)[-1] == "evaluate"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"presett": "smoke"}, "In the configuration: Unknown setting 'presett'"),
        ({"preset": "drat"}, "There is no preset 'drat': did you mean 'draft'?"),
        ({"recipe": "papr"}, "There is no recipe 'papr': did you mean 'paper'?"),
        ({"profile": "nan"}, "Unknown priors profile 'nan': did you mean 'nano'?"),
        ({"seed": "x"}, "The setting 'seed' cannot be 'x': it must be a whole number"),
        ({"seed": True}, "The setting 'seed' cannot be True"),
        ({"threads": 0}, "The setting 'threads' cannot be 0"),
        ({"code_tracking": "sourc"}, "it must be one of source, version, off"),
        ({"scenes": "none.tsv"}, "There is no table of scenes none.tsv"),
        ({"stages": 5}, "settings by stage are of the form {static: {train: {steps: 50}}}, not 5."),
        ({"stages": {"dynamic": 5}}, "settings by stage are of the form"),
        ({"stages": {"dynamc": {}}}, "There is no stage 'dynamc': did you mean 'dynamic'?"),
        (
            {"stages": {"dynamic": {"train": {"stps": 1}}}},
            "In the configuration, stage dynamic: Unknown setting 'train.stps' for DynamicSettings:"
            " did you mean 'train.steps'?",
        ),
        (
            {"stages": {"static": {"train": {"steps": "many"}}}},
            "In the configuration, stage static: The setting 'train.steps' cannot be 'many'",
        ),
        ({"stages": {"static": {"train": 4}}}, "The setting 'train' cannot be 4: it is a group"),
        ({"stages": {"static": {"t_low": 0.99}}}, "t_low is larger than t_high"),
    ],
)
def test_what_is_wrong_in_the_configuration_is_said_in_one_sentence(folder, root, config, said):
    with pytest.raises(UserError) as error:
        plan(root, **config).scenes  # noqa: B018
    assert said in str(error.value) and "\n" not in str(error.value)


def test_errors_name_the_preset_the_recipe_and_the_row(folder, root):
    (folder / "config" / "presets" / "bad.yaml").write_text("static: {rais: 3}\n")
    with pytest.raises(
        UserError, match=r"the preset config/presets/bad.yaml, stage static: .*rais"
    ):
        plan(root, preset="bad").settings("static", "one")
    (folder / "config" / "recipes" / "bad.yaml").write_text("- static\n")
    with pytest.raises(UserError, match=r"In config/recipes/bad.yaml: settings by stage are"):
        plan(root, recipe="bad").settings("static", "one")
    (folder / "config" / "presets" / "cut.yaml").write_text("static: {rays: ")
    with pytest.raises(UserError, match=r"cut.yaml cannot be read as YAML"):
        plan(root, preset="cut").settings("static", "one")
    (folder / "config" / "scenes.tsv").write_text(
        "scene\timage\tprompt\tsettings\none\to.png\ta panda\t{static: {rays: few}}\n"
    )
    with pytest.raises(UserError, match=r"config/scenes.tsv, scene 'one', stage static: .*'few'"):
        plan(root)


def test_a_scene_that_is_not_there_and_a_picture_that_is_not_there(folder, root):
    with pytest.raises(UserError, match="There is no scene 'tow': did you mean 'two'"):
        plan(root).scene("tow")
    with pytest.raises(UserError, match="There is no scene 'x': known are one, two"):
        plan(root).scene("x")
    with pytest.raises(UserError, match=r"The image two\.png of the scene 'two' is not there"):
        plan(root).image("two")
    (folder / "two.png").write_bytes(b"")
    assert plan(root).image("two") == "two.png"
    with pytest.raises(UserError, match="The scene 'two' has no asset: give one in"):
        plan(root).asset("two")


def test_files_of_the_checkout_are_found_from_an_empty_folder(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    found = Plan({}, root)
    assert found.image("panda") == str(root / "config" / "inputs" / "panda.png")


def test_an_empty_configuration_and_empty_groups_mean_defaults(folder, root):
    assert plan(root, stages=None).settings("static", "one") == plan(root).settings("static", "one")
    empty = plan(root, stages={"static": None, "render": {}})
    assert empty.settings_text("static", "one") == plan(root).settings_text("static", "one")
