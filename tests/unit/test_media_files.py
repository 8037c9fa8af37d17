"""Atomic writes: whole files or none, whatever goes wrong."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from animate124.errors import UserError
from animate124.media import files


def test_write_and_replace(tmp_path):
    target = tmp_path / "new" / "folder" / "a.txt"
    files.write_text(target, "grün\n")
    assert target.read_bytes() == b"gr\xc3\xbcn\n"
    files.write_bytes(target, b"second")
    assert target.read_bytes() == b"second"
    assert os.listdir(target.parent) == ["a.txt"]


def test_json_is_readable_and_refuses_nan(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, "ü"]})
    expected = '{\n  "b": 1,\n  "a": [\n    0.5,\n    "ü"\n  ]\n}\n'
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == expected
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "b.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_an_exception_leaves_the_old_file_and_no_temporary(tmp_path, error):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), files.atomic_path(target) as temp:
        assert temp.parent == tmp_path and temp.name.startswith(".tmp-") and temp.suffix == ".bin"
        temp.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(tmp_path, monkeypatch, number, words):
    def refuse(self, data):
        self.touch()
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UserError, match=words) as caught:
        files.write_bytes(tmp_path / "a.bin", b"x")
    assert str(tmp_path / "a.bin") in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_disk_full_for_real(tmp_path):
    # A file size limit makes the kernel refuse the write, as a full disk does.
    code = (
        "import resource, signal, sys\n"
        "from animate124.media.files import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(sys.argv[1], bytes(5000))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.bin")], capture_output=True, text=True
    )
    assert "UserError" in run.stderr and "no file of this size" in run.stderr
    assert os.listdir(tmp_path) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="not a folder"):
        files.write_text(tmp_path / "file" / "deeper" / "a.txt", "y")
    with pytest.raises(UserError, match="stands where the folder"):
        files.ensure_folder(tmp_path / "file")
    with pytest.raises(UserError, match="this path is a folder"):
        files.write_text(tmp_path, "y")


def test_an_error_about_another_file_is_not_blamed_on_the_target(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError), files.atomic_path(tmp_path / "a"):
        (tmp_path / "file" / "input").read_bytes()


def test_clean_stale_removes_only_what_the_dead_left(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = files._host()
    stale = tmp_path / f".tmp-{dead.pid}-0011aabb-{host}.mp4"
    alive = tmp_path / f".tmp-{os.getpid()}-0011aabb-{host}.mp4"
    elsewhere = tmp_path / f".tmp-{dead.pid}-0011aabb-{host}other.mp4"
    old_elsewhere = tmp_path / ".tmp-1-0011aabb-otherhost.png"
    folder = tmp_path / ".tmp-odd"
    for path in (stale, alive, elsewhere, old_elsewhere, tmp_path / "kept.mp4"):
        path.write_text("x")
    os.utime(old_elsewhere, (0, 0))
    folder.mkdir()
    (folder / "inside").write_text("x")
    assert files.clean_stale(tmp_path) == sorted([stale, old_elsewhere, folder])
    assert sorted(os.listdir(tmp_path)) == sorted([alive.name, elsewhere.name, "kept.mp4"])
    assert files.clean_stale(tmp_path / "absent") == []


def test_a_killed_writer_leaves_a_temporary_that_is_recognised(tmp_path):
    code = (
        "import os, sys\n"
        "from animate124.media.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temp:\n"
        "    temp.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.bin")])
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".tmp-")
    assert files.clean_stale(tmp_path) == [left] and os.listdir(tmp_path) == []


def test_import_is_cheap():
    code = (
        "import sys, animate124.media.files\n"
        "print([m for m in ('torch', 'numpy', 'numba', 'PIL') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
