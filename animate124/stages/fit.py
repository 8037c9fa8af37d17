"""Stage `fit`: a truth bundle in, a fitted 4D field with videos, sheet and scores out."""

import hashlib
import json
import time
from pathlib import Path

import torch
from torch import Tensor

import animate124
from animate124 import checkpoints, runtime, training
from animate124.fields.flow import FlowOccupancy, estimate_flow
from animate124.fields.store import save_field
from animate124.geometry.cameras import Cameras
from animate124.geometry.trajectories import orbit_views
from animate124.kernels import warm
from animate124.media.files import write_json
from animate124.media.images import contact_sheet, write_png
from animate124.media.video import write_video
from animate124.metrics import baselines
from animate124.metrics.baselines import Split, Views
from animate124.render.volume import Field, Occupancy, render_images
from animate124.settings.base import digest
from animate124.settings.fit import FitSettings
from animate124.stages.fit_task import FitTask, truth_image
from animate124.stages.outputs import check_target, staged, work_folder
from animate124.toybox.bundle import Bundle, read_bundle

OUTPUTS = ("field.safetensors", "video.mp4", "turntable.mp4", "sheet.png", "settings.json")
SCORES = "metrics.json"
SUPERSAMPLE = 2  # rays per pixel edge of scored images; the truth is box-filtered
SHEET_COLUMNS = 8


def fit(bundle_folder: Path, out: Path, settings: FitSettings, device: str = "cpu") -> dict:
    """Fit a field to the bundle's fit views and times; score it on the held-out ones.

    Writes the files named in OUTPUTS and, last, metrics.json into `out`; what an earlier run left
    there stays until all of them are written. Killed at any moment and run again, it goes on from
    its last checkpoint and ends with the same files. Returns the metrics.

    Raises:
        UserError: a bundle that is missing or damaged, settings that do not fit it, an output
            folder that cannot be written, or training that diverged.
    """
    began = time.perf_counter()
    bundle = read_bundle(bundle_folder)
    warm.ensure_compiled()
    task = FitTask(bundle, settings, device)
    check_target(out, (*OUTPUTS, SCORES))
    work = work_folder(out)
    record = (bundle.folder / "bundle.json").read_bytes()
    report = training.run(task, settings.train, work, _fingerprint(record, settings, device))
    field, occupancy = task.trained()
    displacement = None
    moving = field, occupancy
    if settings.interpolation == "flow" and len(field.grid.slices) > 1:
        flow = estimate_flow(field, occupancy)
        displacement = flow.displacement
        moving = flow, FlowOccupancy(flow, occupancy)
    result = _held_out(*moving, bundle, task, settings)
    scores = _scores(result, bundle, task)
    with checkpoints.locked(work), staged(out, (*OUTPUTS, SCORES)) as folder:
        save_field(folder / "field.safetensors", field, settings.field, displacement)
        _sheet(folder / "sheet.png", result, bundle, task)
        _videos(folder, *moving, settings, task)
        write_json(folder / "settings.json", settings.model_dump(mode="json"))
        metrics = {
            **scores.pop("result"),
            "baselines": scores,
            "caption": bundle.record.caption,
            "bundle": bundle.folder.name,
            "steps": report.steps,
            "loss": sum(report.losses.values()),
            "settings_digest": digest(settings),
            "version": animate124.__version__,
            "seconds": round(report.seconds, 3),
            "seconds_outputs": round(time.perf_counter() - began - report.seconds, 3),
            "peak_memory_mib": round(runtime.peak_memory_mib(), 1),
        }
        write_json(folder / SCORES, metrics)
    training.finish(work)
    return metrics


def _fingerprint(record: bytes, settings: FitSettings, device: str) -> str:
    text = json.dumps([digest(settings), device, animate124.__version__])
    return hashlib.sha256(record + text.encode()).hexdigest()[:16]


def _held_out(
    field: Field,
    occupancy: Occupancy,
    bundle: Bundle,
    task: FitTask,
    settings: FitSettings,
) -> Views:
    """What the field shows of the held-out views at all frames (at its own, when static)."""
    cameras = bundle.cameras[bundle.held_out_views].to(task.device)
    times = task.times if settings.frame is not None else bundle.times.float()
    planes: dict[str, list[Tensor]] = {}
    for t in times:
        images = render_images(
            field,
            occupancy,
            t.expand(len(cameras)),
            cameras,
            settings.field.step,
            supersample=SUPERSAMPLE,
        )
        for name, value in images.items():
            planes.setdefault(name, []).append(value.cpu())
    stacked = {name: torch.stack(value, 1) for name, value in planes.items()}
    return Views(stacked["rgb"].clamp(0, 1), stacked["alpha"].clamp(0, 1), stacked["depth"])


def _scores(result: Views, bundle: Bundle, task: FitTask) -> dict[str, dict]:
    """`baselines.table`, with the score at the fitted times of the held-out views beside it."""
    alpha = bundle.rgba[..., 3].float() / 255
    truth = Views(bundle.rgb(), alpha, bundle.depth[..., 0])
    views = tuple(bundle.fit_views.tolist()), tuple(bundle.held_out_views.tolist())
    every = range(len(alpha))
    if len(task.frames) == 1:
        # One moment: it stands for both the fitted and the held-out frame.
        truth = truth.select(every, task.frames.tolist() * 2)
        result = result.select(range(len(views[1])), (0, 0))
        split = Split(*views, (0,), (1,))
    else:
        split = Split(*views, tuple(task.frames.tolist()), tuple(bundle.held_out_frames.tolist()))
    table = baselines.table(result, truth, split, bundle.cameras.c2w)
    seen = baselines.score(result, truth.select(views[1]), split.fit_frames)
    table["result"]["psnr_fg_fit_times"] = seen["psnr_fg"]
    return table


def _sheet(path: Path, result: Views, bundle: Bundle, task: FitTask) -> None:
    """Truth above result for each held-out view, over held-out times."""
    static = len(task.frames) == 1
    frames = task.frames if static else bundle.held_out_frames
    chosen = frames[torch.linspace(0, len(frames) - 1, min(SHEET_COLUMNS, len(frames))).long()]
    grid, labels = [], []
    for row, view in enumerate(bundle.held_out_views.tolist()):
        grid.append([truth_image(bundle, view, int(f)) for f in chosen])
        grid.append([result.rgb[row, 0 if static else int(f)].numpy() for f in chosen])
        labels += [f"truth {row + 1}", f"field {row + 1}"]
    columns = [f"t = {float(bundle.times[f]):.2f}" for f in chosen]
    write_png(path, contact_sheet(grid, labels, columns))


def _videos(
    out: Path,
    field: Field,
    occupancy: Occupancy,
    settings: FitSettings,
    task: FitTask,
) -> None:
    """video.mp4 orbits once while time runs once; turntable.mp4 orbits at t = 0."""
    count, size = settings.video_frames, settings.video_size
    cameras = Cameras(orbit_views(count, elevation=10.0), 40.0, size, size).to(task.device)
    running = torch.arange(count) / (count if task.field.grid.loop else count - 1)
    if settings.frame is not None:
        running = torch.zeros(count)
    for name, times in (("video", running), ("turntable", torch.zeros(count))):
        frames = (
            render_images(field, occupancy, times[k : k + 1], cameras[k], settings.field.step)[
                "rgb"
            ][0]
            .clamp(0, 1)
            .cpu()
            .numpy()
            for k in range(count)
        )
        write_video(out / f"{name}.mp4", frames, settings.fps)
