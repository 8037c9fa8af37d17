"""Reading MV-VDM's weights: the published parts, of which not one tensor may be left over, and our
own, which hold what differs from a text-to-image model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from animate124.errors import UserError
from animate124.priors.components import freeze, load_module, read_json, require
from animate124.priors.mvvdm.attention import time_code
from animate124.priors.mvvdm.network import CAMERA, MultiViewUNet
from animate124.priors.tensor_files import read_tensors

CHECKPOINT = "animate3d_motion_modules.ckpt"
MOTION = "animate3d_motion_modules.safetensors"  # the same tensors, as our training writes them
WEIGHTS = "diffusion_pytorch_model.safetensors"
_CODE_ERROR = 1e-5  # by how much a stored time code may differ in float32; in float16, its rounding
CODES = 32  # frames that AnimateDiff's stored time codes are for
_STORED_CODE = ".time_pos_embed.pe"


@dataclass(frozen=True)
class Report:
    """What was read of published weights: `tensors` by part, the largest difference of a stored
    time code from ours, and each motion attention's share of its spatial branch, sigmoid(mix)."""

    tensors: Mapping[str, int]
    code_error: float
    spatial_share: Mapping[str, float]


def load_delta(folder: Path, base: Mapping[str, Tensor], dtype: torch.dtype) -> MultiViewUNet:
    """Our own network from `config.json` and the tensors in `folder`; the others are `base`'s.

    Raises UserError for a tensor that neither has, that does not fit, or that is not wanted.
    """
    network = _blank(read_json(folder, "config.json"), folder)
    tensors = read_tensors(require(folder, WEIGHTS))
    wanted = network.state_dict()
    own = {key: base[key] for key in wanted if key not in tensors and key in base}
    return _filled(network, own | tensors, dtype, folder)


def load_published(
    folder: Path, base: Path, image_prompt: Path, dtype: torch.dtype
) -> tuple[MultiViewUNet, Report]:
    """The network from Animate3D's checkpoint, MVDream's `unet` and IP-Adapter's weights.

    The checkpoint may also be one of our own training, in `MOTION`.

    Raises UserError where a tensor is missing, left over or of another shape, or where a stored
    time code is not the one that we compute.
    """
    theirs = read_tensors(_first(base / "unet", WEIGHTS, "diffusion_pytorch_model.bin"))
    prompt = image_prompt / "models"
    prompt = _first(prompt, "ip-adapter_sd15.safetensors", "ip-adapter_sd15.bin")
    raw = read_tensors(prompt)
    path = _first(folder, CHECKPOINT, MOTION)
    motion = read_tensors(path)
    width = raw.get("image_proj.proj.weight")
    if width is None:
        raise UserError(f"{prompt} is not IP-Adapter's base model: fetch the model again")
    config = published_config(read_json(base / "unet", "config.json"), width.shape[1])
    network = _blank(config, folder)
    error = _check_codes(motion, path)
    images = {
        ours: raw[name] for name, ours in image_prompt_names(network, (k for k in raw)).items()
    }
    named = {motion_name(key): value for key, value in motion.items() if not is_code(key)}
    found = {"base": theirs, "image prompt": images, "motion": named}
    joined: dict[str, Tensor] = {}
    for part, tensors in found.items():
        if twice := sorted(joined.keys() & tensors.keys()):
            raise UserError(f"the {part} weights of {folder} repeat {twice[0]}: fetch them again")
        joined |= tensors
    _filled(network, joined, dtype, folder)
    counts = {"base": len(theirs), "image prompt": len(raw), "motion": len(motion)}
    shares = {
        key.removesuffix(".mix_factor"): float(value.float().sigmoid())
        for key, value in named.items()
        if key.endswith(".mix_factor")
    }
    return network, Report(counts, error, shares)


def load_image_encoder(folder: Path, dtype: torch.dtype) -> CLIPVisionModelWithProjection:
    """IP-Adapter's image encoder, CLIP ViT-H/14. Raises UserError if it is missing or damaged."""
    return load_module(
        CLIPVisionModelWithProjection, require(folder, "models/image_encoder"), dtype
    )


def published_config(theirs: Mapping[str, object], image_width: int) -> dict[str, object]:
    """Our constructor's arguments for MVDream's `config.json` and image embeddings of a width.

    Raises UserError for a network of another kind.
    """
    levels = [k for k, name in enumerate(theirs["down_block_types"]) if "CrossAttn" in name]
    widths = list(theirs["block_out_channels"])
    if theirs.get("camera_embedding_dim", CAMERA) != CAMERA or theirs.get("use_linear_projection"):
        raise UserError("this MVDream network is not the published one: fetch the model again")
    return {
        "sample_size": theirs["sample_size"],
        "block_out_channels": widths,
        "layers_per_block": theirs["layers_per_block"],
        "attention_levels": levels,
        "spatial_levels": list(range(len(widths))),
        "attention_heads": theirs["attention_head_dim"],
        "motion_heads": 8,
        "cross_attention_dim": theirs["cross_attention_dim"],
        "image_embed_dim": image_width,
        "norm_num_groups": theirs.get("norm_num_groups", 32),
    }


