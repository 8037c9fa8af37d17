"""Compile the CPU kernels in a process of their own, so that every run executes the same code.

A parallel kernel that numba has just compiled and the copy that it stored differ: the stored one is
optimised once more and may add up in another order. A run that compiles would then end in other
bytes than one that loads. So a child compiles into the cache, and every run loads.
"""

import subprocess
import sys

import torch

from animate124.kernels import dispatch
from animate124.kernels.levels import GridLevels


def ensure_compiled() -> None:
    """Make sure that the kernels lie in numba's cache; takes some seconds the first time."""
    if dispatch.backend_name("cpu") != "numba" or all(map(_is_cached, _kernels())):
        return
    subprocess.run([sys.executable, "-m", "animate124.kernels.warm"], check=True)


def _kernels() -> list:
    from animate124.kernels import cpu_composite, cpu_encode, cpu_march, cpu_mlp, cpu_splat

    splat = (
        cpu_splat.prepare,
        cpu_splat.composite,
        cpu_splat.composite_backward,
        cpu_splat.prepare_backward,
    )
    pairs = [(m.forward, m.backward) for m in (cpu_encode, cpu_mlp, cpu_composite)]
    return [*sum(pairs, ()), cpu_march.fill_blocks, cpu_march.march, cpu_march.pack, *splat]


def _is_cached(kernel) -> bool:
    # numba has no public question for this; an index of another source or version is empty.
    return bool(kernel._cache._cache_file._load_index())


def compile_all() -> None:
    """Call every kernel once, with the types that kernels/cpu.py gives it."""
    from animate124.kernels import cpu, cpu_splat_op

    levels = GridLevels(levels=2, coarsest=2, finest=4)
    origins = torch.tensor([[0.0, 0.0, 2.0]])
    offsets, distances, points = cpu.march(
        origins,
        -origins / 2,
        torch.zeros(1, dtype=torch.int64),
        torch.ones(1, 8, 8, 8),
        torch.zeros(1),
        1.0,
        0.5,
        torch.zeros(1),
        float("inf"),
        torch.tensor([[[-1.0] * 3, [1.0] * 3]]),
    )
    tables = torch.zeros(1, levels.rows, levels.features, requires_grad=True)
    features = cpu.encode(points, tables, torch.tensor([0, len(points)]), levels, levels.levels)
    weights = [torch.zeros(s, requires_grad=True) for s in ((4, 4), (4,), (4, 4), (4,))]
    raw = cpu.mlp(features, *weights)
    outputs = cpu.composite(raw[:, 0], raw[:, 1:], distances, offsets, 0.5)
    sum(output.sum() for output in outputs).backward()
    shapes = (1, 1, 3), (1, 1, 4), (1, 1, 3), (1,), (1, 3)
    state = [torch.full(shape, 0.5, requires_grad=True) for shape in shapes]
    view = torch.eye(4)[None]
    view[0, 2, 3] = -2.0
    image = cpu_splat_op.splat(*state, view, torch.zeros(1, dtype=torch.int64), 8.0, 4, 4)
    image.sum().backward()


if __name__ == "__main__":
    compile_all()
