"""Process-wide behaviour settled before torch and numba load: threads, waiting, malloc, randomness.

Why it exists (measured on a busy two-core machine): OpenMP threads that spin while they wait made
a UNet forward 12 times slower; glibc gives large blocks back to the kernel after every operation,
which makes a small MLP 2 to 2.5 times slower. Both are decided when the libraries load, so
`animate124/__init__.py` calls `configure` first. Only the standard library is imported here.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

# <malloc.h>: the parameter's number, the environment variable that means the same, our value.
# The threshold keeps blocks below 1 GiB on the heap, -1 never trims it, and the pad makes it grow
# in 64 MiB steps. mallopt takes a C int, hence no larger values.
_MALLOPT = (
    ("mmap_threshold", -3, "MALLOC_MMAP_THRESHOLD_", 1 << 30),
    ("trim_threshold", -1, "MALLOC_TRIM_THRESHOLD_", -1),
    ("top_pad", -2, "MALLOC_TOP_PAD_", 64 << 20),
)
_M_MMAP_MAX = -4


@dataclass
class _State:
    """What `configure` decided, kept for `report`."""

    configured: bool = False
    threads: int = 1
    threads_from: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    set_by_user: list[str] = field(default_factory=list)
    malloc: dict[str, str] = field(default_factory=dict)
    too_late_for: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


_state = _State()


def configure() -> None:
    """Settle threads, OpenMP waiting, numba's threading layer and cache, and malloc; idempotent.

    Threads: `ANIMATE124_THREADS`, else `OMP_NUM_THREADS`, else the CPUs this process may use
    (affinity mask and cgroup quota). Any other variable the user has set keeps its value. Never
    raises: what is wrong with the environment is kept in `problems`, since an exception here
    would be a traceback at `import animate124`.
    """
    if _state.configured:
        return
    _state.configured = True
    _state.too_late_for = [name for name in ("torch", "numba") if name in sys.modules]
    _state.threads, _state.threads_from = _thread_count()
    if _state.threads_from == "ANIMATE124_THREADS":
        # The project's own variable is the more specific wish, and a parent that ran `configure`
        # has left the others in the environment: it must be able to give a child fewer threads.
        for name in THREAD_VARIABLES:
            os.environ[name] = str(_state.threads)
    for name in THREAD_VARIABLES:
        _set_default(name, str(_state.threads))
    _set_default("OMP_WAIT_POLICY", "PASSIVE")
    # Not "omp": its first kernel undoes torch.set_num_threads (torch and numba share OpenMP's
    # thread count), it needs the system's libgomp, and it kills forked children. "workqueue" is
    # as fast within 10 %; its price: kernels must not be started from two Python threads at once.
    _set_default("NUMBA_THREADING_LAYER", "workqueue")
    cache = _numba_cache_folder()
    if cache is not None:
        _set_default("NUMBA_CACHE_DIR", str(cache))
    _configure_malloc()


def problems() -> list[str]:
    """Sentences about the environment that the user can mend; empty when all is well."""
    return list(_state.problems)


def report() -> dict[str, Any]:
    """What is in force: threads, where the number came from, variables, malloc, and what came late.

    `too_late_for` names libraries that were imported before `configure` ran: the variables they
    read at import then have no effect on them.
    """
    return {
        "threads": _state.threads,
        "threads_from": _state.threads_from,
        "environment": dict(_state.environment),
        "set_by_user": list(_state.set_by_user),
        "malloc": dict(_state.malloc),
        "too_late_for": list(_state.too_late_for),
        "problems": list(_state.problems),
    }


def _set_default(name: str, value: str) -> None:
    if os.environ.get(name):
        _state.set_by_user.append(name)
    else:
        os.environ[name] = value
    _state.environment[name] = os.environ[name]


def _thread_count() -> tuple[int, str]:
    """Number of CPU threads (at least 1) and the name of what decided it."""
    for name in ("ANIMATE124_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").strip()
        if not text:
            continue
        first = text.split(",")[0]  # OpenMP allows a list, one number per nesting level
        if first.isascii() and first.isdigit() and int(first) >= 1:
            return int(first), name
        _state.problems.append(
            f"{name}={text!r} is not a number of threads: set it to a whole number of at least 1, "
            "or unset it to use every CPU this process may use."
        )
    return available_cpus(), "available CPUs"


def available_cpus() -> int:
    """CPUs this process may use: the affinity mask, cut by a cgroup quota; at least 1.

    A quota of 1.5 CPUs gives 1: a second thread would be throttled for a quarter of the time and
    the first would wait for it at every barrier.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, count if quota is None else min(count, int(quota)))


