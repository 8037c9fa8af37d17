"""The stored field: round trips, what is left out, and every damage in one sentence."""

import json
import math

import pytest
import torch

from animate124 import runtime
from animate124.errors import UserError
from animate124.fields.build import build_field
from animate124.fields.flow import FlowField, FlowOccupancy
from animate124.fields.occupancy import OccupancyGrid
from animate124.fields.store import KIND, VERSION, load_field, save_field
from animate124.media.tensors import load_tensors, save_tensors
from animate124.settings.field import FieldSettings

SMALL = FieldSettings(
    levels=2, coarsest=2, finest=8, log2_size=8, hidden=8, occupancy_side=8, blob=0.0
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def values(grid):
    return grid.state().values()


def stored(tmp_path, base=True, touched=(1, 3)):
    """A field of 5 slices with something in `touched`, saved; with its path."""
    settings = SMALL.model_copy(update={"base": base})
    field, _ = build_field(settings, 5, True, generator())
    with torch.no_grad():
        for k in touched:
            field.grid.slices[k].uniform_(-1, 1, generator=generator(k))
    path = tmp_path / "field.safetensors"
    save_field(path, field, settings)
    return field, settings, path


@pytest.mark.parametrize("base", [True, False])
def test_field_round_trip(tmp_path, base):
    field, settings, path = stored(tmp_path, base)
    written = path.read_bytes()
    torch.rand(3)  # nothing may hang on the global generator
    again, occupancy = load_field(path)
    points = torch.rand(300, 3, generator=generator())
    asked = (points, torch.tensor([0.0, 0.3, 0.9]), torch.tensor([0, 100, 200, 300]))
    for found, expected in zip(again.query(*asked), field.query(*asked), strict=True):
        assert torch.equal(found, expected)
    assert again.grid.loop and again.bound == settings.bound
    save_field(path, again, settings)
    assert path.read_bytes() == written
    _, twin = load_field(path)
    assert all(torch.equal(a, b) for a, b in zip(*map(values, (occupancy, twin)), strict=True))
    assert len(occupancy.density) == 5 and occupancy.fresh.all()


def test_slices_that_are_zero_are_left_out(tmp_path):
    tensors, metadata = load_tensors(stored(tmp_path)[2], KIND, VERSION)
    assert tensors["slice_index"].tolist() == [1, 3] and len(tensors["slices"]) == 2
    assert metadata["slices"] == "5" and json.loads(metadata["settings"])["finest"] == 8
    tensors, _ = load_tensors(stored(tmp_path, touched=())[2], KIND, VERSION)
    assert tensors["slice_index"].tolist() == []
    assert load_field(tmp_path / "field.safetensors")[0].grid.slices[3].abs().max() == 0
    # Without a base every slice is a table of its own, zero or not.
    field, settings, path = stored(tmp_path, base=False, touched=())
    with torch.no_grad():
        field.grid.slices[2].zero_()
    save_field(path, field, settings)
    assert load_field(path)[0].grid.slices[2].abs().max() == 0


def test_motion_between_slices_is_stored_with_the_field(tmp_path):
    field, settings, path = stored(tmp_path)
    displacement = torch.rand(5, 3, 4, 4, 4, generator=generator(7)) * 0.2 - 0.1
    flow = FlowField(field, displacement.half())
    save_field(path, field, settings, flow.displacement)
    again, occupancy = load_field(path)
    assert isinstance(again, FlowField) and isinstance(occupancy, FlowOccupancy)
    assert torch.equal(again.displacement, flow.displacement)
    points = torch.rand(200, 3, generator=generator())
    asked = (points, torch.tensor([0.07, 0.4]), torch.tensor([0, 100, 200]))
    for found, expected in zip(again.query(*asked), flow.query(*asked), strict=True):
        assert torch.equal(found, expected)


def rewritten(in_metadata=False, **changes):
    """A damage: the file with other tensors or other metadata (None: without it)."""

    def damage(path):
        tensors, metadata = load_tensors(path, KIND, VERSION)
        target = metadata if in_metadata else tensors
        for name, value in changes.items():
            if value is None:
                del target[name]
            else:
                target[name] = value(target[name]) if callable(value) else value
        save_tensors(path, tensors, kind=KIND, version=VERSION, metadata=metadata)

    return damage


def other_kind(path):
    save_tensors(path, {"x": torch.zeros(3)}, kind="truth-rgba", version=VERSION)


def other_version(path):
    tensors, metadata = load_tensors(path, KIND, VERSION)
    save_tensors(path, tensors, kind=KIND, version=VERSION + 1, metadata=metadata)


def unknown_setting(text):
    return json.dumps(json.loads(text) | {"hiden": 8})


def rewritten_head(**changes):
    return rewritten(**{f"head.{name}": value for name, value in changes.items()})


DAMAGES = {
    "missing": (lambda path: path.unlink(), "does not exist: run the step"),
    "empty": (lambda path: path.write_bytes(b""), "is empty: delete it"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "damaged or cut short"),
    "no tensors": (lambda path: path.write_bytes(b"\x89PNG" * 99), "damaged or cut short"),
    "kind": (other_kind, "holds truth-rgba, not radiance-field"),
    "version": (other_version, f"has format version {VERSION + 1}, this program reads"),
    "NaN": (rewritten_head(w1=lambda w: w * math.nan), "'head.w1' .* holds NaN or infinity"),
    "no weight": (rewritten_head(b2=None), "lacks a fitting 'head.b2': fit the scene again"),
    "no base": (rewritten(base=None), "lacks a fitting 'base'"),
    "no slices": (rewritten(slices=None), "lacks a fitting 'slices'"),
    "shape": (rewritten_head(w2=lambda w: w[:, 1:].clone()), "lacks a fitting 'head.w2'"),
    "slice shape": (rewritten(slices=lambda s: s[:, 1:].clone()), "lacks a fitting 'slices'"),
    "slice count": (rewritten(slices=lambda s: s[:1].clone()), "lacks a fitting 'slices'"),
    "slice beyond": (rewritten(slice_index=torch.tensor([1, 5])), "slices out of order"),
    "slice below": (rewritten(slice_index=torch.tensor([-1, 3])), "slices out of order"),
    "motion": (rewritten(displacement=torch.zeros(4, 3, 8, 8, 8)), "has a bad motion"),
    "motion of a number": (rewritten(displacement=torch.zeros(())), "has a bad motion"),
    "slice twice": (rewritten(slice_index=torch.tensor([3, 3])), "slices out of order"),
    "no settings": (rewritten(True, settings=None), "does not tell how it is built .'settings'."),
    "settings": (rewritten(True, settings="{'no JSON"), "does not tell how it is built"),
    "unknown setting": (rewritten(True, settings=unknown_setting), "'hiden' .* mean 'hidden'"),
    "loop": (rewritten(True, loop="?"), "does not tell how it is built"),
    "none": (rewritten(True, slices="0"), "does not tell how it is built .it has 0 slices."),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_field_is_one_sentence(tmp_path, name):
    damage, words = DAMAGES[name]
    path = stored(tmp_path)[2]
    damage(path)
    with pytest.raises(UserError, match=words) as error:
        load_field(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_field_that_is_scored_is_the_field_that_is_stored(tmp_path):
    """`fit` scores with a rebuilt occupancy grid: whoever loads the file must get the same one."""
    field, _, path = stored(tmp_path)
    occupancy = OccupancyGrid(8, 5, True, field.bound, SMALL.occupancy_ceiling)
    occupancy.refresh(field, [0, 1], generator(9))  # a past, which must not matter
    occupancy.rebuild(field, runtime.generator(0, "occupancy"))
    loaded = load_field(path)[1]
    for name, value in occupancy.state().items():
        assert torch.equal(value, loaded.state()[name]), name
