"""What runs, and what runs again: the rerun matrix, decided by Snakemake's own bookkeeping.

The outputs are placeholders (`checkout.Workflow.pretend`); settings, code, pictures and table are
real files of a copied checkout, and are really changed.
"""

import shlex
import shutil

import pytest
import typer
from checkout import STAGES, Workflow, copy_checkout

from animate124.scenes.chain import STAGES as CHAIN

PANDA = "results/panda/all"
SMOKE = {"preset": "smoke"}  # at which nano's `refine` has something to add, and needs the word
# Each stage with the stages that follow it.
AFTER = {
    "preprocess": STAGES,
    "invert": ("invert", "refine", "render", "export", "evaluate"),
    "static": ("static", "dynamic", "refine", "render", "export", "evaluate"),
    "dynamic": ("dynamic", "refine", "render", "export", "evaluate"),
    "refine": ("refine", "render", "export", "evaluate"),
    "render": ("render", "evaluate"),
    "export": ("export", "evaluate"),
    "evaluate": ("evaluate",),
}
PUBLISHED = {"render": "publish_video", "export": "publish_mesh", "evaluate": "publish_metrics"}


def whole(stages, scene="panda"):
    """The jobs of a scene when these stages run: they, what publishes their files, the scene."""
    published = [PUBLISHED[stage] for stage in stages if stage in PUBLISHED]
    return sorted(f"{name} {scene}" for name in [*stages, *published, "scene"])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout in which the scene panda is all made."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    assert Workflow(folder, SMOKE).pretend(PANDA) == len(STAGES) + 5
    return folder


@pytest.fixture
def workflow(checkout):
    return Workflow(checkout, SMOKE)


def test_nothing_runs_again_when_nothing_changed(workflow):
    assert workflow.rules(PANDA) == []


