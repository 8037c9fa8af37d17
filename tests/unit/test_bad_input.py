"""Bad input through the user's own command: one sentence, the exit status, nothing left behind.

Every case starts from a whole truth bundle and an earlier result, breaks one thing, runs the
command line, and compares the whole folder tree with what was there before.
"""

import ctypes
import errno
import hashlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch

from animate124 import __main__ as entry
from animate124 import checkpoints
from animate124.media.tensors import load_tensors, save_tensors
from animate124.stages import fit as stage
from animate124.toybox.bundle import write_bundle
from animate124.toybox.bundle_record import RECORD
from animate124.toybox.characters import sample_clip

SETTINGS = (
    *("field.levels=2", "field.finest=8", "field.log2_size=8", "field.hidden=4"),
    *("field.occupancy_side=8", "field.step=0.1", "rays=64", "subsamples=1"),
    *("video_frames=2", "video_size=8", "train.steps=2", "train.preview_every=0"),
)
EARLIER = {"metrics.json": b'{"psnr_fg": 30.0}\n', "video.mp4": b"of an earlier run"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "truth"
    write_bundle(sample_clip(18), folder, "dev", 2, 2, 12, 1, 8)
    return folder


class Place:
    """A folder with a bundle `truth`, an earlier result `out`, and what a case does to them."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.truth, self.out = folder / "truth", folder / "out"
        self.record = self.truth / RECORD

    def change_record(self, change):
        """Let `change` edit bundle.json."""
        record = json.loads(self.record.read_text())
        change(record)
        self.record.write_text(json.dumps(record))

    def resign(self, name):
        """Make bundle.json's size and checksum of a file those that it has now."""
        data = (self.truth / name).read_bytes()
        entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.change_record(lambda record: record["files"].update({name: entry}))

    def rewrite(self, kind, change):
        """Store changed tensors under a right checksum."""
        path = self.truth / f"{kind}.safetensors"
        tensors, metadata = load_tensors(path, f"truth-{kind}", 1)
        change(tensors)
        save_tensors(path, tensors, kind=f"truth-{kind}", version=1, metadata=metadata)
        self.resign(path.name)

    def tree(self):
        """Every path below, with a file's bytes."""
        return {
            str(p.relative_to(self.folder)): p.read_bytes() if p.is_file() else None
            for p in self.folder.rglob("*")
        }


@pytest.fixture
def place(whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path / "truth")
    (tmp_path / "out").mkdir()
    for name, data in EARLIER.items():
        (tmp_path / "out" / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, monkeypatch)


@pytest.fixture
def animate124(monkeypatch, capsys, record_property):
    """Run the command line in this process: status and what it printed to stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["animate124", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry.main()
        errors = capsys.readouterr().err
        record_property("command", " ".join(arguments))
        record_property("status", str(ended.value.code or 0))
        record_property("sentence", errors)
        return ended.value.code or 0, errors

    return run


def fit_arguments(*more, settings=SETTINGS):
    chosen = [part for text in settings for part in ("--set", text)]
    return ["fit", "truth", *chosen, *([] if "--out" in more else ["--out", "out"]), *more]


def assert_one_sentence(errors, words):
    assert errors.startswith("error: ") and errors.count("\n") == 1, errors
    assert "Traceback" not in errors
    for word in words:
        assert word in errors, errors


@contextmanager
def ordinary_user():
    """Let permission bits count even for root, who may otherwise override them.

    Drops CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH from this thread's effective capabilities.
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, mine = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, mine) == 0
    fewer = (ctypes.c_uint32 * 6)(*mine)
    fewer[0] &= ~0b110
    assert libc.capset(header, fewer) == 0
    access = os.access
    # By default root is asked what it could do if it took its rights back.
    os.access = partial(access, effective_ids=True)
    try:
        yield
    finally:
        os.access = access
        assert libc.capset(header, mine) == 0


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip(path, where=-20):
    data = bytearray(path.read_bytes())
    data[where] ^= 0x10
    path.write_bytes(data)


