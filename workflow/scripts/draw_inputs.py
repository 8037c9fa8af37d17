"""Draw `config/inputs/*.png`, the pictures that the shipped scenes start from, from their truth.

    python workflow/scripts/draw_inputs.py [SCENE ...]

Each is what the reference camera sees at t = 0. Half of them keep their transparency; the others
stand before a backdrop, so that the subject has to be cut out.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import yaml

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import composite, write_png
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.toybox.render import render

CONFIG = Path(__file__).resolve().parents[2] / "config"
SIZE, SAMPLES = 256, 3

# Colours, sRGB in [0, 1], at the top and at the bottom; scenes that are not named have none.
BACKDROPS = {
    "fox": ((0.78, 0.84, 0.90), (0.78, 0.84, 0.90)),
    "penguin": ((0.45, 0.66, 0.86), (0.80, 0.90, 0.96)),
    "dinosaur": ((0.97, 0.88, 0.72), (0.90, 0.72, 0.56)),
}


def truth_clip(scene: str) -> Clip:
    """The clip that a scene's truth file names."""
    truth = yaml.safe_load((CONFIG / "truth" / f"{scene}.yaml").read_text(encoding="utf-8"))
    return sample_clip(truth["seed"], truth["species"], truth["motion"])


def cut_out(clip: Clip) -> np.ndarray:
    """The clip's subject at t = 0 with straight alpha: float32 [256, 256, 4]."""
    camera = Cameras(orbit(torch.zeros(1)), DEFAULT_FOV_Y, SIZE, SIZE)
    black = (0.0, 0.0, 0.0)
    seen = render(clip, np.zeros(1), camera, SAMPLES, black, ("rgb", "alpha"))
    alpha = seen.alpha[0, 0]
    return np.concatenate([seen.rgb[0, 0] / np.maximum(alpha, 1e-6), alpha], axis=2)


def picture(scene: str) -> np.ndarray:
    """What the scene starts from: float32 [256, 256, 4], or [256, 256, 3] before a backdrop."""
    subject = cut_out(truth_clip(scene))
    if scene not in BACKDROPS:
        return subject
    rgb, alpha = subject[..., :3], subject[..., 3:]
    top, bottom = np.float32(BACKDROPS[scene])
    down = np.linspace(0.0, 1.0, SIZE, dtype=np.float32)[:, None, None]
    return composite(rgb, alpha, np.broadcast_to(top + (bottom - top) * down, rgb.shape))


def main() -> None:
    """Draw the named scenes, or all."""
    scenes = sys.argv[1:] or sorted(path.stem for path in (CONFIG / "truth").glob("*.yaml"))
    for scene in scenes:
        write_png(CONFIG / "inputs" / f"{scene}.png", picture(scene))


if __name__ == "__main__":
    main()
