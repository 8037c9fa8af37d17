"""The race of our lookup against plain torch: which formulation wins, and by how much it loses."""

import shutil
import time
from collections.abc import Callable

import steps
import torch
from timing import interleaved
from torch import Tensor
from torch_encode import FEW, FORMULATIONS, Formulation, corners, encode, our_levels

from animate124.kernels import dispatch, reference

SAMPLES = 100_000
PER_RAY = 8


def shell_samples(count: int) -> Tensor:
    """Unit-cube points [count, 3] as a march leaves them: PER_RAY steps along each ray, rays in
    image order, through the front of a sphere of radius 0.4 world units."""
    side = int((count / PER_RAY) ** 0.5) + 1
    line = torch.linspace(-1, 1, side)
    v, u = torch.meshgrid(line, line, indexing="ij")
    inside = u.square() + v.square() < 1
    u, v = u[inside], v[inside]
    front = torch.stack([u, v, (1 - u.square() - v.square()).sqrt()], -1) * 0.4
    depth = (torch.arange(PER_RAY) - PER_RAY / 2) * steps.STEP
    points = front[:, None].repeat(1, PER_RAY, 1)
    points[..., 2] -= depth
    points = (points.view(-1, 3) + steps.BOUND) / (2 * steps.BOUND)
    return points.repeat(count // len(points) + 1, 1)[:count].contiguous()


def race(quick: bool) -> tuple[Formulation, dict[str, float | str]]:
    """The fastest torch formulation here, and the figures encode_... of field.py."""
    x = shell_samples(SAMPLES)
    g = torch.Generator().manual_seed(0)
    table = torch.randn(steps.LEVELS.rows, 2, generator=g, requires_grad=True)
    gradient = torch.randn(len(x), steps.LEVELS.width, generator=g)
    starts, levels = torch.tensor([0, len(x)]), our_levels(steps.LEVELS)

    def run(lookup: Callable[[], Tensor]) -> None:
        torch.autograd.grad(lookup(), table, gradient)

    def ours() -> None:
        run(lambda: dispatch.encode(x, table[None], starts, steps.LEVELS, steps.LEVELS.levels))

    def readable() -> None:
        run(lambda: reference.encode(x, table[None], starts, steps.LEVELS, steps.LEVELS.levels))

    def torchs(how: Formulation) -> Callable[[], None]:
        return lambda: run(lambda: encode(x, table, levels, how))

    heats = {how: torchs(how) for how in (FEW if quick else FORMULATIONS)}
    first = interleaved(heats, 1).cpu
    best = sorted(heats, key=first.__getitem__)[:4]
    rounds = 3 if quick else 21
    final = interleaved({"ours": ours} | {how: heats[how] for how in best}, rounds)
    winner = min(best, key=final.wall.__getitem__)
    slow = interleaved({"readable": readable}, 1 if quick else 3).wall["readable"]
    figures: dict[str, float | str] = {
        "encode_samples": float(SAMPLES),
        "encode_ms": final.wall["ours"],
        "encode_cpu_ms": final.cpu["ours"],
        "torch_encode_ms": final.wall[winner],
        "torch_encode_cpu_ms": final.cpu[winner],
        "torch_encode_formulation": str(winner),
        "encode_vs_torch": final.wall[winner] / final.wall["ours"],
        "encode_vs_torch_cpu": final.cpu[winner] / final.cpu["ours"],
        "reference_encode_ms": slow,
    }
    if not quick and (shutil.which("g++") or shutil.which("clang++")):
        figures |= compiled(x, table.detach(), gradient, ours, rounds)
    return winner, figures


def compiled(
    x: Tensor, table: Tensor, gradient: Tensor, ours: Callable[[], None], rounds: int
) -> dict[str, float | str]:
    """The lookup under torch.compile: corners, gather and sum fused; backward recomputes them."""
    levels = our_levels(steps.LEVELS)

    def forward(columns: Tensor, by_feature: Tensor) -> Tensor:
        out = []
        for level in levels:
            row, weight = corners(columns, level, torch.int64)
            values = by_feature[:, level.first : level.last]
            out += [(values[feature][row] * weight).sum(0) for feature in range(2)]
        return torch.stack(out)

    def backward(columns: Tensor, d_out: Tensor) -> Tensor:
        parts = []
        for i, level in enumerate(levels):
            row, weight = corners(columns, level, torch.int64)
            rows = level.last - level.first
            both = [
                torch.zeros(rows).index_add(0, row.view(-1), (weight * d_out[2 * i + f]).view(-1))
                for f in range(2)
            ]
            parts.append(torch.stack(both))
        return torch.cat(parts, 1)

    start = time.perf_counter()
    ahead, back = (torch.compile(f, dynamic=False) for f in (forward, backward))

    def fused() -> None:
        columns = x.t().contiguous()
        ahead(columns, table.t().contiguous()).t()
        back(columns, gradient.t().contiguous()).t()

    fused()
    seconds = time.perf_counter() - start
    t = interleaved({"ours": ours, "compiled": fused}, rounds).wall
    return {
        "torch_encode_compile_ms": t["compiled"],
        "torch_encode_compile_seconds": seconds,
        "encode_vs_torch_compile": t["compiled"] / t["ours"],
    }
