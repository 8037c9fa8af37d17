"""What the tests of bad input share: a place with a bundle and an earlier result, the command line.

Every case starts from a whole truth bundle and an earlier result, breaks one thing, runs the
command line, and compares the whole folder tree with what was there before.
"""

import hashlib
import json
import shutil
import sys

import pytest

from animate124 import __main__ as entry
from animate124.media.tensors import load_tensors, save_tensors
from animate124.toybox.bundle import write_bundle
from animate124.toybox.bundle_record import RECORD
from animate124.toybox.characters import sample_clip

SETTINGS = (
    *("field.levels=2", "field.finest=8", "field.log2_size=8", "field.hidden=4"),
    *("field.occupancy_side=8", "field.step=0.1", "rays=64", "subsamples=1"),
    "interpolation=blend",
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


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip(path, where=-20):
    data = bytearray(path.read_bytes())
    data[where] ^= 0x10
    path.write_bytes(data)


def render(*more, seed="1", out="new", size="12"):
    count = ["--views", "1", "--frames", "2", "--samples", "1", "--tracks", "4"]
    seed, out = ["--seed", seed] if seed else [], ["--out", out] if out else []
    return ["toybox", "render", *seed, *out, *count, "--size", size, *more]
