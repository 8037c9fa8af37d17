"""What score distillation makes of one picture: `python benchmarks/sds3d.py [KEY=VALUE ...]`.

For toybox characters of the test split it renders the picture (azimuth 0) and the truth from eight
other azimuths, and optimises static fields with the nano priors: from the picture alone, from the
picture with the novel-view prior, with `--text` from a sentence without the picture, and with
`--oracle` from the picture with a prior that knows the truth (what is lost even so is the
optimisation's). Beside them stand the trivial answers: the picture itself from everywhere, and one
sample of the novel-view prior per azimuth, which are no 3D scene. KEY=VALUE are settings of
`animate124.settings.StaticSettings`, for all runs.

Every figure is a mean over the eight views: `psnr` of whole images over white, `psnr_union` of what
is foreground in either, `iou` of the silhouettes (a sample's silhouette is where it is not white).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import animate124  # noqa: F401  settles threads before numba and torch load

# isort: split
import numpy as np
import torch
from slices import forget_peak
from torch import Tensor

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.media.images import contact_sheet, write_png
from animate124.metrics.image import psnr, psnr_union, silhouette_iou
from animate124.priors.components import load_vae
from animate124.priors.novel_view import NovelView, pose_token
from animate124.priors.text_to_image import TextToImage
from animate124.render.volume import render_images
from animate124.settings.base import parse
from animate124.settings.static import StaticSettings
from animate124.stages.picture import Picture
from animate124.stages.static_task import StaticTask
from animate124.toybox.captions import static_prompt
from animate124.toybox.characters import sample_clip
from animate124.toybox.clip import Clip
from animate124.toybox.splits import seeds
from animate124.training import run
from animate124.zoo import data
from animate124.zoo.roles import NANO

SPECIES = ("panda", "fox", "robot", "penguin")
AZIMUTHS = 40.0 * torch.arange(1, 9)  # evenly spaced, without the picture's own
SAMPLE_SCALE, SAMPLE_STEPS = 2.0, 20
NOT_WHITE = 0.1
FIGURES = ("psnr", "psnr_union", "iou")


class Oracle:
    """A novel-view prior that knows the character: its prediction leads to the true latents."""

    def __init__(self, clip: Clip, like: NovelView, elevation: float) -> None:
        self.clip, self.elevation = clip, elevation
        self.vae, self.schedule, self.image_size = like.vae, like.schedule, like.image_size
        self.encode_images = like.encode_images

    def reference(self, image: Tensor) -> None:
        """It needs no picture."""

    @torch.no_grad()
    def predict_pair(self, noisy: Tensor, t: Tensor, _: None, pose: Tensor):
        """The noise that is in `noisy` if the truth from `pose` is under it, twice."""
        azimuth = torch.rad2deg(torch.atan2(pose[:, 1], pose[:, 2]))
        elevation = self.elevation - torch.rad2deg(pose[:, 0])
        truth = [
            over_white(look(self.clip, a, e, self.image_size))
            for a, e in zip(azimuth[:, None], elevation[:, None], strict=True)
        ]
        clean = self.encode_images(torch.cat(truth).permute(0, 3, 1, 2))
        signal, noise = self.schedule.signal_and_noise(t, clean)
        return ((noisy - signal * clean) / noise,) * 2


def look(clip: Clip, azimuth: Tensor, elevation: Tensor, size: int) -> Tensor:
    """The clip's first moment, premultiplied RGBA [V, size, size, 4], 4 × 4 subsamples a pixel."""
    angles = azimuth.double().numpy(), elevation.double().numpy()
    rgba = data.look(clip, *angles, np.zeros(1), size, samples=4).rgba[:, 0]
    return rgba.permute(0, 2, 3, 1)


def over_white(rgba: Tensor) -> Tensor:
    """Premultiplied RGBA [..., 4] over white."""
    return rgba[..., :3] + 1 - rgba[..., 3:]


def figures(rgb: Tensor, alpha: Tensor, truth: Tensor) -> dict[str, float]:
    """FIGURES of images [8, H, W, 3] and their silhouettes against RGBA truth [8, H, W, 4]."""
    expected, silhouette = over_white(truth), truth[..., 3]
    values = (
        psnr(rgb, expected),
        psnr_union(rgb, expected, alpha, silhouette),
        silhouette_iou(alpha, silhouette),
    )
    return {n: round(float(v.mean()), 3) for n, v in zip(FIGURES, values, strict=True)}


