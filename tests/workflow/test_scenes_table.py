"""The table of scenes: what a row may leave out, and one sentence for what is wrong with it."""

import pytest

from animate124.errors import UserError
from animate124.scenes.chain import ROUTES
from animate124.scenes.table import COLUMNS, read_table

HEAD = "scene\timage\tprompt"


def table(tmp_path, *lines):
    path = tmp_path / "scenes.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_three_columns_are_enough(tmp_path):
    found = read_table(table(tmp_path, HEAD, "panda\tp.png\ta panda is dancing"))
    assert list(found) == ["panda"]
    assert found["panda"].image == "p.png"
    assert found["panda"].prompt == "a panda is dancing"
    assert found["panda"].word is None and found["panda"].settings == {}


def test_every_column_is_read_as_its_type(tmp_path):
    cells = {
        "scene": "a-1", "image": "a.png", "prompt": "a fox runs", "subject": "a fox",
        "word": "fox", "token_prompt": "a <subject> runs", "elevation": "12.5", "seed": "7",
        "truth": "t.yaml", "profile": "nano", "preset": "smoke", "recipe": "paper",
        "settings": "{static: {train: {steps: 50}}, dynamic: {loop: no}}",
    }  # fmt: skip
    assert {*cells, "asset", "route"} == set(COLUMNS)
    (scene,) = read_table(table(tmp_path, "\t".join(cells), "\t".join(cells.values()))).values()
    assert (scene.elevation, scene.seed) == (12.5, 7)
    assert scene.settings == {"static": {"train": {"steps": 50}}, "dynamic": {"loop": False}}


@pytest.mark.parametrize(
    ("columns", "cells", "way"),
    [
        ("image", "a.png", "animate124"),
        ("image\troute", "a.png\tanimate124", "animate124"),
        ("image\troute", "a.png\tanimate3d", "bridge"),
        ("asset", "a.glb", "animate3d"),
        ("asset\troute", "a.glb\tanimate3d", "animate3d"),
        ("image\tasset", "\ta.glb", "animate3d"),
    ],
)
def test_which_way_a_scene_goes(tmp_path, columns, cells, way):
    path = table(tmp_path, f"scene\tprompt\t{columns}", f"a\ta fox runs\t{cells}")
    assert read_table(path)["a"].way == way
    assert way in ROUTES


def test_comments_empty_lines_short_rows_and_any_order_of_columns(tmp_path):
    path = table(
        tmp_path, "# my scenes", "prompt\tscene\timage\tseed", "", "a fox\tfox\tf.png", "#x\ty",
        "it's 5 % \"odd\": {a}\todd\to.png\t",
    )  # fmt: skip
    found = read_table(path)
    assert list(found) == ["fox", "odd"]
    assert found["odd"].prompt == 'it\'s 5 % "odd": {a}' and found["odd"].seed is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is empty: its first line names the columns."),
        (["scene image prompt"], "columns are separated by tabs, and there is only one."),
        (["scene\timage\tpromt"], "There is no column 'promt': did you mean 'prompt'?"),
        (["scene\timage"], "the column 'prompt' is missing."),
        ([HEAD + "\tscene"], "the column 'scene' is there twice."),
        ([HEAD, "panda\tp.png"], "line 2: the cell 'prompt' is empty."),
        ([HEAD, "panda\t\ta panda"], "a scene has an image or an asset, and this one has neither"),
        ([HEAD + "\tasset", "a\tb.png\tc\td.glb"], "and this one has both"),
        (
            ["scene\tprompt\tasset\troute", "a\tb\tc.glb\tanimate124"],
            "the route animate124 starts from an image, not from an asset",
        ),
        ([HEAD + "\troute", "a\tb\tc\tanimate4d"], "'route' cannot be 'animate4d'"),
        ([HEAD, "a\tb\tc\td"], "line 2: there are 4 cells and 3 columns"),
        ([HEAD, "a\tb\tc", "", "a\tb\tc"], "line 4: the scene 'a' is there already"),
        ([HEAD, "My Panda\tb\tc"], "line 2: The setting 'scene' cannot be 'My Panda'"),
        ([HEAD, "zoo\tb\tc"], "results/zoo is taken by something else"),
        ([HEAD + "\tseed", "a\tb\tc\tx"], "The setting 'seed' cannot be 'x'"),
        ([HEAD + "\televation", "a\tb\tc\t99"], "'elevation' cannot be '99'"),
        ([HEAD + "\tsettings", "a\tb\tc\t{statik: {}}"], "There is no stage 'statik': did you"),
        ([HEAD + "\tsettings", "a\tb\tc\tsteps=4"], "settings by stage are of the form {static:"),
        ([HEAD + "\tsettings", "a\tb\tc\t{a: ["], "the cell 'settings' is not valid YAML: {a: ["),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, lines, said):
    path = table(tmp_path, *lines)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="write one, or name another with --config scenes=FILE"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "latin.tsv").write_bytes(b"scene\timage\tprompt\n\xe9")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "latin.tsv")
