"""The multi-resolution lookup in plain torch, as fast as we can write it: the rival of our kernel.

A formulation is one way through three choices that matter: how the eight corner values are fetched
and weighted, how the gradient is scattered back, and how much is done at once (one level or all of
them; all samples, or as many as stay in the cache). `FORMULATIONS` lists those in the race;
autograd through indexing (kernels/reference.py), torch.nn.functional.grid_sample on the dense
levels and a transposed sparse product were tried too and are 2 to 10 times slower than the best.
The corners are channel-first throughout ([8, n], not [n, 8]): torch's element-wise loops then run
along samples.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from animate124.kernels.levels import PRIMES, GridLevels


@dataclass(frozen=True)
class Level:
    """One level of a table: a vertex grid and how its vertices share the rows first:last.

    position = x·scale + shift, x in [0, 1]; cells: cells along an axis. strides: row of a vertex =
    its dot product with these, modulo the number of rows where `wrap`; None: hashed over all axes
    (the number of rows is then a power of two).
    """

    scale: float
    shift: float
    cells: int
    first: int
    last: int
    strides: tuple[int, int, int] | None
    wrap: bool = False


def our_levels(levels: GridLevels) -> tuple[Level, ...]:
    """The levels of the project's grid."""
    result = []
    for i, cells in enumerate(levels.resolutions.tolist()):
        strides = None if levels.hashed[i] else (1, cells + 1, (cells + 1) ** 2)
        first, last = levels.offsets[i : i + 2].tolist()
        result.append(Level(float(cells), 0.0, cells, first, last, strides))
    return tuple(result)


@dataclass(frozen=True)
class Formulation:
    """forward: "corner" (a gather per feature and corner), "bmm" (a gather of feature pairs, then a
    batched product), "bag" (embedding_bag) or "sparse" (a CSR matrix times the table). backward:
    "scatter_add", "index_add" or "bincount". index: torch.int32 or int64 rows. chunk: samples at a
    time, 0 for all. together: all levels in one go.
    """

    forward: str
    backward: str
    index: torch.dtype
    chunk: int = 0
    together: bool = False

    def __str__(self) -> str:
        bits = str(self.index).removeprefix("torch.")
        scope = "all levels" if self.together else "per level"
        return f"{self.forward} + {self.backward}, {bits}, {scope}, chunk {self.chunk or 'none'}"


FORMULATIONS = tuple(
    Formulation(forward, backward, index, chunk, together)
    for forward, backward, index, chunk, together in product(
        ("corner", "bmm", "bag", "sparse"),
        ("scatter_add", "index_add", "bincount"),
        (torch.int32, torch.int64),
        (0, 25_000),
        (False, True),
    )
)
FEW = tuple(Formulation(forward, "scatter_add", torch.int32) for forward in ("corner", "bag"))