def set_first(name, value):
    return lambda tensors: tensors[name].view(-1)[:1].fill_(value)


def all_for_fitting(kind):
    return lambda record: [entry.update(split="fit") for entry in record[kind]]


def swap(place):
    shutil.copy(place.truth / "depth.safetensors", place.truth / "rgba.safetensors")
    place.resign("rgba.safetensors")


AGAIN = "render the bundle again with --force"
# Name: what is done to the place, and words of the sentence.
BUNDLES = {
    "no bundle": (
        lambda place: shutil.rmtree(place.truth),
        ("no truth bundle at truth", "check the path", "animate124 toybox render"),
    ),
    "bundle is a file": (
        lambda place: (shutil.rmtree(place.truth), place.truth.write_text("x")),
        ("no truth bundle at truth", "check the path"),
    ),
    "bundle is an empty folder": (
        lambda place: (shutil.rmtree(place.truth), place.truth.mkdir()),
        ("no truth bundle at truth", "bundle.json is missing", "check the path"),
    ),
    "bundle.json cut short": (
        lambda place: cut(place.record),
        ("truth/bundle.json is damaged", AGAIN),
    ),
    "bundle.json empty": (
        lambda place: place.record.write_bytes(b""),
        ("truth/bundle.json is damaged", AGAIN),
    ),
    "bundle.json is no text": (
        lambda place: place.record.write_bytes(b"\x89PNG\xff\xfe"),
        ("truth/bundle.json is damaged", AGAIN),
    ),
    "bundle.json is a list": (
        lambda place: place.record.write_text("[1, 2]"),
        ("truth/bundle.json is not a valid truth bundle record", AGAIN),
    ),
    "newer version": (
        lambda place: place.change_record(lambda record: record.update(version=2)),
        ("truth bundle truth has format version 2", "reads 1", "render it again with --force"),
    ),
    "other format": (
        lambda place: place.change_record(lambda record: record.update(format="nerf")),
        ("bundle.json is not a valid", "format: Input should be 'animate124-truth-bundle'", AGAIN),
    ),
    "field missing": (
        lambda place: place.change_record(lambda record: record.pop("fov_y")),
        ("truth/bundle.json", "fov_y: Field required", AGAIN),
    ),
    "unknown field": (
        lambda place: place.change_record(lambda record: record.update(fov_x=40)),
        ("truth/bundle.json", "fov_x: Extra inputs", AGAIN),
    ),
    "NaN in a camera": (
        lambda place: place.change_record(
            lambda record: record["cameras"][1]["c2w"][0].__setitem__(3, math.nan)
        ),
        ("truth/bundle.json", "cameras.1.c2w.0.3", AGAIN),
    ),
    "camera matrix 3 x 4": (
        lambda place: place.change_record(lambda record: record["cameras"][0]["c2w"].pop()),
        ("truth/bundle.json holds a camera matrix that is not 4 x 4", AGAIN),
    ),
    "tensor file missing": (
        lambda place: (place.truth / "flow.safetensors").unlink(),
        ("truth bundle truth lacks flow.safetensors", AGAIN),
    ),
    "tensor file cut short": (
        lambda place: cut(place.truth / "rgba.safetensors"),
        ("truth/rgba.safetensors has", "bytes where bundle.json says", AGAIN),
    ),
    "tensor file of no length": (
        lambda place: (place.truth / "depth.safetensors").write_bytes(b""),
        ("truth/depth.safetensors has 0 bytes where", AGAIN),
    ),
    "one bit flipped": (
        lambda place: flip(place.truth / "rgba.safetensors"),
        ("truth/rgba.safetensors is damaged", "checksum differs", AGAIN),
    ),
    "header damaged under a right checksum": (
        lambda place: (
            flip(place.truth / "rgba.safetensors", 3),
            place.resign("rgba.safetensors"),
        ),
        ("truth/rgba.safetensors is damaged or cut short", "run its step again"),
    ),
    "NaN in depth": (
        lambda place: place.rewrite("depth", set_first("depth", math.nan)),
        ("'depth' in truth/depth.safetensors holds NaN or infinity", "run its step again"),
    ),
    "infinity in flow": (
        lambda place: place.rewrite("flow", set_first("flow", math.inf)),
        ("'flow' in truth/flow.safetensors holds NaN or infinity", "run its step again"),
    ),
    "NaN images": (
        lambda place: place.rewrite(
            "rgba", lambda t: t.update(rgba=torch.full(t["rgba"].shape, math.nan))
        ),
        ("'rgba' in truth/rgba.safetensors holds NaN or infinity", "run its step again"),
    ),
    "images as floats": (
        lambda place: place.rewrite("rgba", lambda t: t.update(rgba=t["rgba"] / 255)),
        ("tensor rgba of truth is torch.float32", "asks for torch.uint8", AGAIN),
    ),
    "images of another size": (
        lambda place: place.change_record(lambda record: record.update(height=24, width=24)),
        ("tensor rgba of truth is torch.uint8 [6, 4, 12, 12, 4]", "[6, 4, 24, 24, 4]", AGAIN),
    ),
    "images of no size": (
        lambda place: place.change_record(lambda record: record.update(height=0)),
        ("truth/bundle.json", "height: Input should be greater than 0", AGAIN),
    ),
    "a frame too few": (
        lambda place: place.change_record(lambda record: record["frames"].pop()),
        ("tensor rgba of truth is torch.uint8 [6, 4,", "asks for torch.uint8 [6, 3,", AGAIN),
    ),
    "another tensor file in its place": (
        swap,
        ("truth/rgba.safetensors holds truth-depth, not truth-rgba", "give the right file"),
    ),
    "no held-out views": (
        lambda place: place.change_record(all_for_fitting("cameras")),
        ("truth bundle truth has no held out views", "render it again with --force"),
    ),
    "no held-out frames": (
        lambda place: place.change_record(all_for_fitting("frames")),
        ("truth bundle truth has no held out frames", "render it again with --force"),
    ),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_bad_bundle(animate124, place, name):
    damage, words = BUNDLES[name]
    damage(place)
    before = place.tree()
    status, errors = animate124(*fit_arguments())
    assert status == 2
    assert_one_sentence(errors, words)
    assert place.tree() == before


def config(text):
    return lambda place: ((place.folder / "my.yaml").write_text(text), ["--config", "my.yaml"])[1]


# Name: arguments, or a function that prepares the place and gives them; and words of the sentence.
WRONG_SETTINGS = {
    "unknown setting": (
        ["--set", "train.stepz=9"],
        ("Unknown setting 'train.stepz'", "did you mean 'train.steps'?"),
    ),
    "unknown setting without its group": (
        ["--set", "hiden=9"],
        ("Unknown setting 'hiden'", "did you mean 'field.hidden'?"),
    ),
    "unlike any setting": (
        ["--set", "zzzz=9"],
        ("Unknown setting 'zzzz'", "known are frame, rays,"),
    ),
    "negative steps": (
        ["--set", "train.steps=-1"],
        ("'train.steps' cannot be '-1'", "a whole number ≥ 0"),
    ),
    "text for a number": (["--set", "rays=many"], ("'rays' cannot be 'many'", "≥ 16")),
    "no subsamples": (["--set", "subsamples=0"], ("'subsamples' cannot be '0'", "≥ 1 and ≤ 8")),
    "NaN": (["--set", "lr=nan"], ("'lr' cannot be", "a number > 0")),
    "a switch for a number": (
        config("refresh_every: yes"),
        ("'refresh_every' cannot be True", "a whole number ≥ 1"),
    ),
    "no equals sign": (["--set", "rays"], ("'rays' is not of the form key=value",)),
    "a group for a value": (["--set", "field=3"], ("'field' cannot be '3'", "it is a group, of")),
    "an odd width": (
        ["--set", "field.hidden=6"],
        ("'field.hidden' cannot be '6'", "multiple of 4"),
    ),
    "an encoding that there is not": (
        ["--set", "field.encoding=hash"],
        ("'field.encoding' cannot be 'hash'", "one of grid, tcnn"),
    ),
    "an odd number of levels": (
        ["--set", "field.levels=3"],
        ("'field.levels' cannot be '3'", "a multiple of 2"),
    ),
    "too large a cube": (["--set", "field.bound=100"], ("'field.bound' cannot be '100'", "≤ 2")),
    "frame beyond the bundle's": (
        ["--frame", "2"],
        ("frame=2 is beyond the 2 fit frames of truth", "give 0 to 1"),
    ),
    "no settings file": (["--config", "my.yaml"], ("my.yaml cannot be read: No such file",)),
    "settings file is a folder": (["--config", "truth"], ("truth cannot be read: Is a directory",)),
    "settings file is no YAML": (config("rays: [1, 2"), ("my.yaml is not valid YAML",)),
    "settings file is a list": (config("- rays"), ("my.yaml must hold 'key: value' lines",)),
    "unknown setting in a file": (
        config("train: {steps: 2, sead: 1}"),
        ("Unknown setting 'train.sead'", "did you mean 'train.seed'?"),
    ),
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_bad_setting(animate124, place, name):
    arguments, words = WRONG_SETTINGS[name]
    arguments = arguments(place) if callable(arguments) else arguments
    before = place.tree()
    status, errors = animate124(*fit_arguments(*arguments))
    assert status == 2
    assert_one_sentence(errors, words)
    assert place.tree() == before


def as_file(path):
    shutil.rmtree(path)
    path.write_text("mine")


OUTPUTS = {
    "output is a file": (
        lambda place: as_file(place.out),
        "out",
        ("out is a file", "give a folder for the results"),
    ),
    "output holds other files": (
        lambda place: (place.out / "thesis.tex").write_text("mine"),
        "out",
        ("out holds other files ('thesis.tex')", "give an empty or new folder"),
    ),
    "output holds a folder": (
        lambda place: (place.out / "turntable.mp4").mkdir(),
        "out",
        ("out holds other files ('turntable.mp4')", "give an empty or new folder"),
    ),
    "output is the bundle": (
        lambda place: None,
        "truth",
        ("truth holds other files ('animated.glb')", "give an empty or new folder"),
    ),
    "output under a file": (
        lambda place: as_file(place.out),
        "out/deep/er",
        ("Cannot make the folder out/deep: a part of this path is a file", "choose another path"),
    ),
    "output under a device": (
        lambda place: None,
        "/dev/null/out",
        ("/dev/null", "a file of this name stands where the folder should be"),
    ),
    "output where no folder can be": (
        lambda place: None,
        "/proc/x/out",
        ("Cannot make the folder /proc/x", "choose another"),
    ),
    "name too long": (
        lambda place: None,
        f"{'x' * 300}/out",
        ("the name is too long: choose a shorter one",),
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_bad_output_folder(animate124, place, name):
    prepare, out, words = OUTPUTS[name]
    prepare(place)
    before = place.tree()
    status, errors = animate124(*fit_arguments("--out", out))
    assert status == 2
    assert_one_sentence(errors, words)
    assert place.tree() == before


@pytest.mark.parametrize(
    ("locked", "out", "words"),
    [
        ("out", "out", ("folder out cannot be written", "change its permissions")),
        (".", "new", ("folder . cannot be written", "change its permissions")),
        (".", "deep/new", ("Cannot make the folder deep: permission denied", "may write to")),
        ("truth/bundle.json", "new", ("truth/bundle.json may not be read", "permissions")),
        ("truth/rgba.safetensors", "new", ("truth/rgba.safetensors may not be read", "permiss")),
    ],
    ids=["output folder", "output's parent", "parent to be made", "bundle.json", "a tensor file"],
)
def test_no_permission(animate124, place, locked, out, words):
    before = place.tree()
    path = place.folder / locked
    mode = path.stat().st_mode
    path.chmod(0o500 if path.is_dir() else 0)
    try:
        with ordinary_user():
            status, errors = animate124(*fit_arguments("--out", out))
    finally:
        path.chmod(mode)
    assert status == 2
    assert_one_sentence(errors, words)
    assert place.tree() == before


def test_bundle_name_too_long(animate124, place):
    before = place.tree()
    arguments = fit_arguments()
    arguments[1] = "x" * 300
    status, errors = animate124(*arguments)
    assert status == 2
    assert_one_sentence(errors, ("no truth bundle at xxx", "check the path"))
    assert place.tree() == before


def test_folder_in_use(animate124, place):
    with checkpoints.locked(place.folder / ".out.work"):
        status, errors = animate124(*fit_arguments())
    assert status == 2
    assert_one_sentence(errors, ("Another process", "is working in", ".out.work", "wait for it"))
    assert {p.name: p.read_bytes() for p in place.out.iterdir()} == EARLIER


def outputs_are_untouched(place):
    return {p.name: p.read_bytes() for p in place.out.iterdir()} == EARLIER


def test_diverging_training(animate124, place):
    status, errors = animate124(*fit_arguments("--set", "lr=1e38", "--steps", "20"))
    assert status == 2
    assert_one_sentence(errors, ("Training 'fit' stopped at step", "lower the learning rate"))
    assert outputs_are_untouched(place)


@pytest.mark.parametrize("out", ["out", "new"])
def test_full_disk_at_the_last_checkpoint(animate124, place, out):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        status, errors = animate124(*fit_arguments("--out", out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2
    words = ("final state could not be written", "checkpoint.safetensors", "choose another disk")
    assert_one_sentence(errors, words)
    assert outputs_are_untouched(place) and not (place.folder / "new").exists()


@pytest.mark.parametrize("out", ["out", "new"])
def test_full_disk_while_results_are_written(animate124, place, out):
    """The disk fills up at the second result; the next run needs no training."""
    flush = os.fsync
    written = []

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if place.folder / out in path.parents and path.suffix:
            written.append(path)
            if len(written) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    with place.monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        status, errors = animate124(*fit_arguments("--out", out))
    assert status == 2
    sentence = errors.splitlines()[-1] + "\n"  # above it stands how long the training took
    assert_one_sentence(sentence, (f"Cannot write {out}/", "the disk is full: free some space"))
    assert outputs_are_untouched(place) and not (place.folder / "new").exists()
    place.monkeypatch.setattr(stage.FitTask, "loss", None)
    status, errors = animate124(*fit_arguments("--out", out))
    assert status == 0 and "resuming after step 2 of 2" in errors
    found = {p.name for p in (place.folder / out).iterdir()}
    assert found == {*stage.OUTPUTS, stage.SCORES}


def no_videos(*arguments, **options):
    raise OSError(errno.EIO, "the disk broke")


def with_checkpoint(place, animate124):
    """Leave the checkpoint of a finished training whose results could not be written."""
    with place.monkeypatch.context() as patch:
        patch.setattr(stage, "_videos", no_videos)
        assert animate124(*fit_arguments())[0] == 1
    return place.folder / ".out.work" / checkpoints.NAME


def other_version(path):
    tensors, metadata = load_tensors(path, checkpoints.KIND, checkpoints.VERSION)
    save_tensors(path, tensors, kind=checkpoints.KIND, version=99, metadata=metadata)


CHECKPOINTS = {
    "flipped bit": (lambda path: flip(path), SETTINGS, "its checksum does not fit"),
    "cut short": (cut, SETTINGS, "is damaged or cut short"),
    "empty": (lambda path: path.write_bytes(b""), SETTINGS, "is empty"),
    "no checkpoint": (lambda path: path.write_text("x" * 500), SETTINGS, "is damaged or cut short"),
    "other version": (other_version, SETTINGS, "has format version 99"),
    "other settings": (lambda path: None, (*SETTINGS, "lr=0.02"), "belongs to other settings"),
}


@pytest.fixture(scope="module")
def fresh_bytes():
    """Field files of undisturbed runs by their settings."""
    return {}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_bad_checkpoint_is_set_aside_and_training_starts_anew(animate124, place, name, fresh_bytes):
    damage, settings, words = CHECKPOINTS[name]
    path = with_checkpoint(place, animate124)
    assert outputs_are_untouched(place)
    damage(path)
    status, errors = animate124(*fit_arguments(settings=settings))
    assert status == 0
    note, end = errors.splitlines()
    assert "is not used: " in note and words in note and "kept as checkpoint.unused-1" in note
    assert "2 steps in" in end and "(this session 2)" in end
    assert {p.name for p in place.out.iterdir()} == {*stage.OUTPUTS, stage.SCORES}
    if settings not in fresh_bytes:
        assert animate124(*fit_arguments("--out", "fresh", settings=settings))[0] == 0
        fresh_bytes[settings] = (place.folder / "fresh" / "field.safetensors").read_bytes()
    assert (place.out / "field.safetensors").read_bytes() == fresh_bytes[settings]


def render(*more, seed="1", out="new", size="12"):
    count = ["--views", "1", "--frames", "2", "--samples", "1", "--tracks", "4"]
    seed, out = ["--seed", seed] if seed else [], ["--out", out] if out else []
    return ["toybox", "render", *seed, *out, *count, "--size", size, *more]


RENDERS = {
    "unknown species": (
        render("--species", "pandaa"),
        ("unknown toybox species 'pandaa'", "choose one of panda, "),
    ),
    "unknown motion": (
        render("--motion", "dansing"),
        ("motion 'dansing'", "choose one of dancing, "),
    ),
    "bundle exists": (
        render(out="truth"),
        ("truth bundle truth is there already", "choose another folder, or --force"),
    ),
    "folder of something else": (
        render("--force", out="out"),
        ("out is there already and is no truth bundle", "choose another folder"),
    ),
    "output is a file": (
        render("--force", out="truth/bundle.json"),
        ("truth/bundle.json is there already and is no truth bundle", "choose another"),
    ),
    "output under a device": (render(out="/dev/null/x"), ("Cannot make the folder /dev/null",)),
}


@pytest.mark.parametrize("name", RENDERS)
def test_bad_render(animate124, place, name):
    arguments, words = RENDERS[name]
    before = place.tree()
    status, errors = animate124(*arguments)
    assert status == 2
    assert_one_sentence(errors, words)
    assert place.tree() == before


def test_full_disk_while_a_bundle_is_rendered(animate124, place):
    before = place.tree()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        status, errors = animate124(*render("--force", out="truth"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2
    assert_one_sentence(errors, ("Cannot write ", ".safetensors", "choose another disk"))
    assert place.tree() == before


# Wrong use of the command line itself: usage first, then the sentence.
USAGES = {
    "unknown command": (["fti"], "No such command 'fti'. Did you mean 'fit'?"),
    "unknown option": (fit_arguments("--step", "3"), "No such option: --step"),
    "no output": (["fit", "truth"], "Missing option '--out'."),
    "no bundle": (["fit", "--out", "out"], "Missing argument"),
    "negative steps": (fit_arguments("--steps", "-3"), "Invalid value for '--steps'"),
    "text for steps": (fit_arguments("--steps", "many"), "Invalid value for '--steps'"),
    "no seed": (render(seed=None), "Missing option '--seed'."),
    "negative seed": (render(seed="-1"), "Invalid value for '--seed'"),
    "size too small": (render(size="4"), "Invalid value for '--size'"),
    "one frame": (render("--frames", "1"), "Invalid value for '--frames'"),
}


@pytest.mark.parametrize("name", USAGES)
def test_wrong_use(animate124, place, name):
    arguments, words = USAGES[name]
    before = place.tree()
    status, errors = animate124(*arguments)
    assert status == 2
    lines = errors.splitlines()
    assert lines[0].startswith("Usage: ") and lines[-1].startswith("Error: ")
    assert words in lines[-1] and "Traceback" not in errors
    assert place.tree() == before


def test_a_process_of_its_own_says_the_same(place):
    before = place.tree()
    done = subprocess.run(
        [sys.executable, "-m", "animate124", *fit_arguments("--set", "train.stepz=9", "--json")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_sentence(done.stderr, WRONG_SETTINGS["unknown setting"][1])
    assert place.tree() == before
