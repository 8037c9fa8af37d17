"""Bad bundles, settings and command lines: one sentence, status 2, nothing changed."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import math
import shutil
import subprocess
import sys

import pytest
import torch
from bad_input import (  # noqa: F401
    animate124,
    assert_one_sentence,
    cut,
    fit_arguments,
    flip,
    place,
    render,
    whole,
)


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


def test_bundle_name_too_long(animate124, place):
    before = place.tree()
    arguments = fit_arguments()
    arguments[1] = "x" * 300
    status, errors = animate124(*arguments)
    assert status == 2
    assert_one_sentence(errors, ("no truth bundle at xxx", "check the path"))
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
