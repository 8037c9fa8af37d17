"""Make scenes of the dev split, to choose settings by without a look at those that are scored.

    python workflow/scripts/dev_scenes.py FOLDER [--count N] [--pictures]
    snakemake --cores 2 batch --config scenes=FOLDER/scenes.tsv

Writes static assets, or pictures, of the first N dev characters that are at rest at t = 0, their
truth, and the table.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from draw_inputs import cut_out

from animate124.media.files import ensure_folder
from animate124.media.images import write_png
from animate124.toybox.captions import motion_prompt
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.toybox.export import export_static_glb
from animate124.toybox.meshes import COARSE
from animate124.toybox.rig import Pose, joint_matrices
from animate124.toybox.splits import seeds


def at_rest(clip: Clip) -> bool:
    """Whether the clip begins in the rest pose."""
    return np.allclose(joint_matrices(clip.rig, clip.pose(0.0)), joint_matrices(clip.rig, Pose()))


def dev_clips(count: int) -> Iterator[Clip]:
    """The first `count` clips of the dev split that begin at rest."""
    some = (sample_clip(seed) for seed in seeds("dev", 20 * count + 20))
    return islice(filter(at_rest, some), count)


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=8, help="scenes")
    parser.add_argument("--pictures", action="store_true", help="pictures instead of assets")
    options = parser.parse_args()
    folder = ensure_folder(options.folder)
    lines = ["scene\timage\tasset\tprompt\ttruth"]
    for clip in dev_clips(options.count):
        name = f"{clip.species}{clip.seed}"
        given = folder / f"{name}.{'png' if options.pictures else 'glb'}"
        if options.pictures:
            write_png(given, cut_out(clip))
        else:
            export_static_glb(clip, given, tolerance=COARSE)
        truth = folder / f"{name}.yaml"
        truth.write_text(
            f"seed: {clip.seed}\nspecies: {clip.species}\nmotion: {clip.motion}\n",
            encoding="utf-8",
        )
        cells = (given, "") if options.pictures else ("", given)
        lines.append("\t".join(map(str, (name, *cells, motion_prompt(clip), truth))))
    (folder / "scenes.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
