"""Still images: read, write, composite, resize, lay out in a labelled sheet.

Images are numpy float32 [H, W, 3] RGB or [H, W, 4] RGBA in [0, 1], sRGB-encoded, with straight (not
premultiplied) alpha. Functions that take images also take CPU torch tensors.
"""

import io
import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from animate124.errors import UserError
from animate124.media.files import write_bytes

# An 8192 x 8192 picture takes 1 GiB as float32 RGBA; nothing here uses more detail than that.
MAX_PIXELS = 8192 * 8192

_FORMATS = ("PNG", "JPEG", "WEBP")
_FILTERS = {"area": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR}
# What Pillow raises for damaged files, by format and by where the damage lies.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a PNG, JPEG or WebP file (the format is told by its content, not its name).

    The EXIF orientation is applied, grey becomes RGB, an alpha channel or transparent colour is
    kept, 16-bit grey keeps its depth (16-bit RGB is read at 8 bits), CMYK is converted; an embedded
    colour profile is not applied. Of an animated file the first frame is read.

    Returns:
        float32 [H, W, 3], or [H, W, 4] when the file has transparency.

    Raises:
        UserError: missing, unreadable, empty, damaged, cut short, of another format, or larger than
            8192 x 8192 pixels.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"The image path {path} is a folder: give a file.")
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"The image {path} does not exist: check the path.") from error
    except PermissionError as error:
        raise UserError(f"The image {path} may not be read: change its permissions.") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> np.ndarray:
    """As `read_image`, from bytes; `name` is how messages call the image."""
    if not data:
        raise UserError(f"The image {name} is empty: give another file.")
    try:
        with warnings.catch_warnings():
            # The size is checked below, with a message of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise UserError(
            f"The image {name} is damaged or not a PNG, JPEG or WebP file: convert it or give "
            "another."
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"The image {name} is larger than 8192 x 8192 pixels: make it smaller."
        ) from error
    except _DECODE_ERRORS as error:
        raise _damaged(name, error) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UserError(
            f"The image {name} has {width} x {height} pixels, more than 8192 x 8192: make it "
            "smaller."
        )
    if width == 0 or height == 0:
        raise UserError(f"The image {name} has no pixels: give another file.")
    try:
        image = ImageOps.exif_transpose(image)
        image.load()
    except _DECODE_ERRORS as error:
        raise _damaged(name, error) from error
    return _to_float(image)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write a PNG atomically: uint8, or float in [0, 1] (clipped), as `encode_png`."""
    write_bytes(path, encode_png(image))


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of an image [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; the same every time.

    Raises:
        ValueError: another shape, no pixels, or NaN.
    """
    pixels = to_uint8(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    grey = pixels.ndim == 2
    if pixels.size == 0 or not (grey or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ValueError(f"an image must be [H, W], [H, W, 1|3|4], not empty; got {pixels.shape}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def write_grey16(path: str | os.PathLike, plane: np.ndarray) -> None:
    """Write a grey PNG of 16 bits atomically: float [H, W] in [0, 1] (clipped)."""
    if plane.ndim != 2 or np.isnan(plane).any():
        raise ValueError(f"a grey picture is [H, W] without NaN, got {plane.shape}")
    pixels = (np.clip(plane, 0.0, 1.0) * 65535.0 + 0.5).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    write_bytes(path, buffer.getvalue())


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Image of any shape as uint8: floats are clipped to [0, 1] and rounded, uint8 passes through.

    Raises:
        ValueError: NaN (it has no colour), or a type that is neither floating point nor uint8.
    """
    image = np.asarray(image)
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"an image must be uint8 or float in [0, 1], got {image.dtype}")
    if np.isnan(image).any():
        raise ValueError("the image holds NaN")
    return (np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def composite(
    rgb: np.ndarray, alpha: np.ndarray, background: float | Sequence[float] | np.ndarray = 1.0
) -> np.ndarray:
    """Lay an image over a background: rgb·alpha + background·(1 − alpha), straight alpha.

    Args:
        rgb: [..., 3]; alpha: [...] or [..., 1] in [0, 1]; background: grey, colour or image.

    Returns:
        float32 [..., 3].
    """
    rgb, alpha = np.asarray(rgb, np.float32), np.asarray(alpha, np.float32)
    if alpha.ndim == rgb.ndim - 1:
        alpha = alpha[..., None]
    return rgb * alpha + np.asarray(background, np.float32) * (1.0 - alpha)


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded values in [0, 1] to linear light (IEC 61966-2-1), float32, any shape."""
    srgb = np.asarray(srgb, np.float32)
    curve = ((np.maximum(srgb, 0.04045) + 0.055) / 1.055) ** np.float32(2.4)
    return np.where(srgb <= 0.04045, srgb / np.float32(12.92), curve)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to sRGB-encoded values (IEC 61966-2-1), float32, any shape."""
    linear = np.asarray(linear, np.float32)
    curve = 1.055 * np.maximum(linear, 0.0031308) ** np.float32(1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * np.float32(12.92), curve).astype(np.float32)


def resize(
    image: np.ndarray,
    height: int,
    width: int,
    method: Literal["bilinear", "area"] = "bilinear",
) -> np.ndarray:
    """Antialiased resize: the filter widens with the reduction, so no pixel is skipped.

    Args:
        image: float [H, W] or [H, W, C]. With C = 4 the colours are weighted by alpha, so that
            hidden colours do not bleed into the edge.
        method: "bilinear" (triangle filter) or "area" (mean over each new pixel's square).

    Returns:
        float32 [height, width] or [height, width, C].
    """
    image = np.asarray(image, np.float32)
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = resize(image[..., 3], height, width, method)
        weighted = resize(image[..., :3] * image[..., 3:], height, width, method)
        rgb = weighted / np.maximum(alpha, 1e-6)[..., None]
        return np.concatenate((np.clip(rgb, 0.0, 1.0), alpha[..., None]), axis=2)
    if image.ndim == 3:
        channels = [resize(image[..., c], height, width, method) for c in range(image.shape[2])]
        return np.stack(channels, axis=2)
    resized = Image.fromarray(np.ascontiguousarray(image)).resize((width, height), _FILTERS[method])
    return np.array(resized)


def contact_sheet(
    grid: Sequence[Sequence[np.ndarray | None]],
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    padding: int = 4,
    background: float = 1.0,
) -> np.ndarray:
    """Lay images out in rows and columns with labels at the left and at the top.

    Args:
        grid: rows of images, [H, W], [H, W, 3] or [H, W, 4] in [0, 1] or uint8, of any sizes; None
            leaves a cell empty. An image lies in the top left corner of its cell.
        row_labels, column_labels: one per row and per column, or none at all.
        padding: pixels around every cell; background: grey in [0, 1].

    Returns:
        float32 [H, W, 3].

    Raises:
        ValueError: an empty grid, or a number of labels that does not fit.
    """
    columns = max((len(row) for row in grid), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one image")
    if len(row_labels) not in (0, len(grid)) or len(column_labels) not in (0, columns):
        raise ValueError(
            f"a sheet of {len(grid)} x {columns} cells got {len(row_labels)} row labels and "
            f"{len(column_labels)} column labels"
        )
    cells = [[None if cell is None else _to_rgb(cell, background) for cell in row] for row in grid]
    font = ImageFont.load_default(size=12)
    boxes = {text: font.getbbox(text) for text in (*row_labels, *column_labels)}
    line = max((box[3] for box in boxes.values()), default=0)

    heights = [line if row_labels else 0] * len(cells)
    widths = [boxes[text][2] for text in column_labels] or [0] * columns
    for r, row in enumerate(cells):
        for c, cell in enumerate(row):
            if cell is not None:
                heights[r], widths[c] = (
                    max(heights[r], cell.shape[0]),
                    max(widths[c], cell.shape[1]),
                )
    left = max((int(boxes[text][2]) for text in row_labels), default=-padding) + 2 * padding
    top = (int(line) + padding if column_labels else 0) + padding
    xs = [left + sum(int(w) + padding for w in widths[:c]) for c in range(columns + 1)]
    ys = [top + sum(int(h) + padding for h in heights[:r]) for r in range(len(cells) + 1)]

    sheet = np.full((ys[-1], xs[-1], 3), to_uint8(np.float32(background)), np.uint8)
    for y, row in zip(ys, cells, strict=False):
        for x, cell in zip(xs, row, strict=False):
            if cell is not None:
                sheet[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    ink = (0, 0, 0) if background > 0.5 else (255, 255, 255)
    for text, y in zip(row_labels, ys, strict=False):
        draw.text((padding, y), text, fill=ink, font=font)
    for text, x in zip(column_labels, xs, strict=False):
        draw.text((x, padding), text, fill=ink, font=font)
    return np.asarray(picture, np.float32) / np.float32(255)


def _to_float(image: Image.Image) -> np.ndarray:
    """float32 [H, W, 3|4] of a loaded Pillow image of any mode that the three formats give."""
    if image.mode.startswith("I"):  # 16-bit grey, as "I;16" or "I" by Pillow's version
        grey = np.asarray(image, np.float32) / np.float32(65535)
        return np.repeat(grey[..., None], 3, axis=2)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return np.asarray(image.convert(mode), np.float32) / np.float32(255)


def _to_rgb(image: np.ndarray, background: float) -> np.ndarray:
    """uint8 [H, W, 3] of a grey, RGB or RGBA image, laid over `background`."""
    image = np.asarray(image)
    if image.dtype == np.uint8:
        image = image.astype(np.float32) / np.float32(255)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] == 4:
        image = composite(image[..., :3], image[..., 3], background)
    return to_uint8(image)


def _damaged(name: str, error: Exception) -> UserError:
    return UserError(f"The image {name} is damaged or cut short ({error}): give another file.")
