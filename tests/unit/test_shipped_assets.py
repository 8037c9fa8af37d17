"""The assets of the shipped scenes: made from their truth, small, and fit for intake."""

import runpy

import numpy as np
import pytest
import yaml

from animate124.media.glb import posed_parts, read
from animate124.settings.base import parse
from animate124.settings.intake import IntakeSettings
from animate124.settings.views import ViewsSettings
from animate124.stages.intake import intake
from animate124.stages.views import views
from animate124.toybox.catalogue import motions_of
from animate124.toybox.splits import split_of

SCENES = ("dinosaur", "fox", "frog", "panda", "penguin", "robot")


def test_an_asset_is_made_anew_to_the_byte(root, tmp_path):
    script = runpy.run_path(str(root / "workflow" / "scripts" / "draw_assets.py"))
    script["draw"]("robot", tmp_path / "robot.glb")
    shipped = root / "config" / "inputs" / "assets" / "robot.glb"
    assert (tmp_path / "robot.glb").read_bytes() == shipped.read_bytes()


def test_assets_are_of_the_test_split_and_small(root):
    folder = root / "config" / "inputs" / "assets"
    assert tuple(sorted(path.stem for path in folder.iterdir())) == SCENES
    for name in SCENES:
        truth = yaml.safe_load((root / "config" / "truth" / "assets" / f"{name}.yaml").read_text())
        assert sorted(truth) == ["motion", "seed", "species"]
        assert split_of(truth["seed"]) == "test" and truth["species"] == name
        assert truth["motion"] in motions_of(name)
        path = folder / f"{name}.glb"
        assert path.stat().st_size < 400_000
        model = read(path)
        (part,) = posed_parts(model)
        assert part.texture is not None and model.animations == () and model.skins == ()
        assert np.linalg.norm(part.vertices, axis=1).max() < 0.7


@pytest.mark.parametrize("name", SCENES)
def test_from_asset_to_views(root, tmp_path, name):
    asset = root / "config" / "inputs" / "assets" / f"{name}.glb"
    taken = intake(asset, tmp_path / "intake", parse(IntakeSettings, ["preview=16"]))
    assert taken["counts"]["welded_vertices"] < taken["counts"]["vertices"]
    seen = views(tmp_path / "intake", tmp_path / "views", parse(ViewsSettings, ["size=16"]))
    assert 0.03 < seen["coverage"] < 0.5
