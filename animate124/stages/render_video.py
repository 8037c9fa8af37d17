"""Stage `render`: a finished scene in; videos, a contact sheet and a poster out.

Colours are what the scene says, clipped to [0, 1] and nothing else: sRGB stays as it is, and no
picture is stretched to its own minimum and maximum (the published code does so per view, spec
§7.1, and its views then differ in colour).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate124.geometry.cameras import orbit
from animate124.geometry.trajectories import POLE_LIMIT
from animate124.kernels import warm
from animate124.media.images import contact_sheet, to_uint8, write_png
from animate124.media.video import write_video
from animate124.progress import Display
from animate124.settings.render import RenderSettings
from animate124.stages.finished import Finished, alone, open_scene
from animate124.stages.outputs import (
    RECORD,
    Stopwatch,
    check_target,
    staged,
    work_folder,
    write_record,
)

CLIPS = {"front": 0.0, "side": 90.0, "back": 180.0}  # azimuths of the fixed views
OTHER_SIDE = 270.0  # seen on the sheet alone
OUTPUTS = (
    "video.mp4",
    "turntable.mp4",
    *(f"{name}.mp4" for name in CLIPS),
    "sheet.png",
    "poster.png",
    RECORD,
)


def render(
    folder: Path,
    out: Path,
    settings: RenderSettings,
    device: str = "cpu",
    work: Path | None = None,
) -> dict:
    """Render the scene in `folder` into the files named in OUTPUTS; returns the record.

    video.mp4 shows the reference view for `hold` passes through the motion, then goes around once
    in `orbit` passes; it closes without a jump if the motion does. turntable.mp4 goes around at
    t = 0. front, side and back.mp4 show one pass from a fixed view each. The same scene gives the
    same bytes.

    Raises:
        UserError: no finished scene in `folder`, or an output folder that cannot be written.
    """
    watch = Stopwatch()
    check_target(out, OUTPUTS)
    warm.ensure_compiled()
    scene = open_scene(folder, device)
    with alone(work or work_folder(out)), Display("render", _count(settings), unit="frame") as bar:
        studio = _Studio(scene, settings, watch, bar)
        with staged(out, OUTPUTS) as place:
            studio.write_all(place)
            spent = watch.parts["render"] / studio.done
            record = write_record(
                place,
                "render",
                settings,
                watch,
                device,
                inputs={"scene": scene.path},
                frames=studio.done,
                milliseconds_per_frame=round(1000 * spent, 2),
                elevation=scene.elevation,
                loop=scene.loop,
            )
    return record


def _count(settings: RenderSettings) -> int:
    """Pictures that are rendered."""
    clips = len(CLIPS) * settings.frames
    video = settings.orbit * settings.frames
    return clips + video + settings.turntable_frames + settings.sheet_columns + 1


def passes(times: Tensor, first: int, count: int, loop: bool) -> Tensor:
    """`count` passes through `times` [F], the first of them number `first`: [count · F].

    A motion that does not loop is shown forwards and backwards in turn: it never jumps in between.
    """
    turns = [times if loop or k % 2 == 0 else times.flip(0) for k in range(first, first + count)]
    return torch.cat(turns) if turns else times[:0]


def orbit_path(count: int, elevation: float, rise: float) -> Tensor:
    """Poses [count, 4, 4] once around, starting and ending slowly at azimuth 0.

    The azimuth is 360°·(s − sin(2πs)/2π) at share s = k/count of the way, so a camera that stood
    still sets out without a jerk; the elevation is `rise` degrees more at the back.
    """
    share = torch.arange(count, dtype=torch.float64) / count
    azimuth = 360.0 * (share - torch.sin(2 * torch.pi * share) / (2 * torch.pi))
    lift = rise * (1 - torch.cos(torch.deg2rad(azimuth))) / 2
    return orbit(azimuth, (elevation + lift).clamp(-POLE_LIMIT, POLE_LIMIT))


class _Studio:
    """One scene, rendered view by view while a bar counts."""

    def __init__(
        self, scene: Finished, settings: RenderSettings, watch: Stopwatch, bar: Display
    ) -> None:
        self.scene, self.settings, self.watch, self.bar = scene, settings, watch, bar
        self.times = scene.times(settings.frames)
        self.done = 0

    def write_all(self, place: Path) -> None:
        s = self.settings
        views = {name: list(self._still(azimuth, self.times)) for name, azimuth in CLIPS.items()}
        for name, frames in views.items():
            self._video(place / f"{name}.mp4", frames)
        self._video(place / "video.mp4", self._tour(views["front"]))
        circle = orbit(torch.arange(s.turntable_frames) * (360.0 / s.turntable_frames), self._level)
        frozen = torch.zeros(s.turntable_frames)
        self._video(place / "turntable.mp4", self._shoot(circle, frozen))
        chosen = torch.linspace(0, s.frames - 1, s.sheet_columns).round().long()
        if self.scene.loop:  # else the last column would nearly be the first
            chosen = torch.arange(s.sheet_columns) * s.frames // s.sheet_columns
        rows = [[frames[k] for k in chosen] for frames in views.values()]
        rows.append(list(self._still(OTHER_SIDE, self.times[chosen])))
        labels = [f"{azimuth:.0f}°" for azimuth in (*CLIPS.values(), OTHER_SIDE)]
        columns = [f"t = {t:.2f}" for t in self.times[chosen].tolist()]
        write_png(place / "sheet.png", contact_sheet(rows, labels, columns))
        start = orbit(0.0, self._level)[None]
        poster = next(self._shoot(start, torch.zeros(1), max(s.supersample, 2)))
        write_png(place / "poster.png", poster)

    def _tour(self, front: list[np.ndarray]) -> Iterator[np.ndarray]:
        """The frames of video.mp4; those of the reference view are in `front`."""
        s, loop = self.settings, self.scene.loop
        order = passes(torch.arange(s.frames), 0, s.hold, loop)
        yield from (front[k] for k in order)
        times = passes(self.times, s.hold, s.orbit, loop)
        yield from self._shoot(orbit_path(len(times), self._level, s.rise), times)

    def _still(self, azimuth: float, times: Tensor) -> Iterator[np.ndarray]:
        """Frames from one place."""
        return self._shoot(orbit(azimuth, self._level).expand(len(times), 4, 4), times)

    def _shoot(
        self, poses: Tensor, times: Tensor, supersample: int | None = None
    ) -> Iterator[np.ndarray]:
        """Frames uint8 [S, S, 3]: pose k at times[k]."""
        s = self.settings
        for k in range(len(times)):
            with self.watch.part("render"):
                found = self.scene.images(
                    poses[k : k + 1],
                    times[k : k + 1],
                    s.size,
                    supersample or s.supersample,
                    s.background,
                )
            self.done += 1
            self.bar.update(self.done)
            yield to_uint8(found["rgb"][0].numpy())

    def _video(self, path: Path, frames: list[np.ndarray] | Iterator[np.ndarray]) -> None:
        write_video(path, frames, self.settings.fps)

    @property
    def _level(self) -> float:
        return self.scene.elevation
