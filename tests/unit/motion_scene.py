"""A small moving scene in the folders that intake, views and generate would leave."""

import json

import numpy as np
import torch

from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS, Cameras, orbit
from animate124.media.files import write_json
from animate124.media.images import write_png
from animate124.stages.multiview import frame_name, view_name
from animate124.toybox.export import export_static_glb
from animate124.toybox.render import render

AZIMUTH, ELEVATION = (0.0, 90.0, 180.0, 270.0), 15.0


def cameras(size, azimuth=AZIMUTH):
    return Cameras(orbit(torch.tensor(azimuth), ELEVATION), DEFAULT_FOV_Y, size, size)


def truth(clip, frames, size, azimuth=AZIMUTH, samples=2):
    """Premultiplied RGBA [V, F, 4, S, S] of a clip, on black."""
    found = render(
        clip, clip.times(frames), cameras(size, azimuth), samples, (0.0, 0.0, 0.0), ("rgb", "alpha")
    )
    planes = np.concatenate([found.rgb, found.alpha], -1)
    return torch.from_numpy(planes).permute(0, 1, 4, 2, 3).contiguous()


def write_scene(folder, clip, frames=4, size=32, larger=2):
    """Writes folder/intake, views (`larger` times the size) and generate."""
    (folder / "intake").mkdir(parents=True)
    export_static_glb(clip, folder / "intake" / "asset.glb")
    _record(folder / "intake", "intake")
    for v, image in enumerate(truth(clip, frames, larger * size)[:, 0]):
        write_png(folder / "views" / view_name(v), _straight(image))
    facts = {
        "azimuth": list(AZIMUTH), "elevation": [ELEVATION] * 4, "radius": DEFAULT_RADIUS,
        "fov_y": DEFAULT_FOV_Y, "size": larger * size, "background": 0.5,
    }  # fmt: skip
    write_json(folder / "views" / "cameras.json", facts)
    _record(folder / "views", "views")
    for v, one in enumerate(truth(clip, frames, size)):
        for k, image in enumerate(one):
            write_png(folder / "generate" / frame_name(v, k), _straight(image))
    _record(folder / "generate", "generate", views=4, frames=frames, loop=clip.loop, fps=8)
    return folder


def _straight(image):
    rgba = image.permute(1, 2, 0).numpy()
    return np.concatenate([rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-6), rgba[..., 3:]], -1)


def _record(folder, stage, **more):
    (folder / "stage.json").write_text(json.dumps({"stage": stage, **more}))
