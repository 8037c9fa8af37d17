"""Scenes of the dev split, as `workflow/scripts/dev_scenes.py` makes them."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from animate124.media.glb import posed_parts, read
from animate124.media.images import read_image
from animate124.scenes.table import read_table
from animate124.toybox.characters import sample_clip
from animate124.toybox.splits import split_of


@pytest.mark.parametrize("kind", [[], ["--pictures"]])
def test_their_table_names_dev_characters_that_begin_at_rest(root, tmp_path, kind):
    script = root / "workflow" / "scripts" / "dev_scenes.py"
    command = [sys.executable, str(script), str(tmp_path / "dev"), "--count", "2", *kind]
    subprocess.run(command, check=True, cwd=root)
    scenes = read_table(tmp_path / "dev" / "scenes.tsv")
    assert len(scenes) == 2
    for name, scene in scenes.items():
        truth = yaml.safe_load((tmp_path / "dev" / f"{name}.yaml").read_text())
        assert split_of(truth["seed"]) == "dev" and name == f"{truth['species']}{truth['seed']}"
        clip = sample_clip(truth["seed"])
        assert (clip.species, clip.motion) == (truth["species"], truth["motion"])
        assert clip.species in scene.prompt
        if kind:
            picture = read_image(tmp_path / "dev" / f"{name}.png")
            assert picture.shape == (256, 256, 4) and 0.03 < (picture[..., 3] > 0).mean() < 0.6
        else:
            (part,) = posed_parts(read(tmp_path / "dev" / f"{name}.glb"))
            assert 0.2 < np.linalg.norm(part.vertices, axis=1).max() < 0.7
