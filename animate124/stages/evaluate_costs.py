"""What a scene cost, and under which licences it was made: from the records of its stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from animate124.stages.outputs import RECORD, read_record

STAGES = (
    *("preprocess", "invert", "static", "surface", "dynamic", "refine"),
    *("intake", "views", "generate", "reconstruct", "polish", "mesh", "render", "export"),
)
CODE_LICENCE = "Apache-2.0"


def records(scene: Path) -> dict[str, dict[str, Any]]:
    """The records of the stages that are finished, by name, in order.

    Raises UserError for one that is damaged.
    """
    return {name: read_record(scene / name) for name in STAGES if (scene / name / RECORD).is_file()}


def costs(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Seconds and peak memory of each stage."""
    return {
        name: {
            "seconds": record.get("seconds"),
            "peak_memory_mib": record.get("peak_memory_mib"),
            "peak_device_memory_mib": record.get("peak_device_memory_mib"),
            "device": record.get("device"),
        }
        for name, record in found.items()
    }


def licences(found: dict[str, dict[str, Any]], used: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the code and of all weights that took part; `used` are those of this stage."""
    weights: dict[str, dict[str, Any]] = {}
    for prior in (*(p for record in found.values() for p in record.get("priors", ())), *used):
        weights.setdefault(f"{prior['role']}: {prior['model']}", dict(prior))
    return {
        "code": CODE_LICENCE,
        "weights": [weights[name] for name in sorted(weights)],
        "commercial_use": _commercial([prior.get("commercial") for prior in weights.values()]),
    }


def _commercial(allowed: list[bool | None]) -> bool | None:
    """Whether all weights allow it; None where it is unclear for one and forbidden by none."""
    if False in allowed:
        return False
    return None if None in allowed else True
