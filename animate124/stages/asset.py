"""The asset that `intake` left, as the later stages take it up, and pictures of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from animate124.gaussians.cloud import Cloud, from_gaussians
from animate124.geometry.cameras import Cameras
from animate124.media.glb import MeshPart, posed_parts, read
from animate124.media.ply import read_gaussians
from animate124.render.mesh import prepare, render_mesh
from animate124.render.splat import render_images
from animate124.stages.outputs import need_file, read_record

MESH, GAUSSIANS = "asset.glb", "gaussians.ply"


@dataclass(frozen=True, eq=False)
class Prepared:
    """An asset in our world: parts, or a cloud; `path` is its file."""

    path: Path
    parts: tuple[MeshPart, ...] = ()
    cloud: Cloud | None = None


def open_asset(folder: Path) -> Prepared:
    """The asset in a folder that `animate124 intake` wrote.

    Raises UserError: no finished results there, or a damaged file.
    """
    read_record(folder)
    path = folder / GAUSSIANS
    if path.is_file():
        return open_file(path)
    return open_file(need_file(folder / MESH, "give the folder of `animate124 intake`"))


def open_file(path: Path) -> Prepared:
    """The asset in a file of that stage. Raises UserError for a damaged one."""
    if path.suffix == ".ply":
        return Prepared(path, cloud=from_gaussians(read_gaussians(path)))
    return Prepared(path, posed_parts(read(path)))


def pictures(asset: Prepared, cameras: Cameras, samples: int, light: str) -> np.ndarray:
    """Straight-alpha sRGB images [N, H, W, 4] in [0, 1] of an asset.

    samples: subsamples per pixel edge; light: see `render.mesh.render_mesh`.
    """
    if asset.cloud is None:
        return render_mesh(prepare(asset.parts), cameras, samples, light)
    seen = render_images(asset.cloud, None, torch.zeros(len(cameras)), cameras, 0.0, samples)
    rgb, alpha = seen["rgb"].numpy(), seen["alpha"].numpy()[..., None].clip(0, 1)
    return np.concatenate([(rgb / np.maximum(alpha, 1e-6)).clip(0, 1), alpha], -1)