def motion_name(key: str) -> str:
    """Our name of a tensor of Animate3D's checkpoint; self-trained ones have `module.` before."""
    key = key.removeprefix("module.").replace(".processor.", ".")
    return key.replace(".alpha_blender.mix_factor", ".mix_factor")


def is_trained(key: str) -> bool:
    """Whether a tensor of the network is learnt in MV-VDM's training: motion modules and adapter.

    All others are those of the models below it (spec §2.4).
    """
    return "i2v." in key or "motion_modules." in key


def motion_tensors(network: MultiViewUNet) -> dict[str, Tensor]:
    """What Animate3D's checkpoint holds, by its names: all that is learnt, and the time codes."""
    found = {}
    for key, value in network.named_parameters():
        if is_trained(key):
            key = re.sub(r"\.(to_\w+_(?:i2v|sp)\.)", r".processor.\1", key)
            key = key.replace(".mix_factor", ".processor.alpha_blender.mix_factor")
            found[key] = value.detach().cpu()
    for key in [key for key in found if key.endswith(".mix_factor")]:
        place = key.removesuffix(".processor.alpha_blender.mix_factor")
        width = found[f"{place}.to_q.weight"].shape[0]
        found[f"{place}.processor{_STORED_CODE}"] = time_code(CODES, width, torch.empty(0))[None]
    return found


def is_code(key: str) -> bool:
    """Whether a tensor of the checkpoint is a time code, which we compute."""
    return key.endswith(_STORED_CODE)


def image_prompt_names(network: MultiViewUNet, keys: Iterable[str]) -> dict[str, str]:
    """Our name of each tensor of IP-Adapter, by its own.

    Its layers are numbered 1, 3, 5, … in the order down, up, middle. Raises UserError for a key
    that is none of them.
    """
    places = []
    for name in ("down_blocks", "up_blocks"):
        for i, block in enumerate(getattr(network, name)):
            places += [f"{name}.{i}.attentions.{j}" for j in range(len(block.attentions))]
    places.append("mid_block.attentions.0")
    names = {}
    for key in keys:
        head = re.sub(r"^image_proj\.proj\.", "image_tokens.image_embeds.", key)
        head = re.sub(r"^image_proj\.norm\.", "image_tokens.norm.", head)
        layer = re.fullmatch(r"ip_adapter\.(\d+)\.(to_[kv]_ip\.weight)", key)
        if layer and int(layer[1]) % 2 and int(layer[1]) // 2 < len(places):
            head = f"{places[int(layer[1]) // 2]}.transformer_blocks.0.attn2.{layer[2]}"
        if head == key:
            raise UserError(f"{key} is not of IP-Adapter's base model: fetch the model again")
        names[key] = head
    return names


def _check_codes(motion: Mapping[str, Tensor], path: Path) -> float:
    """The largest difference of a stored time code from ours; UserError where it is too large."""
    worst = 0.0
    for key, value in motion.items():
        if is_code(key):
            ours = time_code(value.shape[1], value.shape[2], torch.empty(0))
            error = float((value[0].float() - ours).abs().max())
            worst = max(worst, error)
            if not error <= _CODE_ERROR + torch.finfo(value.dtype).eps:
                raise UserError(f"{path}: {key} is not AnimateDiff's time code: fetch it again")
    return worst


def _first(folder: Path, *names: str) -> Path:
    """The first of some files that is there; UserError that the first is missing."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    return require(folder, names[0]) if found is None else found


def _blank(config: Mapping[str, object], folder: Path) -> MultiViewUNet:
    try:
        with torch.device("meta"):
            return MultiViewUNet.from_config(dict(config))
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"the network of {folder} has an unknown shape ({error})") from None


def _filled(
    network: MultiViewUNet, tensors: Mapping[str, Tensor], dtype: torch.dtype, folder: Path
) -> MultiViewUNet:
    """The network with exactly these tensors as its weights, frozen; UserError if they differ."""
    wanted = network.state_dict()
    missing, spare = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    wrong = [k for k in wanted if k in tensors and wanted[k].shape != tensors[k].shape]
    if missing or spare or wrong:
        told = [
            f"{len(names)} {what} ({names[0]}, …)"
            for what, names in (("missing", missing), ("unknown", spare), ("misshapen", wrong))
            if names
        ]
        raise UserError(
            f"the weights for {folder} do not make a multi-view video network: "
            f"{', '.join(told)}; fetch the models again"
        )
    values = {key: value.to(dtype) for key, value in tensors.items()}
    network.load_state_dict(values, strict=True, assign=True)
    return freeze(network)
