"""Scenes of both routes, interrupted in every stage, in every way, end with the same files as
undisturbed ones.

Slow: some minutes for each way and scene.
"""

import contextlib
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT, STAGES

from animate124.scenes.chain import ROUTES

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")]

ALL = {stage for route in ROUTES.values() for stage in route}
LONGEST = 300.0  # seconds until what does not get on counts as stuck
LATEST = 2.5  # seconds after its start at which a stage is interrupted, at the most
COMMAND = [
    *(sys.executable, "-m", "snakemake", "--cores", "1"),
    *("--snakefile", str(ROOT / "workflow" / "Snakefile"), "--config", "preset=smoke", "--"),
]
SCENES = {"panda": STAGES, "robot": ROUTES["animate3d"]}
FILES = {"panda": "static/field.safetensors", "robot": "polish/gaussians.safetensors"}


def start(folder, scene):
    """The user's command, in a process group of its own, which Ctrl-C would reach as a whole."""
    with (folder / "said.log").open("ab") as said:
        return subprocess.Popen(
            [*COMMAND, f"results/{scene}/all"],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )


def running(folder):
    """Processes of stages in a folder: the stage's name by process number."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if b"animate124" not in words or Path(os.readlink(entry / "cwd")) != folder:
                continue
            after = words[words.index(b"animate124") + 1 :]
            name = after[0].decode().removeprefix("animate-") if after else ""
            if name in ALL:
                found[int(entry.name)] = name
    return found


def until_new(process, folder, struck):
    """Wait for a stage's process that is not in `struck`: its number and name; None at the end."""
    for _ in range(int(LONGEST / 0.02)):
        for number, name in running(folder).items():
            if name not in struck:
                return number, name
        if process.poll() is not None:
            return None
        time.sleep(0.02)
    pytest.fail(f"nothing gets on: {(folder / 'said.log').read_text()[-2000:]}")


def settled(process, folder):
    """Wait until Snakemake has ended and no stage runs any more."""
    process.wait(LONGEST)
    for _ in range(int(LONGEST / 0.05)):
        if not running(folder):
            return
        time.sleep(0.05)
    pytest.fail("a stage does not end")


def kill_stage(process, number, folder, scene):
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def kill_snakemake(process, number, folder, scene):
    """The stage goes on alone; the lock stays, and the user is told how to open it."""
    process.kill()
    settled(process, folder)
    again = start(folder, scene)
    assert again.wait(LONGEST) != 0
    assert "--unlock" in (folder / "said.log").read_text()
    subprocess.run([*COMMAND[:-1], "--unlock"], cwd=folder, check=True, capture_output=True)


def interrupt(process, number, folder, scene):
    os.killpg(process.pid, signal.SIGINT)


def fill_disk(process, number, folder, scene):
    filler = folder / "results" / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass
    settled(process, folder)
    filler.unlink()


WAYS = {
    "stage": kill_stage,
    "snakemake": kill_snakemake,
    "interrupt": interrupt,
    "disk": fill_disk,
}


def results(folder, scene):
    """What has to be the same: the files' bytes, the scores without times and memory."""
    place = folder / "results" / scene
    metrics = json.loads((place / "metrics.json").read_text())
    for stage in metrics["stages"].values():
        stage.clear()
    files = ("video.mp4", "animated.glb", "sheet.png", FILES[scene])
    return {name: (place / name).read_bytes() for name in files} | {"metrics": metrics}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of a scene that nobody disturbed, made when first asked for."""

    @functools.cache
    def make(scene):
        folder = tmp_path_factory.mktemp(scene).resolve()
        assert start(folder, scene).wait(LONGEST) == 0, (folder / "said.log").read_text()[-3000:]
        return results(folder, scene)

    return make


@pytest.fixture
def folder(request, tmp_path):
    """A folder whose `results` lie on a small disk of their own where it is to be filled."""
    folder = tmp_path.resolve()
    (folder / "results").mkdir()
    small = request.node.callspec.params["way"] == "disk"
    if small:
        mount = ["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", str(folder / "results")]
        if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount).returncode:
            pytest.skip("needs the right to mount a small disk")
    yield folder
    if small:
        subprocess.run(["umount", folder / "results"], check=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scene", SCENES)
def test_interrupted_in_every_stage(scene, way, undisturbed, folder):
    stages, rng, struck = SCENES[scene], random.Random(f"{scene} {way}"), []
    for _ in range(2 * len(stages)):  # a run goes on with what does not need the stage that failed
        process = start(folder, scene)
        while (new := until_new(process, folder, struck)) is not None:
            number, stage = new
            time.sleep(rng.uniform(0.0, LATEST))
            struck.append(stage)
            WAYS[way](process, number, folder, scene)
        settled(process, folder)
        if process.returncode == 0:
            break
    said = (folder / "said.log").read_text()
    assert process.returncode == 0, said[-3000:]
    assert sorted(struck) == sorted(stages)
    assert "Traceback" not in said, said[max(said.index("Traceback") - 2000, 0) :][:4000]
    assert results(folder, scene) == undisturbed(scene)
    assert not list((folder / "results" / scene / ".work").rglob("checkpoint*"))
