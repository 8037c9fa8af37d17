"""Assets of any format as parts at rest or as Gaussians, and what makes one unfit."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animate124.errors import UserError
from animate124.media.glb import MeshPart, posed_parts, read
from animate124.media.obj import read_obj
from animate124.media.ply import GaussianArrays, holds_gaussians, read_gaussians, read_mesh
from animate124.media.ply_elements import read_header
from animate124.settings.intake import IntakeSettings
from animate124.stages.export_mesh import vertex_normals

SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
_LARGEST_FILE = 2 << 30  # bytes


@dataclass(frozen=True, eq=False)
class Asset:
    """What a file holds: parts in its own world, or Gaussians. `up`: the axis that its format has
    upwards; `moving`: whether it brings a motion or a skeleton of its own, which is left out."""

    up: str
    parts: tuple[MeshPart, ...] = ()
    gaussians: GaussianArrays | None = None
    moving: bool = False

    @property
    def points(self) -> np.ndarray:
        """What is to be seen of it, [N, 3]: vertices that a face has, or Gaussians."""
        if self.gaussians is not None:
            return self.gaussians.positions
        used = [part.vertices[np.unique(part.faces)] for part in self.parts]
        return np.concatenate(used)


def read_asset(path: Path, settings: IntakeSettings) -> Asset:
    """Read an asset by its suffix; an animated one gives its rest pose.

    Raises:
        UserError: anything that is wrong with the file, in one sentence with its remedy.
    """
    if os.path.isdir(path):
        raise UserError(f"The asset {path} is a folder: give the file in it.")
    if not os.path.exists(path):
        raise UserError(f"The asset {path} does not exist: check the path.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"The asset {path} has the suffix {suffix or '(none)'}, which is not read: convert it "
            "to GLB (in Blender: Export, glTF 2.0), or give a .glb, .gltf, .obj or .ply file."
        )
    if path.stat().st_size > _LARGEST_FILE:
        raise UserError(
            f"The asset {path} is larger than 2 GiB: decimate it, and make its textures smaller."
        )
    if suffix == ".ply":
        return _read_ply(path, settings)
    if suffix == ".obj":
        asset = Asset("y", read_obj(path))
    else:
        model = read(path)
        asset = Asset("y", posed_parts(model), moving=bool(model.animations or model.skins))
    return _checked(path, asset, settings)


def _read_ply(path: Path, settings: IntakeSettings) -> Asset:
    """Gaussians where the file has their fields, else a mesh."""
    if path.stat().st_size == 0:
        raise UserError(f"The asset {path} is empty: give another file.")
    if not holds_gaussians(path):
        if "face" not in read_header(path):
            raise UserError(
                f"The asset {path} holds points without faces: give a mesh, or a 3D Gaussian "
                "Splatting PLY."
            )
        part = read_mesh(path)
        if part.normals is None:  # unlike the other formats, its faces are not flat by convention
            normals = vertex_normals(part.vertices, part.faces)
            part = replace(part, normals=normals.astype(np.float32))
        return _checked(path, Asset("y", (part,)), settings)
    gaussians = read_gaussians(path)
    count = len(gaussians.positions)
    if count > settings.max_gaussians:
        raise UserError(
            f"The asset {path} has {count:,} Gaussians, more than {settings.max_gaussians:,}: "
            "prune it, or allow more with --set max_gaussians=N."
        )
    # Clouds that were fitted to photographs keep the camera's axes: y downwards.
    return Asset("-y", gaussians=gaussians)


def _checked(path: Path, asset: Asset, settings: IntakeSettings) -> Asset:
    """The asset, if it is a mesh of a fit size that has an area."""
    count = sum(len(part.faces) for part in asset.parts)
    if count > settings.max_triangles:
        raise UserError(
            f"The asset {path} has {count:,} triangles, more than {settings.max_triangles:,}: "
            "decimate it (in Blender: the modifier Decimate; or `gltf-transform simplify`), or "
            "allow more with --set max_triangles=N."
        )
    for part in asset.parts:
        if not np.isfinite(part.vertices).all():
            raise UserError(
                f"The asset {path} has vertices that are not finite in {part.name!r}: export it "
                "again."
            )
    area = 0.0
    for part in asset.parts:
        a, b, c = (part.vertices[part.faces[:, k]].astype(float) for k in range(3))
        area += float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    extent = float(np.ptp(asset.points, axis=0).max())
    if not extent > 0.0 or not area > 1e-12 * extent**2:
        raise UserError(
            f"The asset {path} has no extent (all of its faces lie in a point or a line): export "
            "it again."
        )
    return asset
