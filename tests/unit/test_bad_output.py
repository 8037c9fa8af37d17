"""Bad places for results, full disks and damaged checkpoints: what was there stays as it was."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import ctypes
import errno
import os
import resource
import shutil
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from bad_input import (  # noqa: F401
    EARLIER,
    SETTINGS,
    animate124,
    assert_one_sentence,
    cut,
    fit_arguments,
    flip,
    place,
    render,
    whole,
)

from animate124 import checkpoints
from animate124.media.tensors import load_tensors, save_tensors
from animate124.stages import fit as stage


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
    # A slow machine shows progress before the sentence.
    errors = "".join(line for line in errors.splitlines(True) if not line.startswith("fit: step"))
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


RENDERS = {
    "unknown species": (
        render("--species", "pandaa"),
        ("Unknown toybox species 'pandaa': did you mean panda?", "choose one of panda, "),
    ),
    "unknown motion": (
        render("--motion", "dansing"),
        ("motion 'dansing': did you mean dancing?", "choose one of dancing, "),
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
