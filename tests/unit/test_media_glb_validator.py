"""Every GLB writer against the Khronos validator (npm package gltf-validator).

The package is taken from the folder that GLTF_VALIDATOR_CACHE names, or fetched into a temporary
one; without node and npm, or without the package, the test is skipped and says why.
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from animate124.media.glb import (
    MeshPart,
    Node,
    write_morph_animation,
    write_node_animation,
    write_static,
)
from animate124.media.images import encode_png

VERSION = "2.0.0-dev.3.10"
SCRIPT = """
const validator = require('gltf-validator');
const data = new Uint8Array(require('fs').readFileSync(process.argv[1]));
validator.validateBytes(data).then(report => console.log(JSON.stringify(report.issues)));
"""


@pytest.fixture(scope="module")
def issues(tmp_path_factory):
    """A function from a GLB path to the validator's report."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("the Khronos validator needs node and npm on the PATH")
    folder = Path(os.environ.get("GLTF_VALIDATOR_CACHE") or tmp_path_factory.mktemp("validator"))
    if not (folder / "node_modules" / "gltf-validator").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--prefix", str(folder)]
        run = subprocess.run(
            [*command, f"gltf-validator@{VERSION}"], capture_output=True, text=True, timeout=120
        )
        if run.returncode != 0:
            pytest.skip(f"npm could not fetch gltf-validator: {run.stderr.strip()[-200:]}")

    def validate(path):
        run = subprocess.run(
            ["node", "-e", SCRIPT, str(path)],
            capture_output=True,
            text=True,
            cwd=folder,
            check=True,
        )
        return json.loads(run.stdout)

    return validate


def sphere(name, offset=0.0, **extras):
    """A latitude-longitude sphere with normals, uv and the given extras."""
    rows, columns = np.mgrid[0:9, 0:17]
    polar, turn = rows * np.pi / 8, columns * np.pi / 8
    normals = np.stack(
        (np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)), -1
    ).reshape(-1, 3)
    corner = (rows * 17 + columns)[:-1, :-1].ravel()
    faces = np.concatenate(
        [
            np.stack((corner, corner + 17, corner + 18), 1),
            np.stack((corner, corner + 18, corner + 1), 1),
        ]
    )
    uv = np.stack((columns / 16, rows / 8), -1).reshape(-1, 2)
    return MeshPart(name, 0.5 * normals + offset, faces, normals, uv=uv, **extras)


def parts():
    rng = np.random.default_rng(0)
    count = 9 * 17
    return [
        sphere("textured", texture=encode_png(rng.random((16, 16, 3))), unlit=True),
        sphere("coloured", 1.0, colors=rng.random((count, 3)), base_color=(0.3, 0.5, 1.0, 1.0)),
        sphere("glassy", 2.0, colors=rng.random((count, 4))),
        MeshPart("plain", np.eye(3), np.array([[0, 1, 2]]), np.zeros((3, 3))),
    ]


def assert_clean(report):
    assert (report["numErrors"], report["numWarnings"]) == (0, 0), report["messages"]


def test_static(tmp_path, issues):
    write_static(tmp_path / "a.glb", parts())
    assert_clean(issues(tmp_path / "a.glb"))


def test_node_animation(tmp_path, issues):
    rng = np.random.default_rng(1)
    times = np.arange(6) / 8
    turning = rng.normal(size=(6, 4))
    nodes = [
        Node("hips", translation=rng.random((6, 3)), rotation=turning),
        Node("body", 0, tuple(parts()[:3]), scale=0.5 + rng.random((6, 3))),
        Node(
            "arm", 1, (parts()[3],), translation=(0.0, 1.0, 0.0), rotation=rng.normal(size=(6, 4))
        ),
        Node("hand", 2, rotation=(0.0, 0.6, 0.0, 0.8)),
    ]
    for loop in (False, True):
        write_node_animation(tmp_path / "a.glb", nodes, times, loop)
        assert_clean(issues(tmp_path / "a.glb"))


def test_morph_animation(tmp_path, issues):
    rng = np.random.default_rng(2)
    part = replace(parts()[0], colors=rng.random((9 * 17, 3)))
    frames = part.vertices + 0.1 * rng.normal(size=(5, 9 * 17, 3))
    frames[2] = np.asarray(part.vertices, np.float32)
    normals = rng.normal(size=frames.shape)
    for loop, normal_frames in ((False, None), (True, normals)):
        write_morph_animation(
            tmp_path / "a.glb", part, frames, np.arange(5) / 5, loop, normal_frames
        )
        assert_clean(issues(tmp_path / "a.glb"))


def test_the_validator_sees_faults(tmp_path, issues):
    write_static(tmp_path / "a.glb", parts()[3:])
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "b.glb").write_bytes(data.replace(b'"count":3', b'"count":4', 1))
    assert issues(tmp_path / "b.glb")["numErrors"] > 0
