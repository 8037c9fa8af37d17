"""The pictures of the toybox in the documentation.

`python -m animate124.toybox.gallery docs` draws them again.
"""

import sys
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.images import write_png
from animate124.toybox.characters import SPECIES, perform, sample_character
from animate124.toybox.clip import Clip
from animate124.toybox.motions import MOTIONS, Style
from animate124.toybox.sheets import times_sheet, views_sheet

# A seed per species whose character is typical of its kind; 1 where it is not named.
_SEEDS = {
    "panda": 7, "rabbit": 5, "frog": 4, "monkey": 4, "robot": 6, "dinosaur": 3, "snowman": 4,
    "fox": 15, "penguin": 10, "bee": 3, "dog": 2, "cat": 8, "pig": 7, "elephant": 8,
    "turtle": 6, "sheep": 8, "duck": 3, "bird": 8,
    "fish": 7, "octopus": 3, "car": 7, "train": 4, "flower": 7,
}  # fmt: skip
# Who shows a motion off.
_CAST = {
    "dancing": "panda", "waving": "owl", "jumping": "frog", "hopping": "rabbit",
    "nodding": "elephant", "shaking": "cat", "spinning": "robot", "stretching": "monkey",
    "bowing": "penguin", "wiggling": "crab", "walking": "fox", "running": "dog",
    "swimming": "fish", "sitting": "lion", "tumbling": "pig", "flapping": "bird",
    "clapping": "bear", "kicking": "dinosaur", "driving": "car",
}  # fmt: skip


def _clip(species: str, motion: str, amplitude: float) -> Clip:
    return perform(sample_character(_SEEDS.get(species, 1), species), motion, Style(amplitude))


def species_picture(size: int = 96) -> np.ndarray:
    """Every species at rest from four sides, float32 [H, W, 3] sRGB."""
    return views_sheet([_clip(name, "dancing", 0.0) for name in SPECIES], size, abreast=3)


def motions_picture(size: int = 96) -> np.ndarray:
    """Every motion in eight frames, each by another toy, float32 [H, W, 3] sRGB."""
    return times_sheet([_clip(_CAST[name], name, 1.0) for name in MOTIONS], size=size)


def main(folder: str) -> None:
    """Write toybox-species.png and toybox-motions.png into an existing folder."""
    if not Path(folder).is_dir():
        raise UserError(f"there is no folder {folder}: create it or name another")
    write_png(Path(folder) / "toybox-species.png", species_picture())
    write_png(Path(folder) / "toybox-motions.png", motions_picture())


if __name__ == "__main__":
    main(*sys.argv[1:])
