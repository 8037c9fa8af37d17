"""Training data for the zoo, rendered as it is needed: a batch is a function of (seed, step) alone.

Nothing is stored on disk, and a resumed run draws what an undisturbed one would have drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from animate124 import runtime
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.toybox import characters
from animate124.toybox.catalogue import motions_of
from animate124.toybox.clip import Clip
from animate124.toybox.motions import MOTIONS, sample_style
from animate124.toybox.render import render
from animate124.toybox.splits import BLOCK, SPLITS

SIZE = 64  # edge of every nano model's image, pixels
ELEVATIONS = (-10.0, 40.0)  # degrees: where the toybox's own cameras stand
_SEED_RANGE = 1 << 40


@dataclass(frozen=True, eq=False)
class Sight:
    """What V cameras see of a clip at F times.

    `rgba` float32 [V, F, 4, H, W] in [0, 1], colour premultiplied by alpha; `azimuth` and
    `elevation` [V] in degrees; `times` [F] in [0, 1]. `depth` [V, F, 1, H, W] planar, world units,
    0 where nothing is hit, if it was asked for.
    """

    rgba: Tensor
    azimuth: Tensor
    elevation: Tensor
    times: Tensor
    depth: Tensor | None = None


def stream(seed: int, *key: str | int) -> np.random.Generator:
    """The numpy stream named by `key`."""
    return np.random.default_rng(runtime.derive_seed(seed, *key))


def draw_clips(rng: np.random.Generator, count: int, species: str | None = None) -> list[Clip]:
    """`count` clips of the training split, never a character of dev or test."""
    train = SPLITS["train"]
    blocks = rng.integers(_SEED_RANGE, size=count)
    residues = rng.integers(len(train), size=count)
    return [
        characters.sample_clip(BLOCK * int(block) + train[residue], species)
        for block, residue in zip(blocks, residues, strict=True)
    ]


def resting(
    rng: np.random.Generator, clip: Clip, share: float, often: Mapping[str, float] | None = None
) -> Clip:
    """In a share of cases the same character and motion from the rest pose on, as often in a loop
    as is least and on the one side; else `clip`.

    often: weights of the motions (1 where none is given), by which such a case draws its own.

    Pictures and assets mostly show a rest pose; a loop drawn at random starts anywhere. From rest a
    motion on either side, once or twice, would be up to four different clips, between which a
    model's first guess is their mean: hardly any motion at all.
    """
    if rng.random() >= share:
        return clip
    name = clip.motion
    if often is not None:
        known = motions_of(clip.species)
        weights = np.array([often.get(motion, 1.0) for motion in known])
        name = known[int(rng.choice(len(known), p=weights / weights.sum()))]
    motion = MOTIONS[name]
    style = replace(sample_style(rng, motion), phase=0.0, cycles=min(motion.cycles), mirror=False)
    return characters.perform(characters.sample_character(clip.seed, clip.species), name, style)


def look(
    clip: Clip,
    azimuth: np.ndarray,
    elevation: np.ndarray,
    times: np.ndarray,
    size: int = SIZE,
    samples: int = 2,
    depth: bool = False,
) -> Sight:
    """Render a clip at F `times` from V directions (degrees), `samples`² rays a pixel."""
    poses = orbit(torch.from_numpy(azimuth), torch.from_numpy(elevation))
    cameras = Cameras(poses, DEFAULT_FOV_Y, size, size)
    channels = ("rgb", "alpha", "depth") if depth else ("rgb", "alpha")
    truth = render(clip, times, cameras, samples, background=(0.0, 0.0, 0.0), channels=channels)
    rgba = np.concatenate([truth.rgb, truth.alpha], axis=-1)
    return Sight(
        torch.from_numpy(rgba).permute(0, 1, 4, 2, 3).contiguous(),
        torch.from_numpy(azimuth).float(),
        torch.from_numpy(elevation).float(),
        torch.from_numpy(times).float(),
        torch.from_numpy(truth.depth).permute(0, 1, 4, 2, 3).contiguous() if depth else None,
    )


def over(rgba: Tensor, background: Tensor | float = 1.0) -> Tensor:
    """Premultiplied RGBA [..., 4, H, W] over a colour: RGB [..., 3, H, W] in [0, 1]."""
    return rgba[..., :3, :, :] + (1.0 - rgba[..., 3:, :, :]) * background


def plain_backgrounds(rng: np.random.Generator, count: int, white: float = 0.75) -> Tensor:
    """`count` plain colours [count, 3, 1, 1] in [0, 1]; a share `white` of them is white."""
    colors = rng.random((count, 3), np.float32)
    colors[rng.random(count) < white] = 1.0
    return torch.from_numpy(colors)[:, :, None, None]


def backgrounds(rng: np.random.Generator, count: int, size: int = SIZE) -> Tensor:
    """`count` backdrops [count, 3, size, size] in [0, 1].

    Plain colours, two-colour gradients, soft random patches and hard-edged shapes, a quarter each,
    under fine noise: a subject cannot be told from them by one colour or by edges alone.
    """
    made = torch.empty(count, 3, size, size)
    for image in made:
        kind = int(rng.integers(4))
        colors = torch.from_numpy(rng.random((2, 3, 1, 1), np.float32))
        if kind == 0:
            mix = torch.zeros(1, size, size)
        elif kind == 1:
            mix = _ramp(rng, size)
        else:
            mix = patches(rng, size, hard=kind == 3)
        image.copy_(colors[0] + (colors[1] - colors[0]) * mix)
        noise = torch.from_numpy(rng.standard_normal((3, size, size), np.float32))
        image.add_(noise * float(rng.random()) * 0.03).clamp_(0.0, 1.0)
    return made


def _ramp(rng: np.random.Generator, size: int) -> Tensor:
    """A linear rise [1, size, size] from 0 to 1 in a random direction."""
    angle = rng.random() * 2 * np.pi
    axis = torch.linspace(-0.5, 0.5, size)
    ramp = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    return ((ramp - ramp.min()) / (ramp.max() - ramp.min()))[None].float()


def patches(rng: np.random.Generator, size: int, hard: bool) -> Tensor:
    """Random blobs [1, size, size] in [0, 1]; hard ones have edges."""
    cells = int(rng.integers(3, 9))
    coarse = torch.from_numpy(rng.random((1, 1, cells, cells), np.float32))
    fine = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    return (fine[0] > 0.5).float() if hard else fine[0].clamp(0.0, 1.0)
