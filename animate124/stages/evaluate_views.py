"""What is compared: the picture, and what a scene and its truth show from unseen sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate124.errors import UserError
from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS, orbit
from animate124.media.images import read_image, resize
from animate124.stages.finished import Finished
from animate124.toybox.bundle import Bundle
from animate124.toybox.viewpoints import held_out_angles

_FIT_VIEWS = 8  # of a usual truth bundle: its held-out views are used where there is no truth


@dataclass(frozen=True)
class Shown:
    """Pictures over white, float32 in [0, 1]: `reference` [S, S, 3] from where the picture was
    taken at t = 0; `sides` [V, F, S, S, 3] over time; `around` [W, S, S, 3] at t = 0 from where
    there is truth. The `_alpha` are their coverage, without the last axis.
    """

    reference: Tensor
    reference_alpha: Tensor
    sides: Tensor
    sides_alpha: Tensor
    around: Tensor
    around_alpha: Tensor


@dataclass(frozen=True)
class Stand:
    """Where everything is looked at from: poses [4, 4], [V, 4, 4] and [W, 4, 4], and times [F]."""

    reference: Tensor
    sides: Tensor
    around: Tensor
    times: Tensor


@dataclass(frozen=True)
class Alignment:
    """How a truth stands in the scene: x → scale · turn · x + shift, world units; turn [3, 3]."""

    scale: float
    shift: Tensor
    turn: Tensor = field(default_factory=lambda: torch.eye(3))

    def poses(self, c2w: Tensor) -> Tensor:
        """Cameras that see of the scene what c2w [V, 4, 4] see of the truth."""
        moved = c2w.clone()
        moved[:, :3, :3] = self.turn @ c2w[:, :3, :3]
        moved[:, :3, 3] = self.scale * c2w[:, :3, 3] @ self.turn.T + self.shift
        return moved


def read_picture(path: Path, size: int) -> tuple[Tensor, Tensor]:
    """The preprocessed picture over white [S, S, 3] and its coverage [S, S].

    Raises UserError for a picture that is missing, damaged, or not square with transparency.
    """
    image = read_image(path)
    if image.shape[2] != 4 or image.shape[0] != image.shape[1]:
        raise UserError(
            f"The picture {path} is not square with transparency: run `animate124 preprocess` into "
            "its folder again."
        )
    small = torch.from_numpy(resize(image, size, size, "area"))
    rgb, alpha = small[..., :3], small[..., 3]
    return rgb * alpha[..., None] + 1 - alpha[..., None], alpha


def stand(reference: Tensor, loop: bool, elevation: float, frames: int) -> Stand:
    """Where to look from when there is no truth: four sides, a quarter turn apart.

    reference: pose [4, 4] of the picture; elevation: its, degrees.
    """
    angles = torch.from_numpy(held_out_angles(_FIT_VIEWS))
    poses = orbit(angles[:, 0], angles[:, 1] + elevation)
    times = torch.arange(frames) / (frames if loop else frames - 1)
    return Stand(reference, poses, poses[:0], times)


def stand_at(
    reference: Tensor, truth: Bundle, alignment: Alignment, frames: int
) -> tuple[Stand, list[int]]:
    """Where the truth was looked at from; and which of its frames are compared.

    reference: pose [4, 4] of the picture. `sides` are the truth's held-out views, `around` all but
    the first, which took the picture.
    """
    fit = truth.fit_frames.tolist()
    step = -(-len(fit) // frames)
    chosen = fit[::step]
    return (
        Stand(
            reference,
            alignment.poses(truth.cameras.c2w[truth.held_out_views]),
            alignment.poses(truth.cameras.c2w[1:]),
            truth.times[chosen].float(),
        ),
        chosen,
    )


def align(truth_alpha: Tensor, picture_alpha: Tensor, elevation: float) -> Alignment:
    """How the truth has to be scaled and shifted to stand where the picture shows it.

    The picture was centred and scaled when it was prepared, and the truth was not. Area and centre
    of the two silhouettes give scale and shift in the image; at the subject's distance those are
    the same in space. Coverages [H, H] and [S, S] of the same view.

    Raises UserError when either silhouette is empty.
    """
    (area, centre), (area_2, centre_2) = (_moments(a) for a in (truth_alpha, picture_alpha))
    if not area or not area_2:
        raise UserError("The truth cannot be compared: it or the picture shows nothing.")
    scale = float((area_2 / area) ** 0.5)
    half = DEFAULT_RADIUS * float(np.tan(np.radians(DEFAULT_FOV_Y / 2)))  # of the view, there
    right, up = orbit(0.0, elevation)[:3, 0], orbit(0.0, elevation)[:3, 1]
    x, y = (centre_2 - scale * centre) * half
    return Alignment(scale, float(x) * right + float(y) * up)


def _moments(alpha: Tensor) -> tuple[float, np.ndarray]:
    """Area, as a share of the image, and centre (x right, y up, in half image edges)."""
    mask = (alpha > 0.5).numpy()
    area = float(mask.mean())
    if not area:
        return 0.0, np.zeros(2)
    row, column = (np.mean(index) for index in np.nonzero(mask))
    edge = len(mask)
    return area, np.array([(column + 0.5) / edge * 2 - 1, 1 - (row + 0.5) / edge * 2])


def look(
    scene: Finished,
    where: Stand,
    size: int,
    supersample: int,
    tell: Callable[[int], None],
) -> Shown:
    """What a scene shows; `tell` hears how many pictures were rendered at once."""

    def shoot(poses: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        found = scene.images(poses, times, size, supersample)
        tell(len(poses))
        return found["rgb"], found["alpha"]

    reference, reference_alpha = shoot(where.reference[None], torch.zeros(1))
    still = scene.moments == 1
    times = where.times[:1] * 0 if still else where.times
    pairs = [shoot(where.sides, t.expand(len(where.sides))) for t in times]
    sides, sides_alpha = (torch.stack(planes, 1) for planes in zip(*pairs, strict=True))
    if still:
        frames = len(where.times)
        sides = sides.expand(-1, frames, -1, -1, -1)
        sides_alpha = sides_alpha.expand(-1, frames, -1, -1)
    if len(where.around):
        around, around_alpha = shoot(where.around, torch.zeros(len(where.around)))
    else:
        around, around_alpha = reference[None][:0, 0], reference_alpha[:0]
    return Shown(reference[0], reference_alpha[0], sides, sides_alpha, around, around_alpha)


def look_at_truth(truth: Bundle, frames: list[int], size: int) -> Shown:
    """What the truth shows of the same."""
    rgb = truth.rgb()
    alpha = truth.rgba[..., 3].float() / 255
    held_out = truth.held_out_views
    start = int(truth.fit_frames[0])

    def small(colour: Tensor, cover: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([colour, cover[..., None]], -1).flatten(0, -4)
        found = [_resized(image, size) for image in both]
        if not found:
            return torch.zeros(0, size, size, 3), torch.zeros(0, size, size)
        whole = torch.stack(found).unflatten(0, colour.shape[:-3])
        return whole[..., :3], whole[..., 3]

    return Shown(
        *(plane[0] for plane in small(rgb[:1, start], alpha[:1, start])),
        *small(rgb[held_out][:, frames], alpha[held_out][:, frames]),
        *small(rgb[1:, start], alpha[1:, start]),
    )


def _resized(image: Tensor, size: int) -> Tensor:
    """Every channel by itself: what `resize` does to four would weight colours by the last."""
    planes = [resize(image[..., c].numpy(), size, size, "area") for c in range(image.shape[-1])]
    return torch.from_numpy(np.stack(planes, -1))


def frozen(shown: Shown) -> Shown:
    """The same, held at its first moment."""
    return replace(
        shown,
        sides=shown.sides[:, :1].expand_as(shown.sides),
        sides_alpha=shown.sides_alpha[:, :1].expand_as(shown.sides_alpha),
    )


def copied(picture: Tensor, alpha: Tensor, like: Shown) -> Shown:
    """The picture [S, S, 3] itself from everywhere and at all times: a card that faces us."""
    return Shown(
        picture,
        alpha,
        picture.expand_as(like.sides),
        alpha.expand_as(like.sides_alpha),
        picture.expand_as(like.around),
        alpha.expand_as(like.around_alpha),
    )


def nothing(like: Shown) -> Shown:
    """White everywhere."""
    return copied(torch.ones_like(like.reference), torch.zeros_like(like.reference_alpha), like)
