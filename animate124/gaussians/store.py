"""A cloud and its motion on disk: `gaussians.safetensors`."""

from __future__ import annotations

import json
import os
from dataclasses import fields

import torch

from animate124.errors import UserError
from animate124.gaussians.cloud import Cloud
from animate124.gaussians.motion import Binding, Motion
from animate124.media.tensors import load_tensors, save_tensors
from animate124.settings.base import parse
from animate124.settings.reconstruct import MotionSettings

KIND, VERSION = "gaussian-motion", 1
UNITS = (
    "positions, exp(log_scales) and shifts in world units (+y up, subject faces +z); rotations are "
    "quaternions w x y z; colours sRGB; times run from 0 to 1"
)
_CLOUD = tuple(f.name for f in fields(Cloud) if f.name != "flat")
_BINDING = tuple(f.name for f in fields(Binding))


def save(path: str | os.PathLike, cloud: Cloud, motion: Motion) -> None:
    """Write a cloud and its motion atomically.

    Raises UserError if the file cannot be written, ValueError for values that are not finite.
    """
    tensors = {f"cloud.{name}": getattr(cloud, name).detach() for name in _CLOUD}
    tensors |= {f"motion.{name}": value for name, value in motion.state_dict().items()}
    metadata = {
        "units": UNITS,
        "flat": json.dumps(cloud.flat),
        "frames": str(motion.keyframes),
        "loop": json.dumps(motion.loop),
        "settings": json.dumps(motion.settings.model_dump(mode="json"), sort_keys=True),
    }
    save_tensors(path, tensors, kind=KIND, version=VERSION, metadata=metadata, finite=True)


def load(path: str | os.PathLike, device: str | torch.device = "cpu") -> tuple[Cloud, Motion]:
    """Read what `save` wrote. Raises UserError for a missing, damaged or foreign file."""
    tensors, metadata = load_tensors(path, KIND, VERSION, finite=True, device=device)
    try:
        cloud = Cloud(
            **{name: tensors.pop(f"cloud.{name}") for name in _CLOUD},
            flat=bool(json.loads(metadata["flat"])),
        )
        state = {name.removeprefix("motion."): value for name, value in tensors.items()}
        motion = Motion(
            Binding(**{name: state[name] for name in _BINDING}),
            parse(MotionSettings, json.loads(metadata["settings"])),
            int(metadata["frames"]),
            bool(json.loads(metadata["loop"])),
        )
        motion.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"The file {path} is damaged ({' '.join(str(error).split())[:120]}): delete it and run "
            "its step again."
        ) from error
    return cloud, motion