def cgroup_quota(proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs granted by the tightest cgroup (v2 or v1) around this process; None without a limit."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None  # not Linux
    quotas: list[float] = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = sys_fs if not controllers else sys_fs / "cpu"
        folder = root / group.lstrip("/")
        # Inside a container the path may name the host's tree: whatever of it exists here counts.
        for level in (folder, *folder.parents):
            if level != root and root not in level.parents:
                break
            quota = _quota_v2(level) if not controllers else _quota_v1(level)
            if quota is not None:
                quotas.append(quota)
    return min(quotas, default=None)


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return None if quota < 0 else quota / period


def _numba_cache_folder() -> Path | None:
    """Where numba may keep compiled kernels, or None when its own choice (beside the source) works.

    numba's cache files are pickles, so a folder that another user owns or may write to is refused.
    """
    if os.access(Path(__file__).parent, os.W_OK):
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    for folder in (
        home / "animate124" / "numba",
        Path(tempfile.gettempdir()) / f"animate124-numba-{os.getuid()}",
    ):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = folder.stat()
        except OSError:
            continue
        if info.st_uid == os.getuid() and not info.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    _state.problems.append(
        f"No folder for compiled kernels is writable (tried beside the package, {home} and "
        f"{tempfile.gettempdir()}): set NUMBA_CACHE_DIR to one that is."
    )
    return None


def _configure_malloc() -> None:
    """Keep large blocks in the process instead of mapping and unmapping them at every operation."""
    mallopt = None
    if platform.libc_ver()[0] == "glibc":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        _state.malloc = {"mallopt": "not available: the C library is not glibc"}
        return
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    for name, number, variable, value in _MALLOPT:
        if variable in os.environ or f"glibc.malloc.{name}=" in tunables:
            _state.malloc[name] = "set by the user"
        elif mallopt(number, value):
            _state.malloc[name] = str(value)
        elif name == "mmap_threshold" and mallopt(_M_MMAP_MAX, 0):
            # Older glibc refuses more than 32 MiB; forbidding mmap altogether does the same.
            _state.malloc[name] = "mmap off"
        else:
            _state.malloc[name] = "refused by the C library"


def derive_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed for the stream named by `key`, from the scene's seed; in [0, 2**63).

    SHA-256 of the whole key, so that streams of neighbouring steps or seeds share nothing and any
    step can be replayed without those before it. Raises TypeError for a key that is neither text
    nor a whole number (a float's text may differ between machines).
    """
    for part in (seed, *key):
        if isinstance(part, bool) or not isinstance(part, (str, int)):
            raise TypeError(f"a seed or key part must be str or int, not {part!r}")
    digest = hashlib.sha256(json.dumps([seed, *key]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *key: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh torch generator for the stream named by `key`, e.g. `(seed, "static", "rays", 17)`.

    Stateless: the same arguments give the same stream in any process, so a run resumed at step k
    draws what an undisturbed run would have drawn. For numpy: `default_rng(derive_seed(...))`.
    """
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *key))


def best_device() -> str:
    """ "cuda" where torch can use one, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    try:
        # Not ru_maxrss, which survives exec and so reports the parent's peak for a small child.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # not Linux: ask the other way
    import resource

    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_device_memory_mib() -> float | None:
    """Largest memory torch allocated on a CUDA device so far, in MiB; None where none was used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return max(torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())) / 2**20


def device_summary() -> list[dict[str, Any]]:
    """The devices torch can use: `name`, `kind` (cpu or cuda), `memory_mib` in all, `detail`."""
    import torch

    devices = [
        {
            "kind": "cpu",
            "name": _cpu_name(),
            "memory_mib": _physical_memory_mib(),
            "detail": f"{available_cpus()} of {os.cpu_count()} CPUs, {_state.threads} threads",
        }
    ]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append(
            {
                "kind": "cuda",
                "name": properties.name,
                "memory_mib": properties.total_memory / 2**20,
                "detail": f"compute capability {properties.major}.{properties.minor}",
            }
        )
    return devices


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _physical_memory_mib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
