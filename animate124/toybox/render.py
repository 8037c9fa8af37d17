"""Truth images of a clip: colour, coverage, depth, normals and optical flow from any camera."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from animate124.geometry.cameras import Cameras
from animate124.kernels.raster import rasterize
from animate124.toybox.clip import Clip
from animate124.toybox.flow import optical_flow
from animate124.toybox.meshes import Mesh, clip_mesh, tolerance_for
from animate124.toybox.paint import paint_fragments, paint_table
from animate124.toybox.posing import Posed, camera_matrices, pose_mesh
from animate124.toybox.shade import Pixels, resolve

CHANNELS = ("rgb", "alpha", "depth", "normal", "flow")

# Subsamples rasterised at once: few enough to stay in the cache between the three passes.
_BATCH = 1 << 18


@dataclass(frozen=True, eq=False)
class Truth:
    """What V cameras see of a clip at F times; channels that were not asked for are None.

    `times` [F]; `next_frame` [F] int32, the frame each flow points to (−1 for none). Float32 images
    [V, F, H, W, ·]: `rgb` 3, sRGB over the background; `alpha` 1, share of the pixel covered;
    `depth` 1, planar, world units, 0 where alpha is 0; `normal` 3, world space, unit, 0 where alpha
    is 0; `flow` 2, pixels (x right, y down) from this frame to the next, 0 where alpha is 0;
    `flow_visible` 1, 1 where the flow's end is inside the image and not hidden, else 0.
    """

    times: np.ndarray
    next_frame: np.ndarray
    rgb: np.ndarray | None = None
    alpha: np.ndarray | None = None
    depth: np.ndarray | None = None
    normal: np.ndarray | None = None
    flow: np.ndarray | None = None
    flow_visible: np.ndarray | None = None


def render(
    clip: Clip,
    times: np.ndarray,
    cameras: Cameras,
    samples: int = 1,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    channels: Sequence[str] = CHANNELS,
    next_frame: np.ndarray | None = None,
) -> Truth:
    """Render `clip` at `times` [F] in [0, 1] from V cameras; the same input gives the same bytes.

    Args:
        samples: subsamples per pixel side (samples² per pixel, box filter); see `shade.resolve` for
            what depth and normal mean in a partly covered pixel.
        background: sRGB colour behind the character.
        channels: any of CHANNELS; "flow" also fills `flow_visible`.
        next_frame: [F] index of the frame each flow points to, −1 for none. By default the next in
            the list; the last one points to the first if the clip loops, else nowhere.

    Raises:
        ValueError: unknown channel, no times, a time outside [0, 1], or samples < 1.
    """
    times = np.asarray(times, float)
    unknown = sorted(set(channels) - set(CHANNELS))
    if unknown:
        raise ValueError(f"unknown channels {unknown}; known are {CHANNELS}")
    if times.ndim != 1 or len(times) == 0 or times.min() < 0.0 or times.max() > 1.0:
        raise ValueError(f"times must be a list of numbers in [0, 1], got {times}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    follow = default_next(len(times), clip.loop) if next_frame is None else np.asarray(next_frame)

    mesh = clip_mesh(clip, tolerance_for(cameras.height * samples))
    posed = pose_mesh(clip, mesh, times)
    views = camera_matrices(cameras, posed.matrices)
    pixels = _images(clip, mesh, posed, views, cameras, samples, background)
    shape = (len(cameras), len(times), cameras.height, cameras.width)
    images: dict[str, np.ndarray] = {
        name: getattr(pixels, name).reshape(*shape, -1) for name in channels if name != "flow"
    }
    if "flow" in channels:
        images["flow"], images["flow_visible"] = optical_flow(
            mesh,
            posed,
            views,
            cameras.fov_y,
            pixels.face.reshape(shape),
            pixels.bary.reshape(*shape, 2),
            pixels.depth.reshape(shape),
            follow,
        )
    return Truth(times=times, next_frame=follow.astype(np.int32), **images)


def default_next(frames: int, loop: bool) -> np.ndarray:
    """Index [frames] of each frame's successor: the next one; the last has the first or −1."""
    follow = np.arange(1, frames + 1, dtype=np.int32)
    follow[-1] = 0 if loop else -1
    return follow


def _images(
    clip: Clip,
    mesh: Mesh,
    posed: Posed,
    views: np.ndarray,
    cameras: Cameras,
    samples: int,
    background: tuple[float, float, float],
) -> Pixels:
    """All V·F images, view-major, a batch at a time."""
    frames = views.shape[1]
    count = len(views) * frames
    height, width = cameras.height * samples, cameras.width * samples
    table = paint_table(clip.rig, mesh.local, mesh.part)
    turns = posed.normal_matrices()
    flat = views.reshape(count, *views.shape[2:])
    pixels = Pixels.empty(count, cameras.height, cameras.width)
    # An even number of images keeps two cores equally busy.
    batch = max(_BATCH // (height * width) // 2 * 2, 2)
    for start in range(0, count, batch):
        frame = np.arange(start, min(start + batch, count)) % frames
        source = posed.source[frame]
        fragments = rasterize(
            posed.vertices,
            mesh.faces,
            mesh.joint,
            flat[start : start + batch],
            source,
            cameras.fov_y,
            height,
            width,
        )
        albedo = paint_fragments(
            table, mesh.faces, mesh.face_part, mesh.local, fragments.face, fragments.bary
        )
        resolve(
            fragments,
            albedo,
            mesh.faces,
            mesh.joint,
            posed.normals,
            source,
            turns[frame],
            samples,
            background,
            pixels,
            start,
        )
    return pixels
