"""A kernel gives the same bytes whether this process compiled it or loaded it."""

import os
import subprocess
import sys

WORK = """
import animate124, hashlib, torch
from animate124.kernels import cpu, warm
warm.ensure_compiled()
g = torch.Generator().manual_seed(0)
x = torch.randn(3000, 16, generator=g).requires_grad_()
shapes = ((32, 16), (32,), (4, 32), (4,))
w = [torch.randn(s, generator=g).requires_grad_() for s in shapes]
y = cpu.mlp(x, *w)
found = torch.autograd.grad(y, [x, *w], torch.randn(y.shape, generator=g))
print(hashlib.sha256(b"".join(f.contiguous().numpy().tobytes() for f in found)).hexdigest())
"""


def test_first_run_and_later_runs_give_the_same_bytes(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", WORK]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert any(tmp_path.rglob("*.nbi"))
    assert runs[0].stdout == runs[1].stdout != ""
