"""`animate124 doctor`: its facts against other sources, and what it says when something lacks."""

import builtins
import importlib.metadata
import importlib.util
import json
import platform
import re
import shutil
import tomllib

import pytest
import torch
from typer.testing import CliRunner

from animate124 import runtime
from animate124.cli import app, doctor


def call(*arguments):
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_json_is_flat_and_true():
    done = call("--json")
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert not any(isinstance(value, dict) for value in facts.values())
    assert facts["version.python"] == platform.python_version()
    assert facts["version.torch"] == torch.__version__
    assert facts["threads"] == runtime.report()["threads"]
    assert facts["environment.OMP_WAIT_POLICY"] in ("PASSIVE", "ACTIVE")
    assert facts["kernel.encode"] in ("numba", "triton", "reference")
    assert facts["optional.tinycudann.install"].startswith("pip install")
    assert facts["disk_free_gib"] == pytest.approx(shutil.disk_usage(".").free / 2**30, abs=1)
    assert facts["missing"] == []


def test_every_key_is_described_in_the_help():
    described = " ".join(doctor.doctor.__doc__.split())
    for key in json.loads(call("--json").stdout):
        parts = key.split(".")
        if parts[0] == "optional":
            assert f'".{parts[2]}"' in described or f'"optional.NAME.{parts[2]}"' in described
        elif parts[0] == "device":
            assert f'".{parts[2]}"' in described or f'"device.N.{parts[2]}"' in described
        else:
            assert f'"{parts[0]}"' in described or f'"{parts[0]}.' in described, key


def test_required_packages_are_those_of_pyproject(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = [re.split(r"[=<>!~\[; ]", line)[0] for line in project["dependencies"]]
    assert sorted(doctor.REQUIRED) == sorted(named)


def test_missing_package_fails_and_says_so(monkeypatch):
    version = importlib.metadata.version

    def without_scipy(name):
        if name == "scipy":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_scipy)
    done = call()
    assert done.exit_code == 1
    assert "missing: The package scipy is not installed" in done.stdout
    assert re.search(r"^version\.scipy +not installed$", done.stdout, re.MULTILINE)
    assert "All that is required" not in done.stdout


def test_a_torch_that_does_not_load_is_reported(monkeypatch):
    original = builtins.__import__

    def broken(name, *arguments, **keywords):
        if name == "torch":
            raise OSError("libtorch.so: cannot open shared object file\nmore")
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", broken)
    done = call("--json")
    assert done.exit_code == 1
    assert "libtorch.so" in json.loads(done.stdout)["missing"][0]


def test_warnings(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: "found" if name == "torchvision" else find(name)
    )
    monkeypatch.setattr(runtime._state, "too_late_for", ["torch"])
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**30))
    done = call("--json")
    assert done.exit_code == 0  # none of it stops anything
    late, vision, disk = json.loads(done.stdout)["warnings"]
    assert "torch was imported before animate124" in late
    assert "torchvision is installed" in vision
    assert "Only 1.0 GiB are free" in disk


def test_table_tells_how_to_get_what_is_absent(monkeypatch):
    from animate124.kernels import dispatch

    entry = {
        "present": False,
        "version": None,
        "used_for": "speed",
        "lost_without": "half of it",
        "install": "pip install fastlib",
    }
    present = entry | {"present": True, "version": "1.2"}
    monkeypatch.setattr(dispatch, "status", lambda: {"fastlib": entry, "otherlib": present})
    lines = [line.strip() for line in call().stdout.splitlines()]
    at = lines.index("fastlib: not installed")
    assert lines[at + 1 : at + 4] == [
        "used for speed",
        "lost without it: half of it",
        "install: pip install fastlib",
    ]
    assert lines[at + 4 : at + 6] == ["otherlib: 1.2", "used for speed"]
    assert lines[at + 6] == ""
