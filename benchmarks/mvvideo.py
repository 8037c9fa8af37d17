"""A data set of multi-view video, killed half way: `python benchmarks/mvvideo.py [--json]`.

Ten animated GLB files of the toybox, written by this project: six characters as moving nodes,
three shapes as morph targets, one character as a skin. `animate124 mvvideo build` renders them
twice: once undisturbed; once killed (SIGKILL) half way, while it writes a clip, and run again.
Nothing that was finished may be made again, and the two data sets must not differ by a byte.
"""

import argparse
import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from timing import idle_cores

from animate124.media.files import TEMP_PREFIX
from animate124.media.glb import Node, posed_parts, read, world_matrices
from animate124.media.glb.build import Writer
from animate124.toybox.characters import sample_clip
from animate124.toybox.export import export_animated_glb
from animate124.toybox.mechanics import bending_bar, flag, squash

FPS, SECONDS = 8.0, 2.0  # of the animations: 16 keys, as many as a clip has frames
SEEDS = (1, 5, 8, 11, 19, 23)  # characters as moving nodes
SKINNED = 27
MORPHS = (bending_bar, flag, squash)
TINY = ("views=2", "frames=4", "size=64", "supersample=1")


def write_assets(folder: Path, fps: float = FPS) -> None:
    """The ten files; those of one seed are always the same."""
    folder.mkdir()
    for make in MORPHS:
        export_animated_glb(make(), folder / f"{make.__name__}.glb", fps, SECONDS)
    for seed in SEEDS:
        clip = sample_clip(seed)
        export_animated_glb(clip, folder / f"{clip.species}_{clip.motion}.glb", fps, SECONDS)
    clip = sample_clip(SKINNED)
    path = folder / f"{clip.species}_{clip.motion}.glb"
    export_animated_glb(clip, path, fps, SECONDS)
    skin(path)


def skin(path: Path) -> None:
    """Make a file of moving nodes one of a skin: one mesh, and joints without any."""
    model = read(path)
    (animation,) = model.animations
    rest = world_matrices(model.nodes)
    owners = [k for k, node in enumerate(model.nodes) for _ in node.parts]
    bones = [replace(node, parts=()) for node in model.nodes]
    writer = Writer()
    writer.add_nodes([*bones, Node("skin", None, posed_parts(model))])
    for primitive, owner in zip(writer.tree["meshes"][0]["primitives"], owners, strict=True):
        count = writer.tree["accessors"][primitive["attributes"]["POSITION"]]["count"]
        joints, weights = np.zeros((2, count, 4))
        joints[:, 0], weights[:, 0] = owner, 1.0
        primitive["attributes"]["JOINTS_0"] = writer.add_array(joints.astype("<u2"))
        primitive["attributes"]["WEIGHTS_0"] = writer.add_array(weights.astype("<f4"))
    # glTF's matrices are stored by columns; the writer knows vectors, so four at a time.
    inverse = np.linalg.inv(rest).transpose(0, 2, 1).reshape(-1, 4).astype("<f4")
    matrices = writer.add_array(inverse)
    writer.tree["accessors"][matrices] |= {"type": "MAT4", "count": len(rest)}
    skin = {"joints": list(range(len(bones))), "inverseBindMatrices": matrices}
    writer.tree["skins"] = [skin]
    writer.tree["nodes"][-1]["skin"] = 0
    clock = writer.add_times(np.asarray(animation.channels[0].times, "<f4"))
    channels = [
        (c.node, c.path, writer.add_array(np.asarray(c.values, "<f4"))) for c in animation.channels
    ]
    writer.add_animation(animation.name, clock, channels)
    writer.save(path)


@dataclass(frozen=True)
class Build:
    """One run of the command: clips that it said were made and that were there already, whether it
    was killed, wall and CPU seconds."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    killed: bool
    seconds: float
    cpu: float


def build(assets: Path, out: Path, settings: tuple[str, ...] = (), kill_after: int = 0) -> Build:
    """Run `animate124 mvvideo build`; `kill_after` so many clips, while the next one is written."""
    command = [sys.executable, "-m", "animate124", "mvvideo", "build", str(assets)]
    command += ["--out", str(out), *(word for text in settings for word in ("--set", text))]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, before, said = time.perf_counter(), used.ru_utime + used.ru_stime, []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        said.append(line)
        if kill_after and len(said) == kill_after:
            while process.poll() is None and not any(out.glob(f"{TEMP_PREFIX}*/*.png")):
                time.sleep(0.001)
            process.kill()
    process.stdout.close()
    process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the build failed: {' '.join(said)}")
    return Build(
        made=tuple(re.findall(r"^(\S+): made$", "".join(said), re.MULTILINE)),
        kept=tuple(re.findall(r"^(\S+): there already$", "".join(said), re.MULTILINE)),
        killed=process.returncode != 0,
        seconds=time.perf_counter() - began,
        cpu=used.ru_utime + used.ru_stime - before,
    )


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a data set, hidden ones too."""
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def changed(out: Path) -> dict[str, int]:
    """When every file was last written, nanoseconds."""
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def measure(folder: Path, settings: tuple[str, ...]) -> dict[str, object]:
    """The record that is printed."""
    found: dict[str, object] = {"idle_cores_before": round(idle_cores(), 2)}
    assets = folder / "assets"
    write_assets(assets)
    whole = build(assets, folder / "whole", settings)
    half = build(assets, folder / "killed", settings, kill_after=len(whole.made) // 2)
    before = changed(folder / "killed")
    half_done = len(list((folder / "killed").glob(f"{TEMP_PREFIX}*")))
    rest = build(assets, folder / "killed", settings)
    after = changed(folder / "killed")
    finished = [name for name in before if name.split("/")[0] in half.made]
    for name, run in (("undisturbed", whole), ("killed", half), ("resumed", rest)):
        found |= {f"{name}_clips": len(run.made), f"{name}_seconds": round(run.seconds, 1)}
        found |= {f"{name}_cpu_seconds": round(run.cpu, 1)}
    return found | {
        "was_killed": half.killed,
        "left_half_done": half_done,
        "made_again": sum(before[name] != after[name] for name in finished),
        "files": len(after),
        "identical": contents(folder / "whole") == contents(folder / "killed"),
        "idle_cores_after": round(idle_cores(), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--set", action="append", default=[], help="a setting of mvvideo build")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), tuple(given.set))
    if given.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
