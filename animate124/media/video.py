"""Moving pictures: H.264 mp4 and GIF, written and read with the ffmpeg inside imageio-ffmpeg.

The same frames always give the same bytes: one encoder thread, no dates, no encoder tags.
"""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from animate124.errors import UserError
from animate124.media.files import atomic_path
from animate124.media.images import to_uint8

_BITEXACT = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
# Colours are BT.709, limited range, and say so; untagged files are shown differently by players.
# ffmpeg's default conversion rounds down: it darkens a written and read picture by 1.5 of 255.
_EXACT = "accurate_rnd+full_chroma_int+full_chroma_inp+bicubic"
_TO_BT709 = f"scale=out_color_matrix=bt709:out_range=tv:flags={_EXACT}"
_TAGS = "-colorspace bt709 -color_primaries bt709 -color_trc bt709"


def write_video(
    path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float, crf: int = 14
) -> None:
    """Write an H.264 mp4 (yuv420p, faststart) atomically.

    Args:
        frames: [H, W, 3] images, float in [0, 1] or uint8, all of one size; an array [F, H, W, 3]
            or any iterable, taken one by one. yuv420p needs even sizes: an odd height or width is
            padded by repeating the last row or column.
        fps: frames per second, > 0.
        crf: quality, 0 (lossless up to the chroma halving) to 51 (worst); 14 shows no artefacts.

    Raises:
        ValueError: no frame, a frame of another size or shape, NaN, fps or crf out of range.
        UserError: the file cannot be written, or ffmpeg is missing.
    """
    if not 0 <= crf <= 51:
        raise ValueError(f"crf must lie in 0 to 51, got {crf}")
    options = f"-c:v libx264 -preset medium -crf {crf} -threads 1 -vf {_TO_BT709} -pix_fmt yuv420p"
    options += f" {_TAGS} -movflags +faststart"
    _encode(path, (_pad_to_even(_checked(frame)) for frame in frames), fps, options.split())


def write_gif(path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write an endlessly looping GIF atomically: one palette of 256 colours made for this clip.

    Arguments and errors are those of `write_video`; sizes may be odd. GIF counts time in 1/100 s,
    and viewers slow down above 50 frames per second.
    """
    graph = "split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=bayer"
    options = ["-filter_complex_threads", "1", "-filter_complex", graph, "-loop", "0"]
    _encode(path, (_checked(frame) for frame in frames), fps, options)


def read_video(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """Read every frame of a video or GIF.

    Returns:
        frames float32 [F, H, W, 3] in [0, 1] and the frames per second.

    Raises:
        UserError: missing, empty, damaged or cut short, or ffmpeg is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"The video {path} does not exist: check the path.")
    if path.stat().st_size == 0:
        raise UserError(f"The video {path} is empty: give another file.")
    # y4m says the rate in its first line; the frames themselves come as PPM, which keeps RGB.
    first = _decode(path, ["-frames:v", "1", "-pix_fmt", "yuv444p", "-f", "yuv4mpegpipe"])
    rates = [word[1:] for word in first.split(b"\n", 1)[0].split() if word.startswith(b"F")]
    data = _decode(
        path, ["-fps_mode", "passthrough", "-sws_flags", _EXACT, "-f", "image2pipe", "-c:v", "ppm"]
    )
    frames = _split_ppm(data)
    if not rates or not frames:
        raise UserError(f"The video {path} holds no frames: give another file.")
    numerator, denominator = (int(x) for x in rates[0].split(b":"))
    return np.stack(frames).astype(np.float32) / np.float32(255), numerator / denominator


def _encode(
    path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float, options: list[str]
) -> None:
    """Pipe uint8 frames [H, W, 3] into ffmpeg; the file appears at `path` only when all went in."""
    if not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("a video needs at least one frame")
    height, width = first.shape[:2]
    rate = str(Fraction(fps).limit_denominator(1001))
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate]
    with atomic_path(path) as temp, tempfile.TemporaryFile() as log:
        temp.touch()  # a folder that may not be written to is named by us, not by ffmpeg
        command = [_ffmpeg(), "-v", "error", "-y", *source, "-i", "-", *options, *_BITEXACT]
        process = subprocess.Popen(
            [*command, _file_url(temp)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            for frame in chain([first], frames):
                if frame.shape != first.shape:
                    raise ValueError(f"frames of two sizes: {first.shape} and {frame.shape}")
                process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            pass  # ffmpeg gave up first; its own words follow
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        if process.returncode != 0:
            log.seek(0)
            words = log.read().decode(errors="replace").strip()
            if os.strerror(errno.ENOSPC) in words:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise RuntimeError(f"ffmpeg could not write {path}: {words}")


def _decode(path: Path, options: list[str]) -> bytes:
    """What ffmpeg writes to its standard output for the video in `path`; strict about damage."""
    strict = ["-v", "error", "-nostdin", "-xerror", "-err_detect", "explode"]
    command = [_ffmpeg(), *strict, "-i", _file_url(path), "-map", "0:v:0", *options, "-"]
    run = subprocess.run(command, capture_output=True, check=False)
    if run.returncode != 0 or run.stderr:
        words = run.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"The video {path} is damaged, cut short or not a video "
            f"({words[0] if words else 'no frames'}): give another file."
        )
    return run.stdout


def _split_ppm(data: bytes) -> list[np.ndarray]:
    """uint8 frames [H, W, 3] of binary PPM pictures that lie one behind the other."""
    frames = []
    position = 0
    while position < len(data):
        magic, size, depth, _ = data[position : position + 64].split(b"\n", 3)
        width, height = (int(x) for x in size.split())
        start = position + len(magic) + len(size) + len(depth) + 3
        position = start + width * height * 3
        pixels = np.frombuffer(data, np.uint8, width * height * 3, start)
        frames.append(pixels.reshape(height, width, 3))
    return frames


def _checked(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3], or ValueError."""
    pixels = to_uint8(frame)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"a video frame must be [H, W, 3], got {pixels.shape}")
    return pixels


def _pad_to_even(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _file_url(path: Path) -> str:
    """The path in a form that ffmpeg cannot take for an option or another protocol."""
    return f"file:{path}"


def _ffmpeg() -> str:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError(
            "No ffmpeg was found for writing videos: install the imageio-ffmpeg package again."
        ) from error
