"""Whether pictures of one moment from several cameras can be of one body."""

import torch
from torch import Tensor

from animate124.geometry.cameras import Cameras, project, rays_through
from animate124.metrics.checks import require_layout
from animate124.metrics.image import foreground

_SAMPLES = 96  # points along a ray
_REACH = 0.75  # world units: how far from the origin a body may be


def silhouette_agreement(alpha: Tensor, cameras: Cameras) -> float:
    """Share of the silhouettes' pixels whose rays meet something that all cameras see as covered.

    A body always lies in the visual hull of its own silhouettes (Laurentini 1994), so true ones
    score 1 but for the pixel grid, and a limb that only one camera shows lowers it. Parts that no
    camera shows are not missed: read it beside a motion amplitude.

    Args:
        alpha: [V, H, W] at one time; a pixel counts where it is more than half covered. cameras: V.

    Returns:
        A number in [0, 1], the mean over the cameras that see anything; 1 where none does.
    """
    require_layout("V H W", alpha=alpha)
    covered = foreground(alpha)
    centre = cameras.c2w[:, :3, 3].norm(dim=-1)
    shares = []
    for view in range(len(cameras)):
        rows, columns = covered[view].nonzero(as_tuple=True)
        if not len(rows):
            continue
        at = torch.stack([columns, rows], dim=-1) + 0.5
        number = torch.full((len(rows),), view)
        origins, directions = rays_through(cameras, number, at)
        depth = torch.linspace(-_REACH, _REACH, _SAMPLES) + centre[view]
        points = origins[:, None] + directions[:, None] * depth[:, None]
        inside = points.norm(dim=-1) <= _REACH
        for other in range(len(cameras)):
            if other != view:
                inside &= _covered_at(points, covered[other], cameras[other])
        shares.append(float(inside.any(dim=1).double().mean()))
    return sum(shares) / len(shares) if shares else 1.0


def _covered_at(points: Tensor, covered: Tensor, camera: Cameras) -> Tensor:
    """Whether points [..., 3] lie before covered pixels [H, W] of one camera, or next to one."""
    pixels = project(points.reshape(-1, 3), camera)[0][0]
    height, width = covered.shape
    # A pixel's own width of doubt: its centre may be covered where its edge is not.
    wide = torch.nn.functional.max_pool2d(covered[None, None].float(), 3, 1, 1)[0, 0] > 0.5
    x, y = pixels[:, 0].floor().long(), pixels[:, 1].floor().long()
    known = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    found = wide[y.clamp(0, height - 1), x.clamp(0, width - 1)] & known
    return found.view(points.shape[:-1])
