"""Truth bundles: one clip's ground truth as a folder (docs/truth-bundle.md is the format)."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from animate124.errors import UserError
from animate124.geometry.cameras import Cameras
from animate124.media.files import clean_stale, ensure_folder, temporary, write_json
from animate124.media.images import contact_sheet, write_png
from animate124.media.tensors import load_tensors, save_tensors
from animate124.toybox.bundle_record import (
    FORMAT,
    RECORD,
    UNITS,
    VERSION,
    CameraRecord,
    FileRecord,
    FrameRecord,
    Record,
)
from animate124.toybox.clip import Clip
from animate124.toybox.export import export_animated_glb, export_static_glb
from animate124.toybox.render import render
from animate124.toybox.tracks import tracks
from animate124.toybox.viewpoints import cameras_at, fit_angles, frame_plan, held_out_angles

_TENSORS = ("rgba", "depth", "normal", "flow", "tracks")
_OTHERS = ("sheet.png", "static.glb", "animated.glb")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory: V views, N frames, P tracked points.

    `rgba` uint8 [V, N, H, W, 4] sRGB with straight alpha; `depth` float32 [V, N, H, W, 1]; `normal`
    float16 [V, N, H, W, 3]; `flow` float16 [V, N, H, W, 2] with `flow_visible` uint8 [V, N, H, W,
    1]; `track_world` float32 [N, P, 3], `track_xy` float32 [V, N, P, 2], `track_visible` bool [V,
    N, P]; `cameras` V of them; `times` float64 [N]. `fit_views`, `held_out_views`, `fit_frames`,
    `held_out_frames` are int64 indices into V and N.
    """

    folder: Path
    record: Record
    cameras: Cameras
    times: Tensor
    fit_views: Tensor
    held_out_views: Tensor
    fit_frames: Tensor
    held_out_frames: Tensor
    rgba: Tensor
    depth: Tensor
    normal: Tensor
    flow: Tensor
    flow_visible: Tensor
    track_world: Tensor
    track_xy: Tensor
    track_visible: Tensor

    def rgb(self, background: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
        """Images float32 [V, N, H, W, 3] in [0, 1] over a background colour (sRGB)."""
        colour, alpha = self.rgba[..., :3].float() / 255, self.rgba[..., 3:].float() / 255
        return colour * alpha + torch.tensor(background) * (1 - alpha)


def write_bundle(
    clip: Clip,
    folder: str | os.PathLike,
    split: str,
    views: int = 8,
    frames: int = 16,
    size: int = 128,
    samples: int = 3,
    track_count: int = 512,
    force: bool = False,
) -> None:
    """Render a clip's whole truth into `folder`, which appears complete or not at all.

    The bundle has `views` fit cameras and 4 held-out ones, `frames` fit times and the midpoints
    between them held out. The same arguments give the same bytes.

    Args:
        split: "train", "dev" or "test" (`splits.split_of` of the clip's seed).
        size: pixels per image side. samples: subsamples per pixel side.
        force: replace a bundle that is already there.

    Raises:
        ValueError: a number below its minimum (1 view, 2 frames, 8 pixels, 1 sample, 1 track).
        UserError: something is at `folder` already, or it cannot be written.
    """
    lowest = ((views, 1), (frames, 2), (size, 8), (samples, 1), (track_count, 1))
    if any(value < least for value, least in lowest):
        raise ValueError(f"views, frames, size, samples, tracks too small: {lowest}")
    folder = Path(folder)
    _refuse_existing(folder, force)
    ensure_folder(folder.parent)
    clean_stale(folder.parent)
    temp = ensure_folder(temporary(folder.parent))
    try:
        _fill(temp, clip, split, views, frames, size, samples, track_count)
        _exchange(temp, folder)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def read_bundle(folder: str | os.PathLike) -> Bundle:
    """Read a bundle and check all of it: sizes, checksums, shapes, finite values.

    Raises:
        UserError: no bundle there, another format version, or a file that is missing, cut short,
            damaged, not finite, or at odds with bundle.json.
    """
    folder = Path(folder)
    record = _read_record(folder)
    for name in (*(f"{kind}.safetensors" for kind in _TENSORS), *_OTHERS):
        _check_file(folder, name, record)
    tensors: dict[str, Tensor] = {}
    for kind in _TENSORS:
        path = folder / f"{kind}.safetensors"
        loaded, _ = load_tensors(path, f"truth-{kind}", VERSION, finite=True)
        tensors.update(loaded)
    _check_shapes(folder, record, tensors)
    c2w = torch.tensor([camera.c2w for camera in record.cameras], dtype=torch.float32)
    tensors["track_visible"] = tensors["track_visible"].bool()
    return Bundle(
        folder=folder,
        record=record,
        cameras=Cameras(c2w, record.fov_y, record.height, record.width),
        times=torch.tensor([frame.time for frame in record.frames], dtype=torch.float64),
        fit_views=_indices(record.cameras, "fit"),
        held_out_views=_indices(record.cameras, "held_out"),
        fit_frames=_indices(record.frames, "fit"),
        held_out_frames=_indices(record.frames, "held_out"),
        **tensors,
    )


def _fill(
    folder: Path,
    clip: Clip,
    split: str,
    views: int,
    frames: int,
    size: int,
    samples: int,
    track_count: int,
) -> None:
    """Write all files of a bundle into an empty folder, bundle.json last."""
    angles = np.concatenate([fit_angles(views), held_out_angles(views)])
    cameras = cameras_at(angles, size)
    times, held_out, follow = frame_plan(clip, frames)
    tensors = _images(clip, times, cameras, samples, follow)
    spots = tracks(clip, times, cameras, track_count, np.random.default_rng(clip.seed))
    tensors["tracks"] = {
        "track_world": spots.world,
        "track_xy": spots.xy,
        "track_visible": spots.visible.astype(np.uint8),
    }
    for kind, arrays in tensors.items():
        save_tensors(
            folder / f"{kind}.safetensors",
            {name: torch.from_numpy(array) for name, array in arrays.items()},
            kind=f"truth-{kind}",
            version=VERSION,
            metadata={name: UNITS[name] for name in arrays if name in UNITS},
            finite=True,
        )
    rows, columns = range(min(4, len(angles))), range(0, len(times), max(len(times) // 8, 1))
    labels = [f"{angles[v, 0]:.0f}°, {angles[v, 1]:.0f}°" for v in rows]
    write_png(
        folder / "sheet.png",
        contact_sheet(
            [[tensors["rgba"]["rgba"][v, f] for f in columns] for v in rows],
            labels,
            [f"t = {times[f]:.2f}" for f in columns],
        ),
    )
    export_static_glb(clip, folder / "static.glb")
    export_animated_glb(clip, folder / "animated.glb")
    names = ("held_out" if out else "fit" for out in held_out)
    record = Record(
        format=FORMAT,
        version=VERSION,
        seed=clip.seed,
        split=split,
        species=clip.species,
        motion=clip.motion,
        caption=clip.caption,
        attributes=dict(clip.attributes),
        loop=clip.loop,
        height=size,
        width=size,
        fov_y=cameras.fov_y,
        samples=samples,
        tracks=track_count,
        frames=[
            FrameRecord(split=name, time=float(t), next_frame=int(n))
            for name, t, n in zip(names, times, follow, strict=True)
        ],
        cameras=[
            CameraRecord(
                split="fit" if v < views else "held_out",
                azimuth=float(angles[v, 0]),
                elevation=float(angles[v, 1]),
                c2w=cameras.c2w[v].tolist(),
            )
            for v in range(len(angles))
        ],
        units=UNITS,
        files={path.name: _file_record(path) for path in sorted(folder.iterdir())},
    )
    write_json(folder / RECORD, record.model_dump())


def _images(
    clip: Clip, times: np.ndarray, cameras: Cameras, samples: int, follow: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """The image tensors by file, as stored; view by view, since floats take four times as much."""
    shape = (len(cameras), len(times), cameras.height, cameras.width)
    rgba = np.empty((*shape, 4), np.uint8)
    depth = np.empty((*shape, 1), np.float32)
    normal, flow = np.empty((*shape, 3), np.float16), np.empty((*shape, 2), np.float16)
    visible = np.empty((*shape, 1), np.uint8)
    for v in range(len(cameras)):
        truth = render(clip, times, cameras[v], samples, (0.0, 0.0, 0.0), next_frame=follow)
        rgba[v] = _straight(truth.rgb[0], truth.alpha[0])
        depth[v], normal[v] = truth.depth[0], truth.normal[0]
        flow[v], visible[v] = truth.flow[0], truth.flow_visible[0]
    return {
        "rgba": {"rgba": rgba},
        "depth": {"depth": depth},
        "normal": {"normal": normal},
        "flow": {"flow": flow, "flow_visible": visible},
    }


def _straight(premultiplied: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 RGBA [..., 4] with straight alpha of colours over black [..., 3] and alpha [..., 1]."""
    colour = premultiplied / np.maximum(alpha, 1e-6)
    return np.rint(np.concatenate([colour.clip(0, 1), alpha], axis=-1) * 255).astype(np.uint8)


def _refuse_existing(folder: Path, force: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / RECORD).is_file():
        raise UserError(f"{folder} is there already and is no truth bundle: choose another folder.")
    if not force:
        raise UserError(
            f"The truth bundle {folder} is there already: choose another folder, or --force to "
            "replace it."
        )


def _exchange(temp: Path, folder: Path) -> None:
    """Move the finished bundle into place; an old one goes aside first and is then removed."""
    _flush(temp)
    aside = temp.with_name(temp.name + ".old")
    if folder.exists():
        os.replace(folder, aside)
    os.replace(temp, folder)
    _flush(folder.parent)
    if aside.exists():
        shutil.rmtree(aside)


def _flush(folder: Path) -> None:
    """Force a folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(bytes=path.stat().st_size, sha256=digest)


def _read_record(folder: Path) -> Record:
    path = folder / RECORD
    try:
        raw = json.loads(path.read_text("utf-8"))
    except PermissionError as error:
        raise UserError(f"{path} may not be read: change its permissions.") from error
    except OSError as error:
        raise UserError(
            f"There is no truth bundle at {folder} ({RECORD} is missing): check the path or write "
            "it with `animate124 toybox render`."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}): render the bundle again with --force."
        ) from error
    if isinstance(raw, dict) and raw.get("format") == FORMAT and raw.get("version") != VERSION:
        raise UserError(
            f"The truth bundle {folder} has format version {raw.get('version')}, this program "
            f"reads {VERSION}: render it again with --force."
        )
    try:
        return Record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path} is not a valid truth bundle record ({where}: {first['msg']}): render the "
            "bundle again with --force."
        ) from error


def _check_file(folder: Path, name: str, record: Record) -> None:
    path = folder / name
    again = "render the bundle again with --force."
    if name not in record.files or not path.is_file():
        raise UserError(f"The truth bundle {folder} lacks {name}: {again}")
    size = path.stat().st_size
    if size != record.files[name].bytes:
        raise UserError(
            f"{path} has {size} bytes where {RECORD} says {record.files[name].bytes}: {again}"
        )
    try:
        found = _file_record(path)
    except PermissionError as error:
        raise UserError(f"{path} may not be read: change its permissions.") from error
    if found != record.files[name]:
        raise UserError(f"{path} is damaged (its checksum differs from {RECORD}): {again}")


def _check_shapes(folder: Path, record: Record, tensors: dict[str, Tensor]) -> None:
    views, frames, points = len(record.cameras), len(record.frames), record.tracks
    image = (views, frames, record.height, record.width)
    expected = {
        "rgba": ((*image, 4), torch.uint8),
        "depth": ((*image, 1), torch.float32),
        "normal": ((*image, 3), torch.float16),
        "flow": ((*image, 2), torch.float16),
        "flow_visible": ((*image, 1), torch.uint8),
        "track_world": ((frames, points, 3), torch.float32),
        "track_xy": ((views, frames, points, 2), torch.float32),
        "track_visible": ((views, frames, points), torch.uint8),
    }
    again = "render the bundle again with --force."
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))
        raise UserError(f"The truth bundle {folder} lacks or has too many tensors {odd}: {again}")
    for name, (shape, dtype) in expected.items():
        found = tensors[name]
        if tuple(found.shape) != shape or found.dtype != dtype:
            raise UserError(
                f"The tensor {name} of {folder} is {found.dtype} {list(found.shape)} where "
                f"{RECORD} asks for {dtype} {list(shape)}: {again}"
            )
    if any(np.shape(camera.c2w) != (4, 4) for camera in record.cameras):
        raise UserError(f"{folder / RECORD} holds a camera matrix that is not 4 x 4: {again}")
    if any(frame.next_frame >= frames for frame in record.frames):
        raise UserError(f"{folder / RECORD} holds a next_frame beyond the last frame: {again}")


def _indices(entries: list[CameraRecord] | list[FrameRecord], split: str) -> Tensor:
    chosen = [i for i, entry in enumerate(entries) if entry.split == split]
    return torch.tensor(chosen, dtype=torch.int64)
