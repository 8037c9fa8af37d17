"""Multi-view video datasets: folders of animated assets, or the toybox, rendered from all sides.

A dataset has one folder per clip, with view_V_frame_KK.png (RGBA, straight alpha) and clip.json,
and manifest.jsonl, one line per clip. A clip's folder appears whole or not at all, so building can
be stopped and gone on with, and several machines can build different clips of one dataset.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from animate124 import runtime
from animate124.errors import UserError
from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS, Cameras, orbit
from animate124.media.files import (
    TEMP_PREFIX,
    clean_stale,
    ensure_folder,
    temporary,
    write_json,
    write_text,
)
from animate124.media.images import write_png
from animate124.settings.base import digest
from animate124.settings.mvvideo import MvVideoSettings

MANIFEST, CLIP = "manifest.jsonl", "clip.json"


class Source(Protocol):
    """What a clip is rendered from; `name` is its folder's."""

    name: str

    def key(self) -> str:
        """What changes when the pictures would."""

    def render(self, cameras: Cameras, settings: MvVideoSettings) -> Rendered:
        """The clip. Raises UserError for an asset that cannot be used."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """frames [V, F, H, W, 4] RGBA in [0, 1], straight alpha; the sentence; whether it is a loop."""

    frames: np.ndarray
    caption: str
    loop: bool


@dataclass(frozen=True)
class Entry:
    """A clip of a dataset: azimuth and elevation [views] in degrees; `source` and `key` say what it
    was made from."""

    name: str
    caption: str
    views: int
    frames: int
    size: int
    fps: float
    loop: bool
    azimuth: tuple[float, ...]
    elevation: tuple[float, ...]
    radius: float
    fov_y: float
    source: str
    key: str


def frame_file(view: int, frame: int) -> str:
    """File of a frame, within its clip's folder."""
    return f"view_{view}_frame_{frame:02d}.png"


def clip_cameras(name: str, settings: MvVideoSettings) -> tuple[Cameras, np.ndarray, float]:
    """The cameras of a clip, their azimuths [V] and their elevation, degrees."""
    rng = np.random.default_rng(runtime.derive_seed(settings.seed, "mvvideo", name))
    start = rng.uniform(-settings.turn, settings.turn)
    azimuth = (start + 360.0 * np.arange(settings.views) / settings.views) % 360.0
    elevation = float(rng.uniform(settings.lowest, settings.highest))
    poses = orbit(torch.from_numpy(azimuth), elevation)
    return Cameras(poses, DEFAULT_FOV_Y, settings.size, settings.size), azimuth, elevation


def build(source: Source, out: Path, settings: MvVideoSettings) -> bool:
    """Make one clip of a dataset, unless it is there already; returns whether it was made.

    Raises UserError for an asset that cannot be used and a folder that cannot be written.
    """
    if settings.lowest > settings.highest:
        raise UserError("The elevations' lowest lies above their highest: exchange them.")
    key = hashlib.sha256(f"{source.key()}/{digest(settings)}".encode()).hexdigest()[:16]
    folder = out / source.name
    known = read_clip(folder)
    if known is not None and known.key == key:
        return False
    cameras, azimuth, elevation = clip_cameras(source.name, settings)
    made = source.render(cameras, settings)
    entry = Entry(
        name=source.name,
        caption=made.caption,
        views=len(made.frames),
        frames=made.frames.shape[1],
        size=settings.size,
        fps=settings.fps,
        loop=made.loop,
        azimuth=tuple(azimuth.tolist()),
        elevation=(elevation,) * len(azimuth),
        radius=DEFAULT_RADIUS,
        fov_y=DEFAULT_FOV_Y,
        source=type(source).__name__.lower(),
        key=key,
    )
    temp = temporary(ensure_folder(out))
    try:
        ensure_folder(temp)
        for view, clip in enumerate(made.frames):
            for index, frame in enumerate(clip):
                write_png(temp / frame_file(view, index), frame)
        write_json(temp / CLIP, asdict(entry))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temp, folder)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return True


def read_clip(folder: Path) -> Entry | None:
    """The finished clip in a folder; None where there is none, or a damaged one."""
    try:
        found = json.loads((folder / CLIP).read_text(encoding="utf-8"))
        return _entry(found)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _entry(found: Mapping[str, Any]) -> Entry:
    return Entry(**{k: tuple(v) if isinstance(v, list) else v for k, v in found.items()})


def write_manifest(out: Path) -> list[Entry]:
    """List all finished clips below `out` in its manifest, and return them, by name."""
    # What another process is making, or a killed one left, is no clip yet.
    folders = [path for path in sorted(out.iterdir()) if not path.name.startswith(TEMP_PREFIX)]
    found = [entry for folder in folders if (entry := read_clip(folder)) is not None]
    lines = [json.dumps(asdict(entry)) for entry in found]
    write_text(out / MANIFEST, "\n".join([*lines, ""]))
    return found


def read_manifest(folder: Path) -> list[Entry]:
    """The clips of a dataset. Raises UserError: there are none, or the manifest is damaged."""
    path = folder / MANIFEST
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        entries = [_entry(row) for row in rows]
    except FileNotFoundError:
        raise UserError(
            f"There is no {path}: build a dataset with `animate124 mvvideo build`."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"The manifest {path} is damaged ({error}): build it again.") from None
    if not entries:
        raise UserError(f"The dataset {folder} has no clips: give it some assets.")
    return entries


def build_all(
    sources: Sequence[Source], out: Path, settings: MvVideoSettings
) -> Iterator[tuple[str, bool | UserError]]:
    """`build` every clip and write the manifest; yields (name, made), or why one was left out.

    What killed processes left half done is removed first.
    """
    clean_stale(out)
    for source in sources:
        try:
            yield source.name, build(source, out, settings)
        except UserError as error:
            yield source.name, error
    if out.is_dir():
        write_manifest(out)
