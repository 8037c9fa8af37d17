"""What multi-view video datasets are made from: clips of the toybox, and animated GLB files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.geometry.cameras import Cameras
from animate124.media.glb import MeshPart, Model, posed_parts, read
from animate124.render.mesh import prepare, render_mesh
from animate124.settings.mvvideo import MvVideoSettings
from animate124.toybox import characters
from animate124.toybox.render import render
from animate124.toybox.splits import seeds
from animate124.zoo.mvvideo import Rendered

_CLOSED = 0.01  # of the radius: a loop's last pose is as near as this to its first
_STILL = 1e-4  # of the radius: an asset that moves less does not move
_LIGHT = "studio"


@dataclass(frozen=True)
class Toybox:
    """The clip of a seed; never one of another split than the seed's own."""

    seed: int

    @property
    def name(self) -> str:
        """Its folder."""
        return f"toybox_{self.seed}"

    def key(self) -> str:
        """The seed says all."""
        return f"toybox/{self.seed}"

    def render(self, cameras: Cameras, settings: MvVideoSettings) -> Rendered:
        """The whole clip, drawn by the toybox's own renderer, which needs no scaling."""
        clip = characters.sample_clip(self.seed)
        truth = render(
            clip,
            clip.times(settings.frames),
            cameras,
            settings.supersample,
            background=(0.0, 0.0, 0.0),
            channels=("rgb", "alpha"),
        )
        rgb = truth.rgb / np.maximum(truth.alpha, 1e-6)
        frames = np.concatenate([rgb, truth.alpha], axis=-1).clip(0.0, 1.0)
        return Rendered(frames.astype(np.float32), clip.caption, clip.loop)


@dataclass(frozen=True)
class Glb:
    """One animation of a file: `index`; `captions` by clip name or file name without ending."""

    path: Path
    index: int = 0
    captions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', self.path.stem)}_{self.index:02d}"

    def key(self) -> str:
        """The file's contents, the animation and the sentence."""
        with self.path.open("rb") as file:
            contents = hashlib.file_digest(file, "sha256").hexdigest()
        return json.dumps([contents, self.index, self._given()])

    def render(self, cameras: Cameras, settings: MvVideoSettings) -> Rendered:
        """The first `frames / fps` seconds, or the whole of a shorter animation, evenly spaced."""
        model = read(self.path)
        if self.index >= len(model.animations):
            raise UserError(f"The asset {self.path} has no animation {self.index}: leave it out.")
        animation = model.animations[self.index]
        seconds = min(animation.duration, settings.frames / settings.fps)
        ends = [_vertices(posed_parts(model, t, self.index)) for t in (0.0, seconds)]
        closed = seconds == animation.duration and _apart(*ends) <= _CLOSED * _extent(ends[0])
        count = settings.frames if closed else settings.frames - 1
        times = seconds * np.arange(settings.frames) / count
        return Rendered(
            _pictures(self.path, model, self.index, times, cameras, settings),
            self._given() or _words(f"{self.path.stem} {animation.name}"),
            bool(closed),
        )

    def _given(self) -> str | None:
        return self.captions.get(self.name) or self.captions.get(self.path.stem)


def toybox_sources(split: str, count: int) -> list[Toybox]:
    """The first `count` characters of a split."""
    return [Toybox(seed) for seed in seeds(split, count)]


def glb_sources(folder: Path, captions: Path | None = None) -> list[Glb]:
    """Every animation of every .glb below a folder, by path.

    captions: JSON object, clip name (`fox_00`) or file name without ending to sentence. Raises
    UserError: no such folder, no files, two of one name, or a damaged file of captions.
    """
    paths = sorted(folder.rglob("*.glb")) if folder.is_dir() else []
    if not paths:
        raise UserError(f"There are no .glb files below {folder}: give a folder that has some.")
    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UserError(f"Two files below {folder} are called {twice[0]}.glb: rename one.")
    told = _read_captions(captions) if captions is not None else {}
    found = []
    for path in paths:
        try:
            count = max(len(read(path).animations), 1)  # a still file is refused when it is built
        except UserError:
            count = 1  # and so is a damaged one
        found += [Glb(path, index, told) for index in range(count)]
    return found


def _read_captions(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ValueError("not an object of sentences")
    except (OSError, ValueError) as error:
        raise UserError(
            f"The captions {path} cannot be read ({error}): give a JSON object of name to sentence."
        ) from None
    return found


def _pictures(
    path: Path,
    model: Model,
    index: int,
    times: np.ndarray,
    cameras: Cameras,
    settings: MvVideoSettings,
) -> np.ndarray:
    """Frames [V, F, H, W, 4] of an animation, the whole of it in one sphere about the origin."""
    moments = [posed_parts(model, float(t), index) for t in times]
    shapes = np.stack([_vertices(parts) for parts in moments])
    low, high = shapes.min(axis=(0, 1)), shapes.max(axis=(0, 1))
    shapes = shapes - (low + high) / 2
    reach = float(np.linalg.norm(shapes, axis=-1).max())
    if not reach > 0.0 or np.ptp(shapes, axis=0).max() <= _STILL * reach:
        raise UserError(f"The asset {path} does not move in animation {index}: leave it out.")
    shapes = shapes * (settings.radius / reach)
    normals = [_normals(parts) for parts in moments]
    scene = prepare(moments[0])
    views = []
    for k, shape in enumerate(shapes):
        turned = None if normals[k] is None else normals[k][None]
        views.append(render_mesh(scene, cameras, settings.supersample, _LIGHT, shape[None], turned))
    return np.stack(views, axis=1)


def _vertices(parts: tuple[MeshPart, ...]) -> np.ndarray:
    return np.concatenate([part.vertices for part in parts]).astype(np.float64)


def _normals(parts: tuple[MeshPart, ...]) -> np.ndarray | None:
    """All normals [V, 3]; None where no part has any."""
    if all(part.normals is None for part in parts):
        return None
    return np.concatenate(
        [np.zeros_like(p.vertices) if p.normals is None else p.normals for p in parts]
    )


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).max())


def _extent(points: np.ndarray) -> float:
    return float(np.linalg.norm(points - (points.min(0) + points.max(0)) / 2, axis=-1).max())


def _words(name: str) -> str:
    """A file's and an animation's name as words, for want of a sentence."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[^A-Za-z]+", " ", parts).lower().split())
