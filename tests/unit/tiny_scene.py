"""A field that can be worked out by hand, left in folders as the stages leave theirs.

A ball without light: its density is exp(BIAS + AMPLITUDE · exp(−r²/2R²)), its colour COLOUR.
"""

import json
import math

import torch

from animate124.fields.build import build_field
from animate124.fields.flow import FlowField
from animate124.fields.store import save_field
from animate124.settings.field import FieldSettings

BIAS, AMPLITUDE, SPREAD = -6.0, 14.0, 0.35
COLOUR = (0.8, 0.3, 0.1)
SETTINGS = FieldSettings(
    levels=2,
    coarsest=4,
    finest=8,
    log2_size=10,
    hidden=4,
    occupancy_side=16,
    step=0.03,
    blob=AMPLITUDE,
    blob_radius=SPREAD,
)


def ball(slices=1, loop=True, moving=False):
    """The ball; `moving`: from slice to slice it turns from red to blue and back."""
    field, _ = build_field(SETTINGS, slices, loop, torch.Generator().manual_seed(0))
    head = field.head
    with torch.no_grad():
        head.w1.zero_(), head.w2.zero_()
        field.grid.base.zero_()
        head.b2.copy_(torch.tensor([BIAS, *(math.log(c / (1 - c)) for c in COLOUR)]))
        if moving:
            head.w1.fill_(1.0)
            head.w2[1], head.w2[3] = -1.0, 1.0
            for k, table in enumerate(field.grid.slices):
                table.fill_(0.1 * (1 - math.cos(2 * math.pi * k / slices)))
    return field


def shifted(slices, loop, displacement):
    """The ball with a displacement (world units) that is the same everywhere and always."""
    count = slices if loop else slices - 1
    motion = torch.tensor(displacement).view(1, 3, 1, 1, 1).expand(count, 3, 4, 4, 4)
    return FlowField(ball(slices, loop), motion.contiguous())


def radius_of(density):
    """Where the ball has this density."""
    return SPREAD * math.sqrt(-2 * math.log((math.log(density) - BIAS) / AMPLITUDE))


def silhouette():
    """How far from the centre a line may pass to be half absorbed."""

    def depth(distance):
        s = torch.linspace(-0.75, 0.75, 20001, dtype=torch.float64)
        squared = s.square() + distance**2
        density = torch.exp(BIAS + AMPLITUDE * torch.exp(-squared / (2 * SPREAD**2)))
        return float(torch.trapezoid(density, s))

    low, high = 0.0, 0.75
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if depth(middle) > math.log(2) else (low, middle)
    return low


def leave(folder, field=None, stage="refine", **record):
    """Write a field and a record into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    field = ball() if field is None else field
    if isinstance(field, FlowField):
        save_field(folder / "field.safetensors", field.field, SETTINGS, field.displacement)
    else:
        save_field(folder / "field.safetensors", field, SETTINGS)
    found = {"stage": stage, "elevation": 0.0, "settings": {}, "seconds": 1.5} | record
    (folder / "stage.json").write_text(json.dumps(found))
    return folder


def contents(folder, varying=("stage.json",)):
    """The bytes of every file that does not tell of time."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in varying}
