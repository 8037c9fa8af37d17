"""How the workflow is written: directives of the rules, lint, profiles, what a user is told."""

import subprocess
import sys

import pytest
import yaml
from checkout import ROOT, STAGES, Workflow

TABLE = "scene\timage\tprompt\npanda\tpanda.png\ta panda is dancing\n"


@pytest.fixture(scope="module")
def rules():
    return Workflow(ROOT).definitions()


def snakemake(folder, *arguments):
    """The user's own command, in a folder; its status and what it printed."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile"]
    run = subprocess.run(
        [*command, ROOT / "workflow" / "Snakefile", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


def test_every_rule_that_runs_something_has_what_it_should(rules):
    assert set(STAGES) < set(rules)
    running = [rule for rule in rules.values() if rule.shellcmd]
    for rule in running:
        assert rule.log and rule.message, rule.name
        assert str(rule.conda_env).endswith("environment.yml"), rule.name
    for name in STAGES:
        rule = rules[name]
        assert {"gpu", "mem_mb", "runtime", "_cores"} <= set(rule.resources), name
        assert {"settings", "code"} <= set(rule.params.keys()), name
        # A rule whose results may come from a cache may have no benchmark.
        assert rule.benchmark or name == "invert", name
        assert "directory" not in str(rule.output), name
    assert not rules["default"].shellcmd


def test_a_second_attempt_asks_for_twice_as_much_and_a_tenth_for_no_more(rules):
    for name in STAGES:
        for resource in ("mem_mb", "runtime"):
            ask = rules[name].resources[resource]._evaluator
            once, twice, often = (ask(None, attempt=n) for n in (1, 2, 10))
            assert twice == often == 2 * once > 0, name


def test_checkpoints_are_no_outputs(rules):
    for name in STAGES:
        assert f"results/{{wildcards.scene}}/.work/{name}" in rules[name].shellcmd
        assert not any(".work" in path for path in rules[name].output)


def test_the_profiles_take_up_what_was_stopped_and_go_on(root):
    for name in ("default", "slurm"):
        profile = yaml.safe_load((root / "workflow/profiles" / name / "config.yaml").read_text())
        assert profile["rerun-incomplete"] and profile["keep-going"], name
        assert profile["show-failed-logs"], name
        assert "software-deployment-method" not in profile  # --use-conda stays the user's choice
    assert profile["executor"] == "slurm" and profile["retries"] == 1


def test_catalogue_file(root):
    usage = yaml.safe_load((root / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": True, "apptainer": False}


def test_lint(root):
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


BAD = [
    (
        {"presett": "smoke"},
        "Unknown setting 'presett' for WorkflowSettings: did you mean 'preset'?",
    ),
    ({"preset": "smke"}, "There is no preset 'smke': did you mean 'smoke'?"),
    ({"recipe": "papers"}, "There is no recipe 'papers': did you mean 'paper'?"),
    ({"profile": "nanno"}, "Unknown priors profile 'nanno': did you mean 'nano'?"),
    ({"seed": "one"}, "The setting 'seed' cannot be 'one': it must be a whole number"),
    ({"code_tracking": "yes"}, "must be one of source, version, off"),
    ({"scenes": "other.tsv"}, "There is no table of scenes other.tsv: write one, or name another"),
    ({"stages": {"dinamic": {}}}, "There is no stage 'dinamic': did you mean 'dynamic'?"),
    ({"stages": {"static": {"rayss": 3}}}, "Unknown setting 'rayss' for StaticSettings: did you"),
    ({"stages": {"static": {"rays": "3"}}}, "The setting 'rays' cannot be '3': it must be a whole"),
    ({"stages": "fast"}, "settings by stage are of the form {static: {train: {steps: 50}}}"),
]


def complaint(folder, target, **config):
    """What a run says before it does anything."""
    with pytest.raises(SystemExit) as error:
        Workflow(ROOT, config, folder).rules(target)
    (sentence,) = str(error.value).splitlines()
    assert sentence.startswith("error: ") and sentence.endswith((".", "?", "FILE."))
    return sentence


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "scenes.tsv").write_text(TABLE)
    return tmp_path


@pytest.mark.parametrize(("config", "said"), BAD)
def test_a_wrong_configuration_ends_in_one_sentence(folder, config, said):
    assert said in complaint(folder, "results/panda/video.mp4", **config)


@pytest.mark.parametrize(
    ("row", "target", "said"),
    [
        ("", "results/pando/video.mp4", "There is no scene 'pando': did you mean 'panda'?"),
        ("", "results/zebra/all", "There is no scene 'zebra': known are panda."),
        ("", "results/panda/all", "The image panda.png of the scene 'panda' is not there"),
        ("panda\tp.png\ta fox", "batch", "line 3: the scene 'panda' is there already"),
        ("Fox!\tp.png\ta fox", "batch", "The setting 'scene' cannot be 'Fox!'"),
        ("fox\tp.png", "batch", "line 3: the cell 'prompt' is empty."),
    ],
)
def test_a_wrong_scene_ends_in_one_sentence(folder, row, target, said):
    (folder / "config" / "scenes.tsv").write_text(TABLE + row + "\n")
    assert said in complaint(folder, target)


def test_a_picture_may_be_missing_where_nobody_asks_for_the_scene(folder):
    (folder / "config" / "scenes.tsv").write_text(TABLE + "fox\tfox.png\ta fox is running\n")
    (folder / "fox.png").write_bytes(b"any")
    assert "static fox" in Workflow(ROOT, {}, folder).rules("results/fox/video.mp4")


def test_a_truth_that_is_none_ends_in_one_sentence(folder):
    (folder / "config" / "scenes.tsv").write_text(
        "scene\timage\tprompt\ttruth\nfox\tfox.png\ta fox is running\tfox.yaml\n"
    )
    (folder / "fox.png").write_bytes(b"any")
    said = complaint(folder, "results/fox/metrics.json")
    assert "The file fox.yaml of the scene 'fox' is not there" in said
    (folder / "fox.yaml").write_text("seed: 3\nspeces: fox\n")
    said = complaint(folder, "results/fox/metrics.json")
    assert "Unknown setting 'speces'" in said and "fox.yaml" in said


def test_the_command_line_says_the_same(folder):
    status, said = snakemake(folder, "results/pando/video.mp4")
    assert status == 1 and "Traceback" not in said and "File " not in said
    assert "error: There is no scene 'pando': did you mean 'panda'?" in said.splitlines()
    status, said = snakemake(
        folder, "-n", "results/panda/all", "--config", "stages={static: {rays: few}}"
    )
    assert status == 1
    assert "In the configuration, stage static: The setting 'rays' cannot be 'few'" in said


def test_without_a_target_the_targets_are_named(folder):
    status, said = snakemake(folder)
    assert status == 0
    assert "results/SCENE/video.mp4" in said and "Scenes: panda." in said
