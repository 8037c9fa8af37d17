"""What the rerun matrices share; each has a `checkout` of its own, with one scene made."""

import os

import pytest
from checkout import Workflow


@pytest.fixture
def workflow(checkout):
    return Workflow(checkout)


@pytest.fixture
def change(checkout):
    """Write other bytes into files of the checkout; what was there comes back afterwards."""
    before = {}

    def change(path, edit):
        path = checkout / path
        before.setdefault(path, (path.read_bytes(), path.stat()))
        path.write_bytes(edit(path.read_bytes()))

    yield change
    for path, (content, stat) in before.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
