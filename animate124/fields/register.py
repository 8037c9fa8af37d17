"""Deformable registration of coloured volumes: where does everything go between two moments?

Symmetric, coarse to fine, all pairs at once: a displacement v(x) is sought at the middle moment so
that first(x − v/2) ≈ second(x + v/2). Pure torch; no randomness, so the same input on the same
device gives the same result.
"""

import torch
from torch import Tensor
from torch.nn import functional

_OPAQUE = 0.05


def solid_features(density: Tensor, colour: Tensor, cell: float) -> Tensor:
    """What registration compares: a filled body painted with its surface colours, [B, 4, S, S, S].

    The inside of a fitted field is arbitrary, for no camera ever saw it. So a cell counts as solid
    when it is opaque or hidden behind opaque cells along all six axis directions, and the colours
    that can be seen from outside are spread inwards.

    density: [B, S, S, S] (z, y, x), 1/world unit. colour: [B, 3, S, S, S] in [0, 1]. cell: edge of a
    cell in world units.
    """
    depth = density * cell
    before = []
    for axis in (1, 2, 3):
        up = depth.cumsum(axis)
        before += [up - depth, up.select(axis, -1).unsqueeze(axis) - up]
    hidden = torch.stack(before).amin(0)
    solid = -torch.expm1(-(hidden + depth))
    weight = torch.exp(-hidden) * -torch.expm1(-depth)
    paint = torch.cat([weight[:, None], weight[:, None] * colour], 1)
    total, part, share = paint.clone(), paint, 1.0
    while part.shape[-1] > 8:
        part, share = functional.avg_pool3d(part, 2), share * 0.05
        total += share * functional.interpolate(
            part, size=paint.shape[2:], mode="trilinear", align_corners=False
        )
    spread = total[:, 1:] / total[:, :1].clamp(min=1e-12)
    return torch.cat([solid[:, None], solid[:, None] * spread], 1)


def blur(volume: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [B, C, S, S, S]; sigma in cells."""
    if sigma == 0:
        return volume
    radius = int(3 * sigma + 0.5)
    k = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=volume.device) / sigma) ** 2)
    k = (k / k.sum()).expand(volume.shape[1], 1, -1)
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = -1
        pad = [radius if a == axis else 0 for a in range(3)]
        volume = functional.conv3d(
            volume, k.reshape(volume.shape[1], 1, *shape), padding=pad, groups=volume.shape[1]
        )
    return volume


def sample(grid: Tensor, points: Tensor, align: bool) -> Tensor:
    """Trilinear values [B, N, C] of grids [B, C, S, S, S] (z, y, x) at points [B, N, 3] (x, y, z)
    in the unit cube; beyond it the border's. align: nodes on the cube's corners, else in the
    middle of cells."""
    where = (points * 2 - 1)[:, None, None]
    value = functional.grid_sample(
        grid, where, mode="bilinear", padding_mode="border", align_corners=align
    )
    return value[:, :, 0, 0].transpose(1, 2)


def bending(v: Tensor) -> Tensor:
    """Mean squared second differences of v [B, 3, G, G, G]: zero for affine motion."""
    total = v.new_zeros(())
    for axis in (2, 3, 4):
        total = total + v.diff(n=2, dim=axis).square().mean()
    for a, b in ((2, 3), (2, 4), (3, 4)):
        total = total + 2 * v.diff(dim=a).diff(dim=b).square().mean()
    return total


def membrane(v):
    return sum(v.diff(dim=a).square().mean() for a in (2, 3, 4))


def _pad(mask):
    counts = mask.sum(1)
    n = int(counts.max())
    idx = torch.argsort((~mask).to(torch.uint8), dim=1, stable=True)[:, :n]
    valid = torch.arange(n)[None] < counts[:, None]
    return idx, valid


def register(
    first,
    second,
    nodes=(8, 16, 32),
    sides=(16, 32, 64),
    iters=(60, 50, 40),
    bend=1.0,
    memb=0.05,
    lr=0.25,
    sig=(1.0, 1.0, 1.0),
    cw=1.0,
    init=None,
    log=False,
):
    B = len(first)
    v = torch.zeros(B, 3, nodes[0], nodes[0], nodes[0]) if init is None else init
    w = torch.tensor([1.0, cw, cw, cw])
    for G, S, n, s in zip(nodes, sides, iters, sig):
        a, b = [
            blur(x if x.shape[-1] == S else functional.adaptive_avg_pool3d(x, S), s)
            for x in (first, second)
        ]
        a, b = [x * w[:, None, None, None] for x in (a, b)]
        occ = (
            functional.max_pool3d(torch.maximum(a[:, :1], b[:, :1]), 3, 1, 1)[:, 0].flatten(1)
            > _OPAQUE
        )
        idx, valid = _pad(occ)
        cells = torch.stack([idx % S, idx // S % S, idx // S**2], -1)
        x = (cells + 0.5) / S
        if v.shape[-1] != G:
            v = functional.interpolate(v, size=(G, G, G), mode="trilinear", align_corners=True)
        v = v.detach().clone().requires_grad_(True)
        opt = torch.optim.Adam([v], lr=lr / S, betas=(0.9, 0.9))
        weight = valid / valid.sum(1, keepdim=True)
        for i in range(n):
            opt.param_groups[0]["lr"] = lr / S * (1 if i < n // 2 else 0.4)
            vx = sample(v, x, True)
            r = sample(a, x - vx / 2, False) - sample(b, x + vx / 2, False)
            data = (r.square().sum(-1) + 1e-4).sqrt()
            loss = (data * weight).sum()
            # displacement in node spacings
            reg = (bend * bending(v * G) + memb * membrane(v * G)) * B
            opt.zero_grad()
            (loss + reg).backward()
            opt.step()
        if log:
            print(G, S, x.shape, "data", loss.item() / B, "reg", reg.item() / B)
    return v.detach()
