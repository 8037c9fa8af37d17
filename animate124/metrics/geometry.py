"""How far shape is from the truth: depth, normals, point sets.

Depth is planar (along the camera's forward axis) in world units. Everything raises ValueError,
printing the shapes, on mismatching shapes, empty masks or NaN.
"""

from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from animate124.metrics.checks import (
    require_finite,
    require_layout,
    require_mask,
    require_same_shape,
)


@dataclass(frozen=True)
class DepthError:
    """Mean absolute and root-mean-square depth error, both in world units."""

    mae: float
    rmse: float


@dataclass(frozen=True)
class Chamfer:
    """Mean unsquared nearest-neighbour distances between two point sets, in world units.

    Papers differ: ActionBench prints `total`, the sum of both directions; others their half, or
    squared distances. Name the one you print.
    """

    accuracy: float
    """Prediction to truth: what is there and should not be."""
    completeness: float
    """Truth to prediction: what should be there and is not."""

    @property
    def total(self) -> float:
        """The sum of both directions."""
        return self.accuracy + self.completeness


def depth_error(depth: Tensor, truth: Tensor, mask: Tensor) -> DepthError:
    """Depth error over the pixels of `mask`.

    Args: `depth`, `truth` [..., H, W] world units; `mask` boolean, same shape, not empty. A depth
        of 0 (nothing hit) inside the mask counts with its full error.
    """
    ours, theirs = _masked(depth, truth, mask)
    error = ours - theirs
    return DepthError(error.abs().mean().item(), error.square().mean().sqrt().item())


def aligned_depth_error(depth: Tensor, truth: Tensor, mask: Tensor) -> DepthError:
    """`depth_error` after the least-squares scale and shift of `depth` onto the truth.

    For depth known only up to an affine map, such as a single-image prior's (Ranftl et al. 2020,
    "Towards robust monocular depth estimation", eq. 4). One scale and shift for the whole stack:
    call it per image to align each by itself.
    """
    ours, theirs = _masked(depth, truth, mask)
    design = torch.stack([ours, torch.ones_like(ours)], dim=-1)
    # The driver "gelsd" also copes with constant depth, whose scale is undetermined.
    affine = torch.linalg.lstsq(design.cpu(), theirs.cpu()[:, None], driver="gelsd").solution
    error = (design.cpu() @ affine)[:, 0] - theirs.cpu()
    return DepthError(error.abs().mean().item(), error.square().mean().sqrt().item())


def depth_correlation(depth: Tensor, truth: Tensor, mask: Tensor) -> float | None:
    """Pearson correlation of the two depths over `mask`; None where either is constant.

    Args as for `depth_error`. Returns a float in [−1, 1].
    """
    ours, theirs = _masked(depth, truth, mask)
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = (ours.norm() * theirs.norm()).item()
    return (ours @ theirs).item() / scale if scale > 1e-12 else None


def normal_angles(normals: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Angle between the two normals at every pixel of `mask`, in degrees in [0, 180].

    Take its `.mean()` or `.median()`. Args: `normals`, `truth` [..., H, W, 3] of any length above
    0; a predicted zero vector (no surface found) counts as 90°. `mask` boolean [..., H, W].
    Returns: [K] float64, one angle per marked pixel.
    """
    require_layout("... H W 3", normals=normals, truth=truth)
    require_same_shape(normals=normals, truth=truth)
    require_mask(mask, truth[..., 0], normals=normals, truth=truth)
    ours = torch.nn.functional.normalize(normals[mask].double(), dim=-1)
    theirs = torch.nn.functional.normalize(truth[mask].double(), dim=-1)
    # atan2 of sine and cosine: acos alone loses all digits near 0° and 180°.
    sine = torch.linalg.cross(ours, theirs, dim=-1).norm(dim=-1)
    cosine = (ours * theirs).sum(dim=-1)
    angles = torch.rad2deg(torch.atan2(sine, cosine))
    return torch.where(ours.norm(dim=-1) > 0, angles, 90.0)


def chamfer(points: Tensor, truth: Tensor) -> Chamfer:
    """Chamfer distance between two point sets, unsquared, both directions apart.

    Args: `points` [N, 3], `truth` [M, 3] in world units.
    """
    forth, back = _nearest(points, truth)
    return Chamfer(forth.mean().item(), back.mean().item())


def f_score(points: Tensor, truth: Tensor, threshold: float) -> float:
    """Harmonic mean of precision and recall at `threshold` (Knapitsch et al. 2017, eq. 5).

    Precision is the share of `points` within `threshold` (world units) of the truth, recall the
    share of truth points within it of `points`. Args as for `chamfer`. Returns [0, 1].
    """
    forth, back = _nearest(points, truth)
    precision = (forth <= threshold).double().mean().item()
    recall = (back <= threshold).double().mean().item()
    return 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0


def _nearest(points: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Distances from each point to the truth [N] and from each truth point back [M]."""
    require_layout("N 3", points=points, truth=truth)
    require_finite(points=points, truth=truth)
    ours, theirs = points.detach().cpu().double().numpy(), truth.detach().cpu().double().numpy()
    forth, _ = cKDTree(theirs).query(ours)
    back, _ = cKDTree(ours).query(theirs)
    return torch.from_numpy(forth), torch.from_numpy(back)


def _masked(depth: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    require_same_shape(depth=depth, truth=truth)
    require_mask(mask, truth, depth=depth, truth=truth)
    return depth[mask].double(), truth[mask].double()
