"""A data set of ten animated GLB files, killed half way and gone on with."""

import numpy as np
import pytest
from toybox_samples import doll

from animate124.media.glb import posed_parts, read
from animate124.toybox.export import export_animated_glb


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "benchmarks")
    import mvvideo

    return mvvideo


@pytest.mark.slow
def test_killed_half_way(benchmark, tmp_path):
    found = benchmark.measure(tmp_path, benchmark.TINY)
    kinds = {"node": 0, "morph": 0, "skin": 0}
    for path in (tmp_path / "assets").iterdir():
        model = read(path)
        morphs = any(part.morphs is not None for node in model.nodes for part in node.parts)
        kinds["skin" if model.skins else "morph" if morphs else "node"] += 1
    assert kinds == {"node": 6, "morph": 3, "skin": 1}
    assert found["was_killed"] and found["undisturbed_clips"] == 10
    # The clip that was being made may have ended before it was told of.
    assert 5 <= found["killed_clips"] < 10
    assert found["killed_clips"] + found["resumed_clips"] in (9, 10)
    assert found["made_again"] == 0 and found["identical"]
    assert found["files"] == 10 * (2 * 4 + 1) + 1  # 2 views of 4 frames and clip.json; the manifest


def test_the_skin_moves_as_its_nodes_did(benchmark, tmp_path):
    for name in ("nodes", "skin"):
        export_animated_glb(doll(), tmp_path / f"{name}.glb", 8.0, 1.0)
    benchmark.skin(tmp_path / "skin.glb")
    nodes, skin = read(tmp_path / "nodes.glb"), read(tmp_path / "skin.glb")
    assert len(skin.skins) == 1 and sum(bool(node.parts) for node in skin.nodes) == 1
    for seconds in (None, 0.0, 0.2, 0.9):
        wanted, found = posed_parts(nodes, seconds), posed_parts(skin, seconds)
        for one, other in zip(wanted, found, strict=True):
            np.testing.assert_allclose(other.vertices, one.vertices, atol=1e-6)
            np.testing.assert_allclose(other.normals, one.normals, atol=1e-6)