def optimise(
    picture: Tensor, settings: StaticSettings, **priors
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """RGB [8, H, W, 3] and alpha [8, H, W] of a field from AZIMUTHS, and what it took.

    `picture`: premultiplied RGBA [H, H, 4].
    """
    forget_peak()
    straight = picture.clone()
    straight[..., :3] /= picture[..., 3:].clamp(min=1e-6)
    known = Picture(straight.clamp(0, 1), settings.elevation, settings.reference_size)
    task = StaticTask(known, settings, **priors)
    with tempfile.TemporaryDirectory() as work:
        report = run(task, settings.train, Path(work), "sds3d")
    field, occupancy = task.trained()
    size = len(picture)
    cameras = Cameras(orbit(AZIMUTHS, settings.elevation), DEFAULT_FOV_Y, size, size)
    times = torch.zeros(len(AZIMUTHS))
    images = render_images(field, occupancy, times, cameras, settings.field.step, supersample=2)
    cost = {
        "seconds": round(report.seconds, 1),
        "ms_per_step": round(1e3 * report.seconds / max(report.steps, 1), 1),
        "peak_memory_mib": round(report.peak_memory_mib),
    }
    return images["rgb"].clamp(0, 1), images["alpha"].clamp(0, 1), cost


def measure(
    clip: Clip, novel_view: NovelView, text_to_image: TextToImage | None, options
) -> tuple[dict[str, dict], list[np.ndarray], list[str]]:
    """Results by method for one character, and the rows of its sheet with their labels."""
    settings, size = options.settings, novel_view.image_size
    level = torch.full((1,), settings.elevation)
    truth = look(clip, AZIMUTHS, level.expand(len(AZIMUTHS)), size)
    picture = look(clip, torch.zeros(1), level, size)[0]
    rows = {"truth": over_white(truth)}
    results = {}

    def note(name: str, rgb: Tensor, alpha: Tensor, cost: dict[str, float]) -> None:
        rows[name] = rgb
        results[name] = figures(rgb, alpha, truth) | cost

    copies = picture.expand_as(truth)
    note("copy", over_white(copies), copies[..., 3], {})
    began = time.perf_counter()
    reference = novel_view.reference(over_white(picture).permute(2, 0, 1)[None])
    samples = novel_view.sample(
        reference,
        pose_token(0.0, AZIMUTHS, 0.0),
        SAMPLE_SCALE,
        SAMPLE_STEPS,
        torch.Generator().manual_seed(0),
    ).permute(0, 2, 3, 1)
    painted = ((1 - samples).amax(-1) > NOT_WHITE).float()
    note("sample", samples, painted, {"seconds": round(time.perf_counter() - began, 1)})

    alone = settings.model_copy(update={"novel_view": 0.0, "text": 0.0})
    if not options.only_prior:
        note("reference", *optimise(picture, alone))
    with_text = {"text_to_image": text_to_image, "prompt": static_prompt(clip)}
    note("novel_view", *optimise(picture, settings, novel_view=novel_view, **with_text))
    if options.oracle:
        known = Oracle(clip, novel_view, settings.elevation)
        note("oracle", *optimise(picture, settings, novel_view=known, **with_text))
    if options.text:
        words = {"rgb": 0.0, "alpha": 0.0, "novel_view": 0.0, "warmup": 0}
        words["text"] = settings.text or settings.novel_view
        blind = settings.model_copy(update=words)
        note("text", *optimise(picture, blind, **with_text))
    shown = [name for name in rows if name != "copy"]
    return results, [rows[n] for n in shown], [f"{clip.species} {n}" for n in shown]


def average(results: list[dict[str, dict]]) -> dict[str, dict]:
    """Means over the characters, by method and figure."""
    return {
        method: {key: round(float(np.mean([r[method][key] for r in results])), 3) for key in row}
        for method, row in results[0].items()
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--species", nargs="+", default=SPECIES)
    parser.add_argument("--count", type=int, default=len(SPECIES), help="characters")
    parser.add_argument("--text", action="store_true", help="also from the sentence alone")
    parser.add_argument("--oracle", action="store_true", help="also with a prior that knows")
    parser.add_argument("--only-prior", action="store_true", help="not from the picture alone")
    parser.add_argument("--models", type=Path, default=NANO, help="folder of the nano models")
    parser.add_argument("--sheet", type=Path, default=Path("sds3d.png"), help="contact sheet")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    options.settings = parse(StaticSettings, ["train.preview_every=0", *options.settings])
    return options


def show(results: dict[str, dict], say: Callable[[str], None] = print) -> None:
    """A table of methods."""
    for method, row in results.items():
        say(f"{method:12} " + "  ".join(f"{key} {value:g}" for key, value in row.items()))


def main() -> None:
    options = arguments()
    vae = load_vae(options.models / "autoencoder", options.models, "cpu", torch.float32)
    novel_view = NovelView.load(options.models / "novel-view", vae=vae)
    text_to_image = None
    if options.text or options.settings.text:
        text_to_image = TextToImage.load(options.models / "text-to-image", vae=vae)
    every, grid, labels, names = [], [], [], []
    for k, seed in enumerate(seeds("test", options.count)):
        clip = sample_clip(seed, options.species[k % len(options.species)])
        results, rows, words = measure(clip, novel_view, text_to_image, options)
        every.append(results)
        names.append(f"{clip.species} {seed}")
        grid += [[image.numpy() for image in row] for row in rows]
        labels += words
        write_png(options.sheet, contact_sheet(grid, labels, [f"{a:.0f}°" for a in AZIMUTHS]))
        if not options.json:
            print(f"-- {names[-1]}: {static_prompt(clip)}")
            show(results)
    mean = average(every)
    if options.json:
        settings = options.settings.model_dump(mode="json")
        print(
            json.dumps(
                {"characters": dict(zip(names, every, strict=True)), "mean": mean}
                | {"settings": settings, "threads": torch.get_num_threads()}
            )
        )
    else:
        print(f"-- mean of {len(every)}")
        show(mean)


if __name__ == "__main__":
    main()
