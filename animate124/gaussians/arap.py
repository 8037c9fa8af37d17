"""As-rigid-as-possible energy (Sorkine and Alexa 2007) of a moving cloud, normalised.

Every edge's residual is divided by its rest length, and the mean is taken over edges and moments:
0 for any rigid motion, positive for shear and stretch, the same for a scene of another size,
density or number of frames. A weight then means the same everywhere (spec §13.1, defects 4 and 5).
"""

from __future__ import annotations

import torch
from torch import Tensor


def arap(rest: Tensor, moved: Tensor, edges: Tensor, turns: Tensor | None = None) -> Tensor:
    """Mean of ‖(yⱼ − yᵢ) − Rᵢ(xⱼ − xᵢ)‖² ⁄ ‖xⱼ − xᵢ‖² over edges (i, j) and moments; a scalar.

    Args:
        rest: x [N, 3]. moved: y [T, N, 3]. edges: int64 [E, 2], directed: both ways, so that each
            end's rotation counts.
        turns: R [T, N, 3, 3]. Where a motion has rotations of its own, these take part and get a
            gradient. If None, the best-fitting ones, without a gradient.
    """
    one, other = edges.unbind(1)
    still = rest[other] - rest[one]
    now = moved[:, other] - moved[:, one]
    if turns is None:
        turns = best_turns(still, now.detach(), one, len(rest))
    turned = torch.einsum("teij,ej->tei", turns[:, one], still)
    length = still.square().sum(-1).clamp(min=1e-12)
    residual = (now - turned).square().sum(-1) / length
    return residual.sum() / max(residual.numel(), 1)


def best_turns(still: Tensor, now: Tensor, one: Tensor, count: int) -> Tensor:
    """Rotations [T, N, 3, 3] that best take every node's rest edges to its present ones.

    still: [E, 3], now: [T, E, 3] of edges that start at nodes one [E] (Kabsch 1976).
    """
    products = torch.einsum("tei,ej->teij", now, still)
    covariance = products.new_zeros(len(now), count, 3, 3).index_add_(1, one, products)
    u, _, vt = torch.linalg.svd(covariance)
    # A reflection fits some flat neighbourhoods better: turn its weakest axis round.
    sign = torch.linalg.det(u @ vt)
    u = torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], -1)
    return u @ vt
