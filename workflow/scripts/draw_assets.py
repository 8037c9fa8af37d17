"""Make `config/inputs/assets/*.glb`, the static assets of the shipped scenes, from their truth.

    python workflow/scripts/draw_assets.py [SCENE ...]

Each is the character as it stands at t = 0: one mesh with one texture, and nothing of its joints.
"""

import sys
from pathlib import Path

import yaml

from animate124.toybox.characters import sample_clip
from animate124.toybox.export import export_static_glb
from animate124.toybox.meshes import COARSE

CONFIG = Path(__file__).resolve().parents[2] / "config"
TRUTH = CONFIG / "truth" / "assets"


def draw(scene: str, path: Path) -> None:
    """Write the asset of a scene to `path`."""
    truth = yaml.safe_load((TRUTH / f"{scene}.yaml").read_text(encoding="utf-8"))
    clip = sample_clip(truth["seed"], truth["species"], truth["motion"])
    export_static_glb(clip, path, tolerance=COARSE)


def main() -> None:
    """Make the named assets, or all."""
    for scene in sys.argv[1:] or sorted(path.stem for path in TRUTH.glob("*.yaml")):
        draw(scene, CONFIG / "inputs" / "assets" / f"{scene}.glb")


if __name__ == "__main__":
    main()
