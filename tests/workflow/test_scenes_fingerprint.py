"""What a stage's code and models are: semantic changes count, others do not, and where."""

import re
import shutil

import pytest

from animate124.priors import profiles
from animate124.scenes import fingerprint
from animate124.scenes.chain import STAGES
from animate124.scenes.fingerprint import LOADERS, code_digest, code_files, models_digest

ROLES = ("depth",)


@pytest.fixture
def small(tmp_path):
    """A package of that name with a stage, what it imports in every way, and what it does not."""
    files = {
        "__init__": "",
        "stages/__init__": "",
        "stages/one": (
            '"""Doc."""\nfrom animate124 import low\nfrom animate124.room.inner import thing\n'
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from animate124 import never\n"
            "def run():\n    import animate124.late\n    return low.f() + thing\n"
        ),
        "low": "def f():\n    '''Doc.'''\n    return 1\n",
        "late": "import json\n",
        "never": "X = 1\n",
        "other": "X = 1\n",
        "room/__init__": "",
        "room/inner": "from animate124.deep import *\nthing = 2\n",
        "deep": "Y = 1\n",
        "stages/models": (
            "class Models:\n    def depth(self):\n        from animate124 import depths\n"
            "    def matting(self):\n        from animate124 import mattes\n"
        ),
        "depths": "",
        "mattes": "",
    }
    for name, text in files.items():
        path = tmp_path / "animate124" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest(small):
    return code_digest("animate124.stages.one", ROLES, small)


def append(small, name, text):
    path = small / "animate124" / f"{name}.py"
    path.write_text(path.read_text() + text)


def test_imports_are_followed_from_module_to_module(small):
    names = set(code_files("animate124.stages.one", ROLES, small))
    assert {n.removeprefix("animate124").removeprefix(".") for n in names} == {
        "", "stages", "stages.one", "low", "late", "room", "room.inner", "deep",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["stages/one", "low", "late", "room/inner", "room/__init__", "deep"]
)
def test_a_line_of_code_counts_wherever_it_is_reached(small, name):
    before = digest(small)
    append(small, name, "\nZ = 3\n")
    assert digest(small) != before


@pytest.mark.parametrize("name", ["other", "never"])
def test_code_that_is_not_reached_does_not_count(small, name):
    before = digest(small)
    append(small, name, "\nZ = 3\n")
    assert digest(small) == before


def test_comments_docstrings_and_layout_do_not_count(small):
    before = digest(small)
    (small / "animate124" / "low.py").write_text(
        "# why\n\n\ndef f():\n    '''Another.\n\n    Longer.'''\n"
        "    return (\n        1  # one\n    )\n"
    )
    assert digest(small) == before
    (small / "animate124" / "low.py").write_text("def f():\n    return 2\n")
    assert digest(small) != before


def test_a_loader_counts_with_the_roles_of_the_stage_alone(small):
    module = "animate124.stages.models"
    assert {"animate124.depths"} < set(code_files(module, ("depth",), small))
    assert "animate124.mattes" not in code_files(module, ("depth",), small)
    assert "animate124.mattes" in code_files(module, ("matting",), small)
    before = code_digest(module, ("depth",), small), code_digest(module, ("matting",), small)
    append(small, "mattes", "Z = 1\n")
    after = code_digest(module, ("depth",), small), code_digest(module, ("matting",), small)
    assert before[0] == after[0] and before[1] != after[1]


def test_a_module_that_is_not_there_is_a_fault(small):
    with pytest.raises(FileNotFoundError, match=r"animate124\.stages\.two"):
        code_digest("animate124.stages.two", (), small)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_code_and_no_stage_another_ones(root, stage):
    files = code_files(STAGES[stage].module, STAGES[stage].roles, root)
    own = {f"animate124.stages.{other.code}" for other in STAGES.values()}
    assert own & set(files) == {f"animate124.stages.{STAGES[stage].code}"}
    assert not {name.split(".")[1] for name in files if "." in name} & {"cli", "scenes", "report"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_roles_of_a_stage_are_those_it_asks_models_for(root, stage):
    asked = set()
    for name, path in code_files(STAGES[stage].module, STAGES[stage].roles, root).items():
        if name.startswith("animate124.stages.") and name not in LOADERS:
            asked |= set(re.findall(r"\bmodels\.([a-z_]+)", path.read_text()))
    asked = {name.replace("_", "-") for name in asked} & set(profiles.ROLES)
    assert asked == set(STAGES[stage].roles)


def test_models_count_for_the_stages_that_use_them(root, tmp_path, monkeypatch):
    nano = root / "animate124" / "priors" / "nano" / "matting"
    copy = tmp_path / "matting"
    shutil.copytree(nano, copy)
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        f"about: a test\nroles:\n  matting:\n    model: {copy}\n    source: folder\n"
        '    licence: none\n    allow_patterns: ["*"]\n'
    )

    def both():
        for cached in (models_digest, fingerprint._identity):
            cached.cache_clear()
        return models_digest("preprocess", str(profile)), models_digest("static", str(profile))

    before = both()
    assert both() == before
    (copy / "matting.json").write_text("{}")
    after = both()
    assert after[0] != before[0] and after[1] == before[1]