@pytest.mark.parametrize("stage", STAGES)
def test_one_setting_of_a_stage(workflow, stage):
    model = CHAIN[stage].model
    name = next(n for n, f in model.model_fields.items() if f.annotation in (int, float))
    value = getattr(model(), name)
    config = {"stages": {stage: {name: value + 1}}}
    assert workflow.rules(PANDA, **config) == whole(AFTER[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_one_line_of_code_of_a_stage(workflow, change, stage):
    path = f"animate124/stages/{CHAIN[stage].code}.py"
    change(path, lambda text: text + b"\n# said otherwise\n")
    assert workflow.rules(PANDA) == []
    change(path, lambda text: text + b"\nANOTHER = 1\n")
    assert workflow.rules(PANDA) == whole(AFTER[stage])
    assert workflow.rules(PANDA, code_tracking="source") == whole(AFTER[stage])


def test_code_that_several_stages_run(workflow, change):
    change("animate124/training.py", lambda text: text + b"\nANOTHER = 1\n")
    trained = ("invert", *AFTER["static"])
    assert workflow.rules(PANDA) == whole([stage for stage in STAGES if stage in trained])


@pytest.mark.parametrize("path", ["cli/stage.py", "zoo/train.py", "scenes/plan.py"])
def test_code_that_no_stage_runs(workflow, change, path):
    change(f"animate124/{path}", lambda text: text + b"\nANOTHER = 1\n")
    assert workflow.rules(PANDA) == []


def test_a_touched_picture_and_another_picture(workflow, checkout, change):
    picture = "config/inputs/panda.png"
    change(picture, lambda content: content)
    (checkout / picture).touch()
    assert workflow.rules(PANDA) == []
    change(picture, lambda content: content + b"more")
    assert workflow.rules(PANDA) == whole(STAGES)


def test_another_sentence(workflow, change):
    change("config/scenes.tsv", lambda text: text.replace(b"is dancing", b"is walking"))
    assert workflow.rules(PANDA) == whole(AFTER["dynamic"])


def test_another_subject_in_the_sentence(workflow, change):
    change("config/scenes.tsv", lambda text: text.replace(b"a panda is", b"a bear is"))
    # `static` is told of the subject only where the text-to-image model has a say.
    assert workflow.rules(PANDA) == whole(["invert", *AFTER["dynamic"]])
    text = {"stages": {"static": {"text": 1.0}}}
    assert workflow.stages(PANDA, **text) == ["invert", *AFTER["static"]]


def test_an_added_scene_runs_alone(workflow, change):
    row = b"\nother\tconfig/inputs/fox.png\t\ta fox is running\n"
    change("config/scenes.tsv", lambda text: text + row)
    assert workflow.rules(PANDA, "results/other/all") == whole(STAGES, "other")


@pytest.fixture
def delete(checkout):
    """Take results away; they come back afterwards as they were."""
    hidden = []

    def delete(path):
        path = checkout / "results" / "panda" / path
        hidden.append((path.rename(path.with_name(f".{path.name}")), path))

    yield delete
    for place, path in hidden:
        place.rename(path)


def test_an_intermediate_that_was_deleted(workflow, delete):
    delete("dynamic/field.safetensors")
    assert workflow.rules(PANDA) == []
    delete("refine/field.safetensors")
    assert workflow.rules(PANDA) == []
    assert workflow.rules("results/panda/dynamic/field.safetensors") == ["dynamic panda"]


def test_a_result_that_was_deleted_is_published_again(workflow, delete):
    delete("metrics.json")
    assert workflow.rules("results/panda/metrics.json") == ["publish_metrics panda"]
    assert workflow.rules("results/panda/video.mp4") == []


def test_another_truth_concerns_the_scores_alone(workflow, change):
    change("config/truth/panda.yaml", lambda text: text.replace(b"dancing", b"walking"))
    assert workflow.rules(PANDA) == sorted(["truth panda", *whole(["evaluate"])])


def test_a_stage_of_one_scene(workflow, change):
    def edit(text):
        head, *rows = text.decode().rstrip("\n").split("\n")
        rows = [row + "\t" for row in rows]
        rows[0] += "{refine: {lr: 0.003}}"
        return "\n".join([head + "\tsettings", *rows]).encode()

    change("config/scenes.tsv", edit)
    assert workflow.rules(PANDA) == whole(AFTER["refine"])


def test_other_code_tracking(checkout, tmp_path, change):
    for kind in ("version", "off"):
        folder = tmp_path / kind
        shutil.copytree(checkout, folder, symlinks=True, ignore=shutil.ignore_patterns("results"))
        shutil.rmtree(folder / ".snakemake")
        workflow = Workflow(folder, {"code_tracking": kind})
        workflow.pretend("results/panda/video.mp4")
        path = folder / "animate124" / "stages" / "static.py"
        path.write_text(path.read_text() + "\nANOTHER = 1\n")
        assert workflow.rules("results/panda/video.mp4") == []


def test_what_a_target_needs(workflow, tmp_path):
    fresh = {"scenes": "config/scenes.tsv"}
    video = workflow.stages("results/fox/video.mp4", **fresh)
    assert video == ["preprocess", "invert", "static", "dynamic", "refine", "render"]
    mesh = workflow.stages("results/fox/animated.glb", **fresh)
    assert mesh == ["preprocess", "invert", "static", "dynamic", "refine", "export"]
    assert workflow.rules("results/fox/metrics.json").count("truth fox") == 1
    assert workflow.rules("default") == ["default"]


def test_batch_and_report_take_all_scenes(workflow):
    scenes = {rule.split()[1] for rule in workflow.rules("batch") if " " in rule}
    made_of_pictures = {"fox", "bluebot", "penguin", "frog", "dinosaur"}  # panda is made
    made_of_assets = {"robot", "panda3d", "fox3d", "penguin3d", "frog3d", "dinosaur3d"}
    assert scenes == made_of_pictures | made_of_assets
    assert "summary" in workflow.rules("batch")
    assert {"report", "report_page"} <= set(workflow.rules("report"))


def test_the_commands_are_understood(workflow):
    from animate124.cli import app

    program = typer.main.get_command(app)
    commands = workflow.commands("results/fox/all", profile="nano", device="cpu")
    assert set(STAGES) < set(commands)
    for stage in STAGES:
        words = shlex.split(commands[stage].partition(" > ")[0])
        call = words[words.index("animate124") + 1 :]
        assert call[0] == stage
        command = program.commands[stage]
        given = command.make_context(stage, call[1:]).params
        assert str(given["out"]) == f"results/fox/{stage}"
        assert given["device"] == "cpu"
        assert str(given["work"]) == f"results/fox/.work/{stage}"
    invert = shlex.split(commands["invert"])
    assert invert[invert.index("--word") + 1] == "fox"
    refine = shlex.split(commands["refine"])
    assert refine[refine.index("--prompt") + 1] == "an <subject> is waving"
    dynamic = shlex.split(commands["dynamic"])
    assert dynamic[dynamic.index("--prompt") + 1] == "an orange fox is waving"


def test_a_sentence_with_quotes_and_signs_arrives_as_it_is(workflow, change):
    told = "a fox's \"50 %\" {smile}: $HOME is `waving`; it's <good> & \\n"
    change(
        "config/scenes.tsv",
        lambda text: text.replace(b"an orange fox is waving", told.encode()),
    )
    dynamic = shlex.split(workflow.commands("results/fox/all")["dynamic"])
    assert dynamic[dynamic.index("--prompt") + 1] == told


def test_the_word_is_learnt_only_where_a_stage_uses_it(workflow):
    def uses(**config):
        """The stages that are told the word, if it is learnt, which is when any is."""
        commands = workflow.commands("results/fox/all", **config)
        found = [stage for stage in ("static", "refine") if "--token" in commands[stage]]
        assert ("invert" in commands) == bool(found)
        return found

    assert uses() == ["refine"]
    # Nano's ControlNet can add nothing to pictures as large as its own.
    assert uses(preset="draft") == []
    assert uses(preset="draft", stages={"refine": {"when": "always"}}) == ["refine"]
    assert uses(preset="draft", stages={"static": {"text": 0.5}}) == ["static"]
    assert uses(stages={"refine": {"when": "never"}}) == []
    assert uses(stages={"refine": {"tile": 0}}) == []
    # Of models that are not on this disk it is not known.
    assert uses(preset="draft", profile="animate124") == ["refine"]
    draft = workflow.commands("results/fox/all", preset="draft")
    assert "--prompt 'an orange fox is waving'" in draft["refine"]


def test_the_learnt_word_reaches_static_only_if_text_counts(workflow):
    without = shlex.split(workflow.commands("results/fox/all")["static"])
    assert "--token" not in without and "--prompt" not in without
    text = {"stages": {"static": {"text": 0.5}}}
    told = shlex.split(workflow.commands("results/fox/all", **text)["static"])
    assert told[told.index("--token") + 1] == "results/fox/invert"
    assert told[told.index("--prompt") + 1] == "an <subject>"
