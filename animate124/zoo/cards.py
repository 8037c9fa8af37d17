"""Model cards: where a nano model comes from and how good it is, as JSON beside its weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

import animate124
from animate124 import runtime
from animate124.errors import UserError
from animate124.media.files import write_json
from animate124.settings.zoo import ZooSettings
from animate124.training import TrainReport
from animate124.zoo import roles
from animate124.zoo.task import ZooTask

NAME = "card.json"
_WEIGHTS = ("*.safetensors", "*.onnx")


def describe(
    role: str, task: ZooTask, settings: ZooSettings, report: TrainReport, models: Path
) -> dict[str, Any]:
    """The card of a training that `report` tells of; scores are added by `zoo evaluate`."""
    parameters = sum(p.numel() for module in task.modules.values() for p in module.parameters())
    return {
        "name": f"animate124-nano-{role}",
        "role": role,
        "networks": {name: type(module).__name__ for name, module in task.modules.items()},
        "parameters": parameters,
        "trained_parameters": sum(p.numel() for p in task.trained.values()),
        "licence": "Apache-2.0",
        "commercial": True,
        "data": f"the dataset {Path(settings.data).name}"
        if settings.data
        else "toybox renderings of the training split, drawn anew at every step",
        "built_on": {need: weights_digest(models / need) for need in roles.NEEDS.get(role, ())},
        "steps": report.steps,
        "samples": report.steps * settings.batch,
        "seconds": round(report.seconds),
        "earlier": _earlier(models / role) if settings.start == "shipped" else None,
        "device": _device(task.device),
        "settings": settings.model_dump(mode="json"),
        "version": animate124.__version__,
    }


def _earlier(folder: Path) -> dict[str, int]:
    """Steps, samples and seconds of all trainings that led to the weights one went on from."""
    card = read(folder)
    before = card.get("earlier") or {}
    return {name: card[name] + before.get(name, 0) for name in ("steps", "samples", "seconds")}


def _device(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return next(d["name"] for d in runtime.device_summary() if d["kind"] == "cpu")


def read(folder: Path) -> dict[str, Any]:
    """The card in a model's folder. Raises UserError when there is none or it is damaged."""
    path = folder / NAME
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no model card {path}: train the model first.") from None
    except ValueError as error:
        raise UserError(f"The model card {path} is damaged ({error}): train again.") from None


def write(folder: Path, card: dict[str, Any]) -> None:
    """Write the card of a model's folder."""
    write_json(folder / NAME, card)


def weight_bytes(folder: Path) -> int:
    """Bytes of all weight files below a folder."""
    return sum(path.stat().st_size for path in _weight_files(folder))


def weights_digest(folder: Path) -> str:
    """Sixteen hexadecimal digits of all weight files below a folder."""
    found = hashlib.sha256()
    for path in _weight_files(folder):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _weight_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in _WEIGHTS for path in folder.rglob(pattern))


def text(card: dict[str, Any]) -> str:
    """A card for reading."""
    lines = [
        f"{card['name']}: {', '.join(card['networks'].values())}",
        f"{card['parameters']:,} parameters, {card['bytes'] / 1e6:.1f} MB, {card['licence']}",
        f"trained on {card['data']}",
        f"{card['steps']} steps, {card['samples']:,} samples, {card['seconds']} s on "
        f"{card['device']}",
    ]
    if earlier := card.get("earlier"):
        lines.append(f"after {earlier['steps']:,} steps, {earlier['samples']:,} samples before")
    if "scores" in card:
        lines += ["scores:", *(f"  {key}: {value}" for key, value in card["scores"].items())]
    else:
        lines.append(f"not scored yet: animate124 zoo evaluate {card['role']}")
    return "\n".join(lines)
