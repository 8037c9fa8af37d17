"""A fitted field as one safetensors file.

Tensors: `base` [rows, F] (when the field has one); `slices` [n, rows, F] with `slice_index` [n]
(beside a base, slices that are zero throughout are left out); the weights of the perceptron, as
`head.*`; `displacement` (world units, float16) when the field follows the motion between its slices
(fields/flow.py). Metadata: the field's settings as JSON, the number of slices, and whether time
loops. Space is the cube [−bound, bound]³ in world units, time is [0, 1], density in 1/world unit.
"""

import json
import os
from collections.abc import Mapping

import torch

from animate124 import runtime
from animate124.errors import UserError
from animate124.fields.build import build_field
from animate124.fields.flow import FlowField, FlowOccupancy
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.radiance import RadianceField
from animate124.media.tensors import load_tensors, save_tensors
from animate124.settings.base import parse
from animate124.settings.field import FieldSettings

KIND, VERSION = "radiance-field", 1


def _weights(field: RadianceField) -> dict[str, torch.Tensor]:
    return {f"head.{name}": weight for name, weight in field.head.named_parameters()}


def save_field(
    path: str | os.PathLike,
    field: RadianceField,
    settings: FieldSettings,
    displacement: torch.Tensor | None = None,
) -> None:
    """Write the field atomically; the same field gives the same bytes.

    displacement: of the FlowField around it, if there is one.
    """
    grid = field.grid
    # Without a base a fresh field's slices are not zero, so each has to be told.
    tables = enumerate(grid.slices)
    kept = [k for k, table in tables if grid.base is None or bool(table.any())]
    tensors = {name: weight.detach() for name, weight in _weights(field).items()}
    tensors["slice_index"] = torch.tensor(kept, dtype=torch.int64)
    empty = torch.zeros(0, grid.levels.rows, grid.levels.features)
    tensors["slices"] = torch.stack([grid.slices[k].detach() for k in kept]) if kept else empty
    if grid.base is not None:
        tensors["base"] = grid.base.detach()
    if displacement is not None:
        tensors["displacement"] = displacement.half()
    metadata = {
        "settings": settings.model_dump_json(),
        "slices": str(len(grid.slices)),
        "loop": json.dumps(grid.loop),
        "units": "world units; density 1/world unit; time in [0, 1]",
    }
    save_tensors(path, tensors, kind=KIND, version=VERSION, metadata=metadata, finite=True)


def _settings(metadata: Mapping[str, str]) -> FieldSettings:
    return parse(FieldSettings, json.loads(metadata["settings"]))


def stored_settings(path: str | os.PathLike) -> FieldSettings:
    """The settings of a stored field. Raises UserError as `load_field`."""
    metadata = load_tensors(path, KIND, VERSION)[1]
    try:
        return _settings(metadata)
    except (KeyError, ValueError, UserError) as error:
        raise UserError(
            f"The field {path} does not tell how it is built ({error}): fit the scene again."
        ) from error


def load_field(
    path: str | os.PathLike, device: torch.device | str = "cpu"
) -> tuple[RadianceField, OccupancyGrid] | tuple[FlowField, FlowOccupancy]:
    """Read a field; its occupancy grid is rebuilt by asking the field.

    Raises UserError for a file that is missing, damaged, of another kind or version, or whose
    tensors do not fit its own settings.
    """
    tensors, metadata = load_tensors(path, KIND, VERSION, finite=True)
    try:
        settings = _settings(metadata)
        slices, loop = int(metadata["slices"]), bool(json.loads(metadata["loop"]))
        if slices < 1:
            raise ValueError(f"it has {slices} slices")
    except (KeyError, ValueError, UserError) as error:
        raise UserError(
            f"The field {path} does not tell how it is built ({error}): fit the scene again."
        ) from error
    field, occupancy = build_field(settings, slices, loop)
    targets = _weights(field)
    if field.grid.base is not None:
        targets["base"] = field.grid.base
    shapes = {name: target.shape for name, target in targets.items()}
    index = tensors.get("slice_index", torch.zeros(0)).tolist()
    shapes["slices"] = (len(index), *field.grid.slices[0].shape)
    for name, shape in shapes.items():
        if name not in tensors or tensors[name].shape != shape:
            raise UserError(f"The field {path} lacks a fitting '{name}': fit the scene again.")
    if sorted(set(index)) != index or not set(index) <= set(range(slices)):
        raise UserError(f"The field {path} has slices out of order: fit the scene again.")
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name])
        for k, table in zip(index, tensors["slices"], strict=True):
            field.grid.slices[k].copy_(table)
    field.to(device)
    occupancy.to(device).rebuild(field, runtime.generator(0, "occupancy", device=device))
    if "displacement" not in tensors:
        return field, occupancy
    try:
        flow = FlowField(field, tensors["displacement"].to(device))
    except (ValueError, IndexError) as error:
        raise UserError(f"The field {path} has a bad motion ({error}): fit it again.") from error
    return flow, FlowOccupancy(flow, occupancy)
