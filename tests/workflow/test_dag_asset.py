"""The rerun matrix of scenes that start from an asset; test_dag.py has that of pictures."""

import shlex

import pytest
import typer
from checkout import Workflow, copy_checkout

from animate124.scenes.chain import ROUTES
from animate124.scenes.chain import STAGES as CHAIN

ROBOT = "results/robot/all"
STAGES = ROUTES["animate3d"]
# Each stage with the stages that follow it.
AFTER = {stage: STAGES[index:] for index, stage in enumerate(STAGES)}
PUBLISHED = {"render": "publish_video", "mesh": "publish_mesh", "evaluate": "publish_metrics"}


def whole(stages, scene="robot"):
    """The jobs of a scene when these stages run: they, what publishes their files, the scene."""
    published = [PUBLISHED[stage] for stage in stages if stage in PUBLISHED]
    return sorted(f"{name} {scene}" for name in [*stages, *published, "scene"])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout in which the scene robot is all made."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    assert Workflow(folder).pretend(ROBOT) == len(STAGES) + 5
    return folder


def test_nothing_runs_again_when_nothing_changed(workflow):
    assert workflow.rules(ROBOT) == []


@pytest.mark.parametrize("stage", STAGES)
def test_one_setting_of_a_stage(workflow, stage):
    model = CHAIN[stage].model
    name = next(n for n, f in model.model_fields.items() if f.annotation in (int, float))
    config = {"stages": {stage: {name: getattr(model(), name) + 1}}}
    assert workflow.rules(ROBOT, **config) == whole(AFTER[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_one_line_of_code_of_a_stage(workflow, change, stage):
    path = f"animate124/stages/{CHAIN[stage].code}.py"
    change(path, lambda text: text + b"\nANOTHER = 1\n")
    assert workflow.rules(ROBOT) == whole(AFTER[stage])


def test_a_touched_asset_and_another_asset(workflow, checkout, change):
    asset = "config/inputs/assets/robot.glb"
    change(asset, lambda content: content)
    (checkout / asset).touch()
    assert workflow.rules(ROBOT) == []
    change(asset, lambda content: content + b"more")
    assert workflow.rules(ROBOT) == whole(STAGES)


def test_another_sentence(workflow, change):
    change("config/scenes.tsv", lambda text: text.replace(b"a robot is waving", b"a robot runs"))
    assert workflow.rules(ROBOT) == whole(AFTER["generate"])


def test_another_truth_concerns_the_scores_alone(workflow, change):
    change("config/truth/assets/robot.yaml", lambda text: text.replace(b"waving", b"walking"))
    assert workflow.rules(ROBOT) == sorted(["truth robot", *whole(["evaluate"])])


def table(checkout, *row):
    """A table of one scene in the checkout, with these columns and cells."""
    path = checkout / "config" / "other.tsv"
    lines = ["\t".join(cells) for cells in zip(*row, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return {"scenes": "config/other.tsv"}


def test_a_picture_on_this_route_becomes_an_asset_first(workflow, checkout):
    config = table(
        checkout, ("scene", "fig"), ("image", "config/inputs/panda.png"),
        ("prompt", "a panda is dancing"), ("route", "animate3d"),
    )  # fmt: skip
    rules = workflow.rules("results/fig/video.mp4", **config)
    # No text in `static`: the word is not learnt.
    stages = [s for s in ROUTES["bridge"] if s not in ("invert", "evaluate")]
    assert rules == sorted(f"{name} fig" for name in [*stages, "publish_video"])
    commands = workflow.commands("results/fig/video.mp4", **config)
    assert "animate124 intake results/fig/surface/animated.glb" in commands["intake"]
    assert "animate124 export results/fig/static --out results/fig/surface" in commands["surface"]


def test_gaussians_have_no_mesh(workflow, checkout):
    (checkout / "cloud.ply").write_bytes(
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float f_dc_0\n"
        b"end_header\n0 0\n"
    )
    config = table(checkout, ("scene", "fog"), ("asset", "cloud.ply"), ("prompt", "a fog swirls"))
    assert workflow.stages("results/fog/all", **config) == ["render", "evaluate"]
    rules = workflow.rules("results/fog/all", **config)
    assert not {"mesh fog", "publish_mesh fog"} & set(rules)
    commands = workflow.commands("results/fog/all", **config)
    assert "animate124 render results/fog/polish" in commands["render"]
    with pytest.raises(SystemExit, match=r"'fog' is made of Gaussians and has no animated\.glb"):
        workflow.rules("results/fog/animated.glb", **config)


def test_the_commands_are_understood(workflow):
    from animate124.cli import app

    program = typer.main.get_command(app)
    commands = workflow.commands("results/fox3d/all", profile="nano", device="cpu")
    assert set(STAGES) < set(commands)
    for stage in STAGES:
        words = shlex.split(commands[stage].partition(" > ")[0])
        call = words[words.index("animate124") + 1 :]
        assert call[0] == {"mesh": "animate-mesh"}.get(stage, stage)
        given = program.commands[call[0]].make_context(stage, call[1:]).params
        assert str(given["out"]) == f"results/fox3d/{stage}"
        assert str(given["work"]) == f"results/fox3d/.work/{stage}"
    for stage in ("generate", "polish"):
        words = shlex.split(commands[stage])
        assert words[words.index("--prompt") + 1] == "a fox is walking"
