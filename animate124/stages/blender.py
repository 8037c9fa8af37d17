"""A separately installed Blender, asked to convert files; nothing here needs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from animate124.errors import UserError

_SECONDS = 600
_SCRIPT = """
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath={source})
bpy.ops.export_scene.fbx(
    filepath={target}, path_mode="COPY", embed_textures=True, bake_anim=True, add_leaf_bones=False
)
"""


def need() -> str:
    """The path of Blender's program. Raises UserError where there is none."""
    found = shutil.which("blender")
    if found is None:
        raise UserError(
            "FBX files are written by Blender, which is not on the PATH: install it, or leave out "
            "--set fbx=true (the GLB opens in Blender as it is)."
        )
    return found


def convert(source: Path, target: Path) -> None:
    """Convert a GLB into an FBX with its morph targets and textures.

    Raises UserError: there is no Blender, or it failed.
    """
    names = {"source": json.dumps(str(source)), "target": json.dumps(str(target))}
    command = [need(), "--background", "--factory-startup", "--python-exit-code", "1"]
    run = subprocess.run(
        [*command, "--python-expr", _SCRIPT.format(**names)],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    if run.returncode != 0 or not target.is_file():
        lines = (run.stderr or run.stdout).strip().splitlines() or ["no message"]
        raise UserError(f"Blender could not write {target.name} ({lines[-1]}): leave out fbx.")
