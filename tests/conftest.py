"""What every test shares: the `--slow` switch, skipping without a GPU, and the data folder."""

import os
from pathlib import Path

import pytest

import animate124  # noqa: F401  (sets threads and waiting before any test module imports torch)

# Before any library of the hub can be imported: no test may reach for the network.
os.environ["HF_HUB_OFFLINE"] = "1"

# Before any library can import Triton: without a GPU its kernels run in its interpreter.
if not os.path.exists("/dev/nvidiactl"):
    os.environ["TRITON_INTERPRET"] = "1"

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    # Before any test calls a kernel: in the same process compiled and loaded kernels must not mix.
    from animate124.kernels import warm

    warm.ensure_compiled()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        skip(items, "slow", "slow: give --slow to run it")
    if any(item.get_closest_marker("gpu") for item in items) and not has_cuda():
        skip(items, "gpu", "needs a CUDA device")


def skip(items, marker, reason):
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))


def has_cuda():
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def root():
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data():
    """The folder of published example data: $ANIMATE124_DATA, else ../shared/data; or a skip."""
    folder = Path(os.environ.get("ANIMATE124_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no example data in {folder}; name its folder in ANIMATE124_DATA")
    return folder
