"""Readable torch reference of every kernel: the specification, the fallback and the test oracle.

Samples come in G groups (one per frame): those of group g are rows starts[g]:starts[g+1], and all
of them look into table g. All functions are differentiable by autograd in their float inputs.
"""

import torch
from torch import Tensor

from animate124.kernels.levels import PRIMES, GridLevels


def group_of(starts: Tensor) -> Tensor:
    """Group index of each sample, int64 [N], from starts [G + 1]."""
    counts = starts[1:] - starts[:-1]
    return torch.repeat_interleave(torch.arange(len(counts), device=starts.device), counts)


def corner_rows(x: Tensor, levels: GridLevels, level: int) -> tuple[Tensor, Tensor]:
    """Rows [N, 8] within a level and trilinear weights [N, 8] of the corners around x [N, 3]."""
    resolution = int(levels.resolutions[level])
    position = x.clamp(0, 1) * resolution
    cell = position.detach().floor().clamp(max=resolution - 1)
    fraction = position - cell
    bits = torch.tensor(
        [[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], device=x.device, dtype=torch.int64
    )
    corner = cell.long()[:, None, :] + bits
    weight = torch.where(bits.bool(), fraction[:, None, :], 1 - fraction[:, None, :]).prod(-1)
    if levels.hashed[level]:
        hashed = corner * torch.tensor(PRIMES, device=x.device)
        row = (hashed[..., 0] ^ hashed[..., 1] ^ hashed[..., 2]) % int(levels.sizes[level])
    else:
        side = resolution + 1
        row = corner[..., 0] + side * (corner[..., 1] + side * corner[..., 2])
    return row, weight


def encode(x: Tensor, tables: Tensor, starts: Tensor, levels: GridLevels, active: int) -> Tensor:
    """Multi-resolution features of points (Müller et al. 2022, §3).

    x: float [N, 3] in [0, 1], grouped. tables: float [G, rows, F]. starts: int64 [G + 1].
    active: levels from this one on give zeros (coarse-to-fine mask). Returns float [N, L·F].
    """
    group = group_of(starts)[:, None]
    columns = []
    for level in range(levels.levels):
        if level >= active:
            columns.append(x.new_zeros(len(x), levels.features))
            continue
        row, weight = corner_rows(x, levels, level)
        value = tables[group, row + int(levels.offsets[level])]
        columns.append((weight[..., None] * value).sum(1))
    return torch.cat(columns, -1)


def mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Two-layer perceptron: relu(x·w1ᵀ + b1)·w2ᵀ + b2.

    x: [N, I], w1: [H, I], b1: [H], w2: [O, H], b2: [O]. Returns [N, O].
    """
    hidden = torch.relu(torch.nn.functional.linear(x, w1, b1))
    return torch.nn.functional.linear(hidden, w2, b2)


def march(
    origins: Tensor,
    directions: Tensor,
    groups: Tensor,
    density: Tensor,
    threshold: Tensor,
    bound: float,
    step: float,
    jitter: Tensor,
    stop: float,
) -> tuple[Tensor, Tensor]:
    """Sample rays in the occupied cells of their group's grid.

    Candidate k of a ray lies at distance (ceil(near / step) + k + jitter)·step, near being where
    the ray enters the cube [−bound, bound]³ (or 0). It is kept when its cell is occupied, that is
    density > threshold; the ray ends once the grid's own optical depth of the kept samples before
    it exceeds `stop`.
    origins, directions: float [R, 3], directions unit length. groups: int64 [R], non-decreasing.
    density: float [G, S, S, S] (z, y, x order), 1/world unit. threshold: float [G]. jitter: float
    [R] in [0, 1). Returns offsets int64 [R + 1] (samples of ray r are offsets[r]:offsets[r+1]) and
    distances float [N].
    """
    side = density.shape[-1]
    inverse = 1 / directions.masked_fill(directions.abs() < 1e-12, 1e-12)
    low, high = (-bound - origins) * inverse, (bound - origins) * inverse
    near = torch.minimum(low, high).amax(-1).clamp(min=0)
    far = torch.maximum(low, high).amin(-1)
    first = torch.ceil(near / step)
    count = int(((far - near).clamp(min=0).max() / step).ceil()) + 2 if len(origins) else 0
    index = torch.arange(count, device=origins.device)
    t = (first[:, None] + index + jitter[:, None]) * step
    point = origins[:, None] + t[..., None] * directions[:, None]
    cell = ((point + bound) * (side / (2 * bound))).floor().long()
    inside = (t < far[:, None]) & ((cell >= 0) & (cell < side)).all(-1)
    cell = cell.clamp(0, side - 1)
    value = density[groups[:, None], cell[..., 2], cell[..., 1], cell[..., 0]]
    kept = inside & (value > threshold[groups][:, None])
    depth = torch.where(kept, value * step, torch.zeros_like(value))
    kept &= (depth.cumsum(-1) - depth) <= stop
    counts = kept.sum(-1)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return offsets, t[kept]


def composite(
    density: Tensor, colour: Tensor, distances: Tensor, offsets: Tensor, step: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Volume rendering quadrature (Mildenhall et al. 2020, eq. 3) with a constant step.

    density: float [N], 1/world unit. colour: float [N, 3]. distances: float [N]. offsets: int64
    [R + 1]. Returns per ray colour [R, 3] (premultiplied, no background), opacity [R], distance [R]
    (weighted sum, not divided by the opacity), and per sample weights [N].
    """
    depth = density * step
    before = torch.cumsum(depth.double(), 0) - depth  # optical depth before each sample, all rays
    padded = torch.cat([before, before.new_zeros(1)])
    counts = offsets[1:] - offsets[:-1]
    ray = torch.repeat_interleave(torch.arange(len(counts), device=density.device), counts)
    before = (before - padded[offsets[:-1]][ray]).to(density.dtype)
    weight = torch.exp(-before) * -torch.expm1(-depth)
    rays = len(counts)
    rgb = colour.new_zeros(rays, 3).index_add(0, ray, weight[:, None] * colour)
    opacity = weight.new_zeros(rays).index_add(0, ray, weight)
    distance = weight.new_zeros(rays).index_add(0, ray, weight * distances)
    return rgb, opacity, distance, weight
