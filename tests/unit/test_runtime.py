"""Threads, environment and malloc before torch loads; seeds that depend on their key alone."""

import hashlib
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from animate124 import runtime

VARIABLES = (*runtime.THREAD_VARIABLES, "OMP_WAIT_POLICY", "NUMBA_THREADING_LAYER")
VARIABLES += ("ANIMATE124_THREADS", "NUMBA_CACHE_DIR", "GLIBC_TUNABLES", "MALLOC_TOP_PAD_")


def report(prefix="", **environment):
    """`runtime.report()` of a fresh interpreter that has only `environment` set."""
    clean = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    code = f"{prefix}\nimport animate124, json, os, sys\nfrom animate124 import runtime\n"
    code += "heavy = [m for m in ('torch', 'numpy', 'numba') if m in sys.modules]\n"
    code += "runtime.configure()\n"  # again: it must change nothing
    code += "print(json.dumps(runtime.report() | {'heavy': heavy, 'environ': dict(os.environ)}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=clean | environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_defaults_are_in_the_environment_and_nothing_heavy_is_loaded():
    found = report()
    cpus = str(runtime.available_cpus())
    for name in runtime.THREAD_VARIABLES:
        assert found["environ"][name] == cpus
    assert found["environ"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert found["environ"]["NUMBA_THREADING_LAYER"] == "workqueue"
    assert found["heavy"] == [] and found["too_late_for"] == [] and found["problems"] == []
    assert found["set_by_user"] == [] and found["threads_from"] == "available CPUs"


@pytest.mark.parametrize(
    ("given", "threads", "source"),
    [
        ({"ANIMATE124_THREADS": "3"}, "3", "ANIMATE124_THREADS"),
        ({"OMP_NUM_THREADS": "5"}, "5", "OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "4,2"}, "4", "OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "5", "ANIMATE124_THREADS": "3"}, "3", "ANIMATE124_THREADS"),
    ],
)
def test_threads_follow_the_user(given, threads, source):
    found = report(**given)
    assert found["threads"] == int(threads) and found["threads_from"] == source
    assert found["environ"]["NUMBA_NUM_THREADS"] == threads
    if "ANIMATE124_THREADS" in given:
        assert found["environ"]["OMP_NUM_THREADS"] == threads
    else:
        assert found["environ"]["OMP_NUM_THREADS"] == given["OMP_NUM_THREADS"]


def test_a_users_values_win():
    found = report(OMP_WAIT_POLICY="ACTIVE", NUMBA_NUM_THREADS="7", MALLOC_TOP_PAD_="4096")
    assert found["environ"]["OMP_WAIT_POLICY"] == "ACTIVE"
    assert found["environ"]["NUMBA_NUM_THREADS"] == "7"
    assert found["set_by_user"] == ["NUMBA_NUM_THREADS", "OMP_WAIT_POLICY"]
    assert found["malloc"]["top_pad"] == "set by the user"
    assert found["malloc"]["trim_threshold"] == "-1"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_bad_number_of_threads_is_a_problem_and_not_an_exception(text):
    found = report(ANIMATE124_THREADS=text)
    assert found["threads"] == runtime.available_cpus()
    assert len(found["problems"]) == 1 and "ANIMATE124_THREADS" in found["problems"][0]


