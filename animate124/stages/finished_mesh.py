"""A finished animated mesh: the file that the user gets, rendered as any viewer would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate124.geometry.cameras import Cameras
from animate124.media.glb import posed_parts, read
from animate124.media.glb.model import Model
from animate124.render.mesh import MeshScene, prepare, render_mesh
from animate124.stages.animate_mesh_check import stacked
from animate124.stages.finished import Finished
from animate124.stages.moving_mesh import in_our_world
from animate124.stages.outputs import RECORD, need_file, read_record

MESH = "animated.glb"
BOUND = 1.0  # half edge of the cube that a scene should stay in, world units
_ELEVATION, _LIGHT = 15.0, "studio"  # of the views, where there are none


@dataclass(frozen=True, eq=False, kw_only=True)
class FinishedMesh(Finished):
    """model: the file; scene: it at rest, ready to render; seconds: of one pass; light: of
    `render.mesh.render_mesh`."""

    model: Model
    scene: MeshScene
    seconds: float
    light: str

    def _render(
        self, cameras: Cameras, times: Tensor, supersample: int, background: float
    ) -> dict[str, Tensor]:
        moments, which = torch.unique(times, return_inverse=True)
        shapes, normals = self._shapes(moments)
        seen = torch.from_numpy(
            render_mesh(
                self.scene, cameras, supersample, self.light, shapes, normals, which.numpy()
            )
        )
        rgb, alpha = seen[..., :3], seen[..., 3]
        return {"rgb": rgb * alpha[..., None] + (1 - alpha[..., None]) * background, "alpha": alpha}

    def _shapes(self, moments: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Positions and normals [M, V, 3] of all vertices at moments [M] in [0, 1]."""
        posed = [posed_parts(self.model, float(t) * self.seconds) for t in moments]
        # A part without normals is shown with flat faces, and its normals are never asked for.
        normals = [
            np.concatenate([p.vertices if p.normals is None else p.normals for p in parts])
            for parts in posed
        ]
        return stacked(posed, "vertices"), np.stack(normals)

    def touching(self, times: Tensor) -> float:
        shapes, _ = self._shapes(times.unique())
        return float((np.abs(shapes) >= BOUND).any(-1).mean(-1).max())


def open_mesh(folder: Path, device: str = "cpu") -> FinishedMesh:
    """The animated mesh that the stage `mesh` left in `folder`.

    The views that lie beside it, in a scene's folder, say how it was lit and looked at.

    Raises:
        UserError: no finished results there, no mesh among them, or a damaged one.
    """
    record = read_record(folder)
    path = need_file(folder / MESH, "run `animate124 animate-mesh` into it first")
    model = in_our_world(read(path))
    frames, fps, loop = int(record["frames"]), float(record["fps"]), bool(record["loop"])
    elevation, light = _looked_at(folder.parent / "views")
    return FinishedMesh(
        path=path,
        model=model,
        scene=prepare(posed_parts(model)),
        seconds=(frames if loop else max(frames - 1, 1)) / fps,
        light=light,
        moments=frames if record["moves"] else 1,
        loop=loop,
        elevation=elevation,
        record=record,
        device=device,
    )


def _looked_at(views: Path) -> tuple[float, str]:
    """Elevation and light of the views in a folder, or the defaults."""
    if not (views / RECORD).is_file():
        return _ELEVATION, _LIGHT
    settings = json.loads((views / RECORD).read_text(encoding="utf-8")).get("settings", {})
    return float(settings.get("elevation", _ELEVATION)), str(settings.get("light", _LIGHT))
