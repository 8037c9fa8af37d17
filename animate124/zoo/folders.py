"""How the zoo's networks are written: half precision, in the layout of the published models."""

import copy
import json
from pathlib import Path

import torch
from torch import nn

from animate124.media.files import write_json
from animate124.priors.components import quiet

MAX_BYTES = 16 << 20


def save_model(model: nn.Module, folder: Path) -> None:
    """`save_pretrained` of a half-precision copy; every weight file stays below 16 MiB.

    Where a network that was trained further had been read from is not written down.

    Raises ValueError if one does not: the network is too large to ship.
    """
    with quiet():
        copy.deepcopy(model).to(torch.float16).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.name} has {path.stat().st_size} bytes, more than {MAX_BYTES}")
    config = json.loads((folder / "config.json").read_text())
    if config.pop("_name_or_path", None) is not None:
        write_json(folder / "config.json", config)


def write_preprocessor(
    folder: Path, size: int, mean: tuple[float, ...], deviation: tuple[float, ...]
) -> None:
    """The image preprocessing, as transformers' image processors read it."""
    record = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(deviation),
        "do_convert_rgb": True,
        "resample": 3,
    }
    write_json(folder / "preprocessor_config.json", record)
