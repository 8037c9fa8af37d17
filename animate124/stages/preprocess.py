"""Stage `preprocess`: any picture in; its subject, cut out, centred and square, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from animate124.errors import UserError
from animate124.media.images import composite, read_image, resize, write_grey16, write_png
from animate124.priors.matting import Matting, cut_out, has_matte
from animate124.priors.profiles import find
from animate124.settings.preprocess import PreprocessSettings
from animate124.stages.models import Models
from animate124.stages.outputs import RECORD, Stopwatch, check_target, staged, write_record
from animate124.stages.preprocess_matte import (
    INSIDE,
    before_backdrop,
    clean,
    firm,
    haze_reach,
    own_colours,
)
from animate124.stages.preprocess_shape import Box, cut, distances, nearness, normals, place

OUTPUTS = ("rgba.png", "mask.png", RECORD)
MAPS = ("depth.png", "normal.png")  # only with a depth model
LEAST = 16  # pixels: a smaller subject shows nothing

_LARGEST = 768  # pixels: larger pictures are reduced at once; the results are smaller still
_CLOSER = 0.45  # of the picture: a smaller subject is cut out again from a picture around it
_FULL = 0.95  # share of the picture, or of its border, from which a subject fills it


def preprocess(
    image: Path, out: Path, settings: PreprocessSettings, models: Models
) -> dict[str, Any]:
    """Cut the subject out of a picture, centre it and estimate its shape; returns the record.

    Writes into `out`: rgba.png (straight alpha, square), mask.png (that alpha), stage.json, and,
    where the profile's depth model is there, depth.png (16 bits, larger is nearer, 0 outside) and
    normal.png ((n + 1) / 2 of camera-space normals: x right, y up, z to the camera).

    The record's `placement` is the square of the picture (reduced by `reduced_by`) that was taken,
    `subject` the share of the result's edge that the larger side of its box takes, and `warnings`
    what the user should know.

    Raises:
        UserError: a picture that cannot be read, no subject in it or one that fills it, an absent
            model that is needed, or a folder that cannot be written.
    """
    watch = Stopwatch()
    check_target(out, (*OUTPUTS, *MAPS))
    picture, reduced = _read(image)
    height, width = picture.shape[:2]
    with watch.part("matting"):
        own = has_matte(picture)
        rgba = _own(picture, settings) if own else _matted(picture, settings, models)
    box = _subject(rgba[..., 3], image, own)
    placement = place(box, height, width, settings)
    square = cut(rgba, placement, settings.size)
    warnings = _warnings(box, height, width)
    maps, note = _maps(square, settings, models, watch)
    names = [name for name in MAPS if name in maps]
    with watch.part("outputs"), staged(out, (*OUTPUTS[:2], *names, RECORD)) as folder:
        write_png(folder / "rgba.png", square)
        write_png(folder / "mask.png", square[..., 3])
        if maps:
            write_grey16(folder / "depth.png", maps["depth.png"])
            write_png(folder / "normal.png", maps["normal.png"])
        placed = Box.around(square[..., 3])
        record = write_record(
            folder,
            "preprocess",
            settings,
            watch,
            models.device,
            inputs={"image": image},
            priors=models.used,
            profile=models.profile.name,
            matte="its own" if own else "found",
            depth=note,
            reduced_by=reduced,
            placement=placement.record(),
            subject=round(placed.larger / settings.size, 4) if placed else 0.0,
            warnings=warnings,
        )
        # Maps of an earlier run with a depth model are none of this one.
        (out / RECORD).unlink(missing_ok=True)
        for name in set(MAPS) - set(names):
            (out / name).unlink(missing_ok=True)
    return record


def _read(path: Path) -> tuple[np.ndarray, float]:
    """The picture, not larger than is useful, and by what factor it was reduced."""
    picture = read_image(path)
    height, width = picture.shape[:2]
    if min(height, width) < LEAST:
        raise UserError(
            f"The image {path} has {width} x {height} pixels, too few to show a subject: give one "
            f"of at least {LEAST} x {LEAST}, better 256 x 256."
        )
    larger = max(height, width)
    if larger <= _LARGEST:
        return picture, 1.0
    ratio = _LARGEST / larger
    size = max(round(height * ratio), 1), max(round(width * ratio), 1)
    return resize(picture, *size, "area"), larger / _LARGEST


def _own(picture: np.ndarray, settings: PreprocessSettings) -> np.ndarray:
    """The picture with its own alpha, without specks; its holes are meant."""
    alpha = clean(cut_out(picture), settings.keep, 0.0)
    return np.concatenate([picture[..., :3], alpha[..., None]], axis=2)


def _matted(picture: np.ndarray, settings: PreprocessSettings, models: Models) -> np.ndarray:
    """The picture with an alpha that the matting model, and a plain backdrop, give it."""
    rgb = picture[..., :3]
    alpha = _matte(rgb, models.matting, settings)
    auto = settings.backdrop == "auto" and models.language == "toybox"
    if auto or settings.backdrop == "on":
        exact = before_backdrop(rgb, alpha)
        alpha = alpha if exact is None else _cleaned(exact, settings)
    return np.concatenate([own_colours(rgb, alpha), alpha[..., None]], axis=2)


def _matte(rgb: np.ndarray, matting: Matting, settings: PreprocessSettings) -> np.ndarray:
    """The network's matte; of a small subject, that of a picture in which it is not small."""
    height, width = rgb.shape[:2]
    alpha = _cleaned(firm(matting.matte(rgb)), settings)
    box = Box.around(alpha)
    if box is None or box.larger >= _CLOSER * min(height, width) or box.larger < LEAST:
        return alpha
    half = box.larger / settings.fill / 2
    x, y = box.centre
    top, left = max(round(y - half), 0), max(round(x - half), 0)
    rows, columns = slice(top, round(y + half)), slice(left, round(x + half))
    closer = np.zeros_like(alpha)
    closer[rows, columns] = firm(matting.matte(np.ascontiguousarray(rgb[rows, columns])))
    closer = _cleaned(closer, settings)
    return closer if Box.around(closer) is not None else alpha