def corners(x: Tensor, level: Level, index: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows within the level and trilinear weights, [8, n] each, around points x [3, n]."""
    position = x * level.scale + level.shift
    cell = position.to(index).clamp_(max=level.cells - 1)
    fraction = position - cell
    sides = torch.stack([1 - fraction, fraction])  # [2, 3, n]
    weight = (sides[:, None, 2] * sides[None, :, 1])[:, :, None] * sides[:, 0]
    if level.strides is None:
        primes = PRIMES
        if index is torch.int32:  # products wrap around; their low bits are the same
            primes = tuple(np.array(PRIMES, np.uint32).astype(np.int32).tolist())
        prime = torch.tensor(primes, dtype=index)[:, None]
        ends = torch.stack([cell * prime, cell * prime + prime]) & (level.last - level.first - 1)
        row = (ends[:, None, 2] ^ ends[None, :, 1])[:, :, None] ^ ends[:, 0]
        return row.view(8, -1), weight.view(8, -1)
    sx, sy, sz = level.strides
    lowest = cell[0] * sx + cell[1] * sy + cell[2] * sz
    offsets = [dx * sx + dy * sy + dz * sz for dz in (0, 1) for dy in (0, 1) for dx in (0, 1)]
    row = lowest + torch.tensor(offsets, dtype=index)[:, None]
    if level.wrap:
        row %= level.last - level.first
    return row, weight.view(8, -1)


def weighted_sums(kind: str, table: Tensor, row: Tensor, weight: Tensor) -> Tensor:
    """Features [2, n] from a table [2, rows] and corners [8, n]."""
    count = row.shape[1]
    if kind == "corner":
        out = torch.empty(2, count)
        for feature in range(2):
            torch.mul(table[feature].index_select(0, row[0]), weight[0], out=out[feature])
            for k in range(1, 8):
                out[feature].addcmul_(table[feature].index_select(0, row[k]), weight[k])
        return out
    rows, weights = row.t().contiguous(), weight.t().contiguous()
    pairs = table.t().contiguous()
    if kind == "bmm":
        # A pair of features moves as one 8-byte element.
        values = torch.view_as_complex(pairs).index_select(0, rows.view(-1))
        return torch.bmm(weights[:, None], torch.view_as_real(values).view(count, 8, 2))[:, 0].t()
    if kind == "bag":
        bag = torch.nn.functional.embedding_bag
        return bag(rows, pairs, per_sample_weights=weights, mode="sum").t()
    begins = torch.arange(0, 8 * count + 1, 8, dtype=row.dtype)
    size = (count, table.shape[1])
    matrix = torch.sparse_csr_tensor(
        begins, rows.view(-1), weights.view(-1), size=size, check_invariants=False
    )
    return (matrix @ pairs).t()


def scatter(kind: str, out: Tensor, row: Tensor, values: Tensor) -> None:
    """out [rows] += values at their rows, both flat."""
    if kind == "scatter_add":
        out.scatter_add_(0, row.long(), values)
    elif kind == "index_add":
        out.index_add_(0, row, values)
    else:
        out += torch.bincount(row, values, minlength=len(out))


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, table, levels, how):
        columns, by_feature = x.detach().t().contiguous(), table.detach().t().contiguous()
        out = torch.empty(2 * len(levels), len(x))
        groups = [range(len(levels))] if how.together else [[i] for i in range(len(levels))]
        ctx.saved = []
        for begin in range(0, len(x), how.chunk or max(len(x), 1)):
            part = columns[:, begin : begin + (how.chunk or len(x))].contiguous()
            end = begin + part.shape[1]
            for group in groups:
                pieces = [corners(part, levels[i], how.index) for i in group]
                if how.together:  # the levels side by side: [8, L·n]
                    row = torch.cat(
                        [r + levels[i].first for i, (r, _) in zip(group, pieces, strict=True)], 1
                    )
                    weight, values = torch.cat([w for _, w in pieces], 1), by_feature
                else:
                    (row, weight), (i,) = pieces[0], group
                    values = by_feature[:, levels[i].first : levels[i].last]
                sums = weighted_sums(how.forward, values, row, weight)
                sums = sums.view(2, len(group), end - begin).transpose(0, 1)
                out.view(len(levels), 2, -1)[group[0] : group[-1] + 1, :, begin:end] = sums
                ctx.saved.append((group, begin, end, row, weight))
        ctx.levels, ctx.how, ctx.rows = levels, how, len(table)
        return out.t()

    @staticmethod
    def backward(ctx, gradient):
        columns = gradient.t().contiguous().view(len(ctx.levels), 2, -1)
        out = torch.zeros(2, ctx.rows)
        for group, begin, end, row, weight in ctx.saved:
            first = 0 if ctx.how.together else ctx.levels[group[0]].first
            last = ctx.rows if ctx.how.together else ctx.levels[group[0]].last
            for feature in range(2):
                part = columns[group[0] : group[-1] + 1, feature, begin:end].reshape(-1)
                values = (weight * part).view(-1)
                scatter(ctx.how.backward, out[feature, first:last], row.view(-1), values)
        return None, out.t(), None, None


def encode(x: Tensor, table: Tensor, levels: tuple[Level, ...], how: Formulation) -> Tensor:
    """Features [N, 2L] of points x [N, 3] in [0, 1]; differentiable in `table` [rows, 2]."""
    return _Encode.apply(x, table, levels, how)
