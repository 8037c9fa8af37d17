"""A fitted field as one safetensors file.

Tensors: `base` [rows, F] (when the field has one), `slices` [n, rows, F] with `slice_index` [n]
(slices that are zero throughout are left out), `w1`, `b1`, `w2`, `b2`. Metadata: the field's
settings as JSON, the number of slices, and whether time loops. Space is the cube [−bound, bound]³
in world units, time is [0, 1], density is in 1/world unit.
"""

import json
import os

import torch

from animate124 import runtime
from animate124.errors import UserError
from animate124.fields.build import build_field
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.media.tensors import load_tensors, save_tensors
from animate124.settings import FieldSettings, parse

KIND, VERSION = "radiance-field", 1
_WEIGHTS = ("w1", "b1", "w2", "b2")


def save_field(path: str | os.PathLike, field: RadianceField, settings: FieldSettings) -> None:
    """Write the field atomically; the same field gives the same bytes."""
    grid = field.grid
    kept = [k for k, table in enumerate(grid.slices) if bool(table.any())]
    tensors = {name: getattr(field, name).detach() for name in _WEIGHTS}
    tensors["slice_index"] = torch.tensor(kept, dtype=torch.int64)
    empty = torch.zeros(0, grid.levels.rows, grid.levels.features)
    tensors["slices"] = torch.stack([grid.slices[k].detach() for k in kept]) if kept else empty
    if grid.base is not None:
        tensors["base"] = grid.base.detach()
    metadata = {
        "settings": settings.model_dump_json(),
        "slices": str(len(grid.slices)),
        "loop": json.dumps(grid.loop),
        "units": "world units; density 1/world unit; time in [0, 1]",
    }
    save_tensors(path, tensors, kind=KIND, version=VERSION, metadata=metadata, finite=True)


def load_field(
    path: str | os.PathLike, device: torch.device | str = "cpu"
) -> tuple[RadianceField, OccupancyGrid]:
    """Read a field; its occupancy grid is rebuilt by asking the field.

    Raises UserError for a file that is missing, damaged, of another kind or version, or whose
    tensors do not fit its own settings.
    """
    tensors, metadata = load_tensors(path, KIND, VERSION, finite=True)
    settings = parse(FieldSettings, json.loads(metadata["settings"]))
    field, occupancy = build_field(settings, int(metadata["slices"]), json.loads(metadata["loop"]))
    targets = {name: getattr(field, name) for name in _WEIGHTS}
    if field.grid.base is not None:
        targets["base"] = field.grid.base
    index = tensors.get("slice_index", torch.zeros(0)).tolist()
    with torch.no_grad():
        for name, target in targets.items():
            if name not in tensors or tensors[name].shape != target.shape:
                raise UserError(f"The field {path} lacks a fitting '{name}': fit the scene again.")
            target.copy_(tensors[name])
        if len(index) != len(tensors["slices"]) or any(k >= len(field.grid.slices) for k in index):
            raise UserError(f"The field {path} has slices out of order: fit the scene again.")
        for k, table in zip(index, tensors["slices"], strict=True):
            field.grid.slices[k].copy_(table)
    field.to(device)
    occupancy.to(device).rebuild(field, runtime.generator(0, "occupancy", device=device))
    return field, occupancy
