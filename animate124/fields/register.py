"""Deformable registration of coloured volumes: where does everything go between two moments?

Symmetric, coarse to fine, all pairs at once: a displacement v(x) is sought at the middle of the
chords so that first(x − v/2) ≈ second(x + v/2), with a robust data term and a bending energy (free
for affine motion), by Adam on a grid of nodes. Nothing is random: on a CPU the same input gives the
same result.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

NODES = 24  # per edge of the displacement grid that `register` returns

_OCCUPIED = 0.05  # blurred solidity from which a cell takes part
_COLOUR = 2.0  # weight of a colour channel beside solidity
_ROBUST = 0.01  # residual below which the data term is quadratic
_MEMBRANE = 0.01
_RATE, _LAST_RATE = 0.25, 0.4  # first step in cells; share of it in the last
_DECAYS = (0.9, 0.9)  # Adam's; the second is short since gradients change by orders of magnitude


@dataclass(frozen=True)
class _Level:
    """One resolution: displacement nodes per edge, by how much volumes are reduced, Adam steps,
    of how many cells one is used per step (taking turns), weight of the bending energy.

    Loose while coarse, so that fast thin parts are found; stiff at the end, where noise would be
    fitted.
    """

    nodes: int
    reduction: int
    steps: int
    skip: int
    bending: float


_LEVELS = (
    _Level(8, 4, 60, 1, 0.03),
    _Level(16, 2, 50, 2, 0.1),
    _Level(NODES, 1, 40, 8, 1.0),
)


def sample(grid: Tensor, points: Tensor, corners: bool) -> Tensor:
    """Trilinear values [B, N, C] of grids [B, C, S, S, S] at points [B, N, 3] in the unit cube.

    Grids in z, y, x order, points x, y, z; beyond the outermost values they stay constant.
    corners: the outermost values lie on the cube's faces, else in the middle of cells.
    """
    value = functional.grid_sample(
        grid,
        (points * 2 - 1)[:, None, None],
        mode="bilinear",
        padding_mode="border",
        align_corners=corners,
    )
    return value[:, :, 0, 0].transpose(1, 2)


def solid_features(density: Tensor, colour: Tensor, cell: float) -> Tensor:
    """What registration compares: a filled body painted with its surface colours, [B, 4, S, S, S].

    The inside of a fitted field is arbitrary, for no camera ever saw it. So a cell is solid when it
    is opaque or hidden by opaque cells along all six axis directions, and the colours that can be
    seen from outside are spread inwards. Colours are premultiplied with solidity.

    density: [B, S, S, S] (z, y, x), 1/world unit. colour: [B, 3, S, S, S] in [0, 1]. cell: edge of
    a cell in world units.
    """
    depth = density * cell
    hidden = torch.full_like(depth, torch.inf)
    for axis in (1, 2, 3):
        upwards = depth.cumsum(axis)
        downwards = upwards.select(axis, -1).unsqueeze(axis) - upwards
        hidden = torch.minimum(hidden, torch.minimum(upwards - depth, downwards))
    solid = -torch.expm1(-(hidden + depth))
    seen = torch.exp(-hidden) * -torch.expm1(-depth)
    paint = torch.cat([seen[:, None], seen[:, None] * colour], 1)
    total, coarse, share = paint.clone(), paint, 1.0
    while coarse.shape[-1] > 1:
        # The nearest colour counts: each coarser average weighs little beside the one before.
        coarse, share = functional.avg_pool3d(coarse, 2), share * 0.05
        total += share * functional.interpolate(coarse, paint.shape[2:], mode="trilinear")
    spread = total[:, 1:] / total[:, :1].clamp(min=1e-12)
    return torch.cat([solid[:, None], solid[:, None] * spread], 1)


def register(first: Tensor, second: Tensor) -> Tensor:
    """Displacements [B, 3, NODES, NODES, NODES] from first to second, in edges of the unit cube.

    first, second: features [B, 4, S, S, S] (`solid_features`), S divisible by 4. A displacement
    belongs to the matter whose chord has its middle at the node; nodes lie on a regular grid whose
    outermost ones are on the faces of the cube (z, y, x order, components x, y, z).
    """
    v = first.new_zeros(len(first), 3, *[_LEVELS[0].nodes] * 3)
    for level in _LEVELS:
        size = (level.nodes,) * 3
        v = functional.interpolate(v, size, mode="trilinear", align_corners=True)
        v = _refine(v, _reduce(first, level.reduction), _reduce(second, level.reduction), level)
    return v


def _refine(v: Tensor, first: Tensor, second: Tensor, level: _Level) -> Tensor:
    """Adam on the displacement of one level."""
    side, (points, weight) = first.shape[-1], _cells(first, second)
    v = v.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([v], betas=_DECAYS)
    for step in range(level.steps):
        progress = step / level.steps
        optimizer.param_groups[0]["lr"] = _RATE / side * (1 - (1 - _LAST_RATE) * progress)
        turn = slice(step % level.skip, None, level.skip)
        x, share = points[:, turn], weight[:, turn] * level.skip
        with torch.enable_grad():
            half = sample(v, x, True) / 2
            residual = sample(first, x - half, False) - sample(second, x + half, False)
            robust = (residual.square().sum(-1) + _ROBUST**2).sqrt()
            scaled = v * level.nodes
            smooth = level.bending * _bending(scaled) + _MEMBRANE * _stretching(scaled)
            loss = (robust * share).sum() + smooth * len(v)
            (v.grad,) = torch.autograd.grad(loss, v)
        optimizer.step()
    return v.detach()


def _reduce(volume: Tensor, factor: int) -> Tensor:
    """Volumes averaged over factor³ cells, then blurred by a Gaussian of one cell."""
    volume = functional.avg_pool3d(volume, factor)
    channels = volume.shape[1]
    place = torch.arange(-3.0, 4.0, device=volume.device)
    kernel = torch.exp(-0.5 * place.square())
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    for axis in range(3):
        shape = [7 if a == axis else 1 for a in range(3)]
        padding = [3 if a == axis else 0 for a in range(3)]
        volume = functional.conv3d(
            volume, kernel.reshape(channels, 1, *shape), padding=padding, groups=channels
        )
    return volume * volume.new_tensor([1.0, *[_COLOUR] * 3])[:, None, None, None]


def _cells(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Centres [B, N, 3] of the cells in or next to either body, and weights [B, N] of sum 1.

    N is that of the pair with most of them; the other pairs' rows are filled up at weight 0.
    """
    side = first.shape[-1]
    either = functional.max_pool3d(torch.maximum(first[:, :1], second[:, :1]), 3, 1, 1)
    near = either.flatten(1) > _OCCUPIED
    counts = near.sum(1)
    most = max(int(counts.max()), 1)
    index = torch.argsort((~near).to(torch.uint8), dim=1, stable=True)[:, :most]
    valid = torch.arange(most, device=near.device) < counts[:, None]
    corner = torch.stack([index % side, index // side % side, index // side**2], -1)
    return (corner + 0.5) / side, valid / counts.clamp(min=1)[:, None]


def _bending(v: Tensor) -> Tensor:
    """Mean squared second differences of v [B, 3, G, G, G]."""
    total = v.new_zeros(())
    for axis in (2, 3, 4):
        total = total + v.diff(n=2, dim=axis).square().mean()
    for a, b in ((2, 3), (2, 4), (3, 4)):
        total = total + 2 * v.diff(dim=a).diff(dim=b).square().mean()
    return total


def _stretching(v: Tensor) -> Tensor:
    """Mean squared first differences of v [B, 3, G, G, G]."""
    return sum((v.diff(dim=axis).square().mean() for axis in (2, 3, 4)), v.new_zeros(()))