def test_an_earlier_torch_is_noticed():
    assert report(prefix="import sys, types; sys.modules['torch'] = types.ModuleType('torch')")[
        "too_late_for"
    ] == ["torch"]


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_blocks_stay_in_the_process():
    # 64 MiB freed and allocated again: page faults happen once, or again at every allocation.
    code = """
import sys, resource
if sys.argv[1] == "ours": import animate124
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
    ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p])
def touch():
    block = libc.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {}
    for which in ("plain", "ours"):
        # Without transparent huge pages, which would make one fault of 512.
        environment = os.environ | {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
        done = subprocess.run(
            [sys.executable, "-c", code, which],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        faults[which] = int(done.stdout)
    assert faults["plain"] > 4 * 32  # 64 MiB is 32 huge pages, or 16384 small ones
    assert faults["ours"] < faults["plain"] / 10


def test_cgroup_quota(tmp_path):
    proc, sys_fs = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (sys_fs / "a" / "b").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("0::/a/b\n")
    (sys_fs / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert runtime.cgroup_quota(proc, sys_fs) is None
    (sys_fs / "a" / "cpu.max").write_text("350000 100000\n")
    assert runtime.cgroup_quota(proc, sys_fs) == 3.5  # the parent's limit holds too
    (sys_fs / "a" / "b" / "cpu.max").write_text("150000 100000\n")
    assert runtime.cgroup_quota(proc, sys_fs) == 1.5
    assert runtime.cgroup_quota(tmp_path / "absent", sys_fs) is None


def test_cgroup_quota_version_1(tmp_path):
    proc, folder = tmp_path / "proc", tmp_path / "cgroup" / "cpu" / "job"
    (proc / "self").mkdir(parents=True)
    folder.mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("5:memory:/job\n4:cpu,cpuacct:/job\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert runtime.cgroup_quota(proc, tmp_path / "cgroup") is None
    (folder / "cpu.cfs_quota_us").write_text("200000\n")
    assert runtime.cgroup_quota(proc, tmp_path / "cgroup") == 2.0


def test_available_cpus_obeys_the_mask_and_the_quota(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for quota, expected in ((None, 4), (8.0, 4), (2.0, 2), (1.5, 1), (0.5, 1)):
        monkeypatch.setattr(runtime, "cgroup_quota", lambda quota=quota: quota)
        assert runtime.available_cpus() == expected


def test_numba_cache_folder_when_the_package_is_read_only(monkeypatch, tmp_path):
    assert runtime._numba_cache_folder() is None  # the checkout is writable: numba's own choice
    package = str(runtime.Path(runtime.__file__).parent)
    access = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: str(p) != package and access(p, mode))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = runtime._numba_cache_folder()
    assert folder == tmp_path / "cache" / "animate124" / "numba"
    folder.chmod(0o777)  # others could plant a pickle there
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    assert runtime._numba_cache_folder() == tmp_path / "tmp" / f"animate124-numba-{os.getuid()}"


def test_seed_is_the_hash_of_the_key():
    digest = hashlib.sha256(b'[7, "static", "rays", 3]').hexdigest()
    assert runtime.derive_seed(7, "static", "rays", 3) == int(digest[:16], 16) // 2
    # Kept for good: another value would change every result of every scene.
    assert runtime.derive_seed(0) == 7520536977032167579


def test_keys_that_look_alike_differ():
    keys = [(0, "a", 1), (0, "a1"), (0, "a", "1"), (0, 1, "a"), (1, "a", 0), (0, "a", 1, "")]
    assert len({runtime.derive_seed(*key) for key in keys}) == len(keys)
    for bad in (True, 1.0, None):
        with pytest.raises(TypeError, match="must be str or int"):
            runtime.derive_seed(0, bad)


def test_generator_is_stateless():
    first = torch.rand(5, generator=runtime.generator(1, "static", "rays", 9))
    torch.rand(100)
    again = torch.rand(5, generator=runtime.generator(1, "static", "rays", 9))
    other = torch.rand(5, generator=runtime.generator(1, "static", "rays", 10))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_neighbouring_steps_are_not_correlated():
    draws = np.stack([torch.rand(64, generator=runtime.generator(0, i)).numpy() for i in range(65)])
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(draws)]
    assert abs(np.mean(correlation)) < 4 / np.sqrt(64 * 64)  # standard error 1 / sqrt(N pairs)


def test_peak_memory_grows_by_what_is_allocated():
    before = runtime.peak_memory_mib()
    block = np.ones(int(before + 64) * 131072)  # 8 bytes: 1 MiB each; more than was ever used
    assert runtime.peak_memory_mib() > before + 60
    del block


def test_device_summary_names_the_cpu():
    cpu = runtime.device_summary()[0]
    assert cpu["kind"] == "cpu" and cpu["name"]
    assert cpu["memory_mib"] == pytest.approx(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1048576
    )
