"""How fast the toybox renders truth: `python benchmarks/toybox.py [--json]`.

Images per second over 8 views × 16 times of sampled characters, posing and tessellation included
(each character is new), median over the characters; numba compiles before the clock starts.
"""

import argparse
import json
import platform
import statistics
import time

import animate124  # noqa: F401  settles threads before numba and torch load

# isort: split
import numba
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.toybox.render import CHANNELS, render

VIEWS, FRAMES = 8, 16
CASES = ((64, 1), (64, 2), (64, 4), (128, 1), (128, 2), (128, 4))


def seconds(clip: Clip, size: int, samples: int, channels: tuple[str, ...]) -> float:
    """Wall time of rendering one clip from VIEWS cameras at FRAMES times."""
    azimuths = torch.arange(VIEWS) * (360.0 / VIEWS)
    cameras = Cameras(orbit(azimuths, 15.0), DEFAULT_FOV_Y, size, size)
    start = time.perf_counter()
    render(clip, clip.times(FRAMES), cameras, samples, channels=channels)
    return time.perf_counter() - start


def measure(characters: int) -> dict[str, float | str]:
    """Images per second by case; keys end in the image size and the subsamples per pixel."""
    seconds(sample_clip(0), 16, 1, CHANNELS)
    clips = [sample_clip(seed) for seed in range(1, characters + 1)]
    result: dict[str, float | str] = {
        "machine": f"{platform.machine()}, {numba.get_num_threads()} threads",
        "characters": characters,
        "parts_median": statistics.median(len(clip.rig.parts) for clip in clips),
    }
    for channels, name in ((("rgb", "alpha"), "rgb"), (CHANNELS, "all")):
        for size, samples in CASES:
            times = [seconds(clip, size, samples, channels) for clip in clips]
            rate = VIEWS * FRAMES / statistics.median(times)
            result[f"images_per_s_{name}_{size}_{samples**2}spp"] = round(rate, 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--characters", type=int, default=15, help="clips to render")
    arguments = parser.parse_args()
    result = measure(arguments.characters)
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:32} {value}")


if __name__ == "__main__":
    main()