def _cleaned(alpha: np.ndarray, settings: PreprocessSettings) -> np.ndarray:
    return clean(alpha, settings.keep, settings.holes, haze_reach(alpha))


def _subject(alpha: np.ndarray, image: Path, own: bool) -> Box:
    """The box around the subject; UserError where there is none to speak of."""
    height, width = alpha.shape
    box = Box.around(alpha)
    if box is None and own:
        raise UserError(
            f"The image {image} is transparent everywhere: give one that shows something."
        )
    remedy = "give a picture of one thing before a plain backdrop, or cut it out (PNG with alpha)"
    if box is None:
        raise UserError(f"No subject was found in the image {image}: {remedy}.")
    inside = alpha > INSIDE
    border = np.concatenate([inside[0], inside[-1], inside[1:-1, 0], inside[1:-1, -1]])
    if inside.mean() > _FULL or border.mean() > _FULL:
        raise UserError(
            f"The subject fills the image {image} up to its border, so its outline is unknown: "
            f"{remedy}."
        )
    if box.larger < LEAST:
        raise UserError(
            f"The subject of the image {image} is {box.larger} pixels large where the image is "
            f"{max(height, width)}: crop the image around it."
        )
    return box


def _warnings(box: Box, height: int, width: int) -> list[str]:
    touched = box.touched(height, width)
    if not touched:
        return []
    edges = " and ".join(touched)
    return [
        f"The subject reaches the {edges} edge of the picture: if it is cut off there, so will "
        "the scene be."
    ]


def _maps(
    square: np.ndarray, settings: PreprocessSettings, models: Models, watch: Stopwatch
) -> tuple[dict[str, np.ndarray], str]:
    """Pictures of depth and normals by file name, and a note where they come from, or why not."""
    if settings.depth == "off":
        return {}, "none: switched off"
    if settings.depth == "auto":
        if not models.has("depth"):
            return {}, f"none: the profile {models.profile.name} names no depth model"
        if find(models.profile.entry("depth")) is None:
            return {}, f"none: the depth model of the profile {models.profile.name} is absent"
    with watch.part("depth"):
        alpha = square[..., 3]
        white = torch.from_numpy(composite(square[..., :3], alpha)).permute(2, 0, 1)[None]
        relative = models.depth.estimate(white)[0].cpu().numpy()
        if not np.isfinite(relative).all():
            raise UserError(
                f"The depth model of the profile {models.profile.name} gives no finite depths for "
                "this picture: run the stage with --set depth=off."
            )
        near = nearness(relative, alpha)
        slopes = normals(distances(near, alpha), alpha)
    maps = {"depth.png": near, "normal.png": (slopes + 1.0) / 2.0}
    return maps, models.profile.entry("depth").model
