"""The published networks at full size, built without weights to check that ours are those.

`python -m animate124.priors.published` prints a table of parameters and of key names and shapes.
Everything is built on the meta device, which holds shapes and no numbers: seconds, no memory.
Published CLIP files write `text_model.` or `vision_model.` before the names that the current class
has; transformers translates them when it loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    MotionAdapter,
    UNet2DConditionModel,
    UNet3DConditionModel,
    UNetMotionModel,
)
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
)

from animate124.priors.components import quiet
from animate124.priors.mvvdm.network import MultiViewUNet

_WIDTHS = (320, 640, 1280, 1280)
_VISION_L14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}
_VISION_H14 = _VISION_L14 | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "hidden_act": "gelu",
}
_TEXT_L14 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
_ATTENTION = "attentions.0.transformer_blocks.0.attn2.to_k.weight"
_VIT_LAYER = "encoder.layers.{}.self_attn.q_proj.weight"


@dataclass(frozen=True)
class Network:
    """One published network.

    `parameters` as published or counted independently; `keys` is the number of tensors its weight
    file has, None where no independent count is known; `shapes` a sample of them.
    """

    name: str
    model: str
    build: Callable[[], nn.Module]
    parameters: int
    shapes: Mapping[str, tuple[int, ...]]
    keys: int | None = None


@dataclass(frozen=True)
class Found:
    """What a network built from the published configuration has; `wrong` names keys that differ."""

    parameters: int
    keys: int
    wrong: tuple[str, ...]


def unet(in_channels: int = 4, sample_size: int = 64) -> UNet2DConditionModel:
    """The denoiser of Stable Diffusion 1.x and, with 8 channels, of Zero123."""
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=in_channels,
        block_out_channels=_WIDTHS,
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,
    )


def vae() -> AutoencoderKL:
    """Stable Diffusion's autoencoder, eight pixels a latent."""
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )


def unet3d() -> UNet3DConditionModel:
    """ModelScope's denoiser."""
    return UNet3DConditionModel(
        sample_size=32,
        block_out_channels=_WIDTHS,
        layers_per_block=2,
        cross_attention_dim=1024,
        attention_head_dim=64,
    )


def controlnet() -> ControlNetModel:
    """ControlNet v1.1 on Stable Diffusion 1.5."""
    return ControlNetModel(
        block_out_channels=_WIDTHS,
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,
        conditioning_embedding_out_channels=(16, 32, 96, 256),
    )


def motion_adapter() -> MotionAdapter:
    """AnimateDiff v1-5-2's motion modules."""
    return MotionAdapter(
        block_out_channels=_WIDTHS,
        motion_layers_per_block=2,
        motion_num_attention_heads=8,
        motion_mid_block_layers_per_block=1,
        use_motion_mid_block=True,
        motion_max_seq_length=32,
    )


def motion_unet() -> UNetMotionModel:
    """AnimateDiff's motion modules in Stable Diffusion's denoiser."""
    with quiet():
        return UNetMotionModel.from_unet2d(unet(), motion_adapter())


def text_encoder_h() -> CLIPTextModel:
    """ModelScope's text encoder: OpenCLIP ViT-H's, without its last layer."""
    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=23,
            num_attention_heads=16,
            hidden_act="gelu",
        )
    )


def clip_l14() -> CLIPModel:
    """CLIP ViT-L/14, both towers."""
    return CLIPModel(
        CLIPConfig(text_config=_TEXT_L14, vision_config=_VISION_L14, projection_dim=768)
    )


def depth_anything_small() -> DepthAnythingForDepthEstimation:
    """Depth Anything V2 small: DINOv2 ViT-S/14 and a DPT head."""
    backbone = Dinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        num_hidden_layers=12,
        image_size=518,
        patch_size=14,
        out_indices=[3, 6, 9, 12],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    return DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            neck_hidden_sizes=[48, 96, 192, 384],
            fusion_hidden_size=64,
            reassemble_hidden_size=384,
            head_hidden_size=32,
        )
    )


NETWORKS = (
    Network(
        "UNet",
        "Stable Diffusion 1.5",
        unet,
        859_520_964,
        {
            "conv_in.weight": (320, 4, 3, 3),
            "time_embedding.linear_1.weight": (1280, 320),
            f"down_blocks.0.{_ATTENTION}": (320, 768),
            "mid_block.attentions.0.proj_in.weight": (1280, 1280, 1, 1),
            "up_blocks.3.resnets.2.conv_shortcut.weight": (320, 640, 1, 1),
            "conv_out.weight": (4, 320, 3, 3),
        },
        686,
    ),
    Network(
        "autoencoder",
        "Stable Diffusion 1.5",
        vae,
        83_653_863,
        {
            "encoder.conv_in.weight": (128, 3, 3, 3),
            "encoder.mid_block.attentions.0.to_q.weight": (512, 512),
            "encoder.conv_out.weight": (8, 512, 3, 3),
            "quant_conv.weight": (8, 8, 1, 1),
            "post_quant_conv.weight": (4, 4, 1, 1),
            "decoder.up_blocks.3.resnets.0.conv_shortcut.weight": (128, 256, 1, 1),
        },
        248,
    ),
    Network(
        "text encoder",
        "Stable Diffusion 1.5 (CLIP ViT-L/14)",
        lambda: CLIPTextModel(CLIPTextConfig(**_TEXT_L14)),
        123_060_480,
        {
            "embeddings.token_embedding.weight": (49408, 768),
            "embeddings.position_embedding.weight": (77, 768),
            _VIT_LAYER.format(11): (768, 768),
            "final_layer_norm.weight": (768,),
        },
        196,
    ),
    Network(
        "UNet",
        "Zero123-XL",
        lambda: unet(8, 32),
        859_532_484,
        {"conv_in.weight": (320, 8, 3, 3), f"down_blocks.0.{_ATTENTION}": (320, 768)},
        686,
    ),
    Network(
        "image encoder",
        "Zero123-XL (CLIP ViT-L/14)",
        lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**_VISION_L14, projection_dim=768)),
        303_966_208,
        {
            "vision_model.embeddings.patch_embedding.weight": (1024, 3, 14, 14),
            "vision_model.embeddings.position_embedding.weight": (257, 1024),
            "visual_projection.weight": (768, 1024),
        },
    ),
    Network(
        "camera layer",
        "Zero123-XL",
        lambda: nn.Linear(772, 768),
        593_664,
        {"weight": (768, 772), "bias": (768,)},
        2,
    ),
    Network(
        "UNet3D",
        "ModelScope text-to-video-ms-1.7b",
        unet3d,
        1_411_233_860,
        {
            "conv_in.weight": (320, 4, 3, 3),
            f"down_blocks.0.{_ATTENTION}": (320, 1024),
            "transformer_in.proj_in.weight": (512, 320),
            "down_blocks.0.temp_convs.0.conv1.2.weight": (320, 320, 3, 1, 1),
            f"down_blocks.1.temp_{_ATTENTION.replace('to_k', 'to_q')}": (640, 640),
            "mid_block.temp_convs.1.conv4.3.weight": (1280, 1280, 3, 1, 1),
        },
    ),
    Network(
        "text encoder",
        "ModelScope (OpenCLIP ViT-H)",
        text_encoder_h,
        340_387_840,
        {
            "embeddings.token_embedding.weight": (49408, 1024),
            _VIT_LAYER.format(22): (1024, 1024),
        },
    ),
    Network(
        "ControlNet",
        "ControlNet v1.1 tile",
        controlnet,
        361_279_120,
        {
            "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
            "controlnet_cond_embedding.conv_out.weight": (320, 256, 3, 3),
            "controlnet_down_blocks.11.weight": (1280, 1280, 1, 1),
            "controlnet_mid_block.weight": (1280, 1280, 1, 1),
            f"down_blocks.0.{_ATTENTION}": (320, 768),
        },
        340,
    ),
    Network(
        "motion adapter",
        "AnimateDiff v1-5-2",
        motion_adapter,
        453_209_280,
        {
            "down_blocks.0.motion_modules.0.transformer_blocks.0.pos_embed.pe": (1, 32, 320),
            "mid_block.motion_modules.0.transformer_blocks.0.ff.net.2.weight": (1280, 5120),
            "up_blocks.3.motion_modules.2.proj_out.weight": (320, 320),
        },
        567,
    ),
    Network(
        "UNetMotion",
        "AnimateDiff v1-5-2 on Stable Diffusion 1.5",
        motion_unet,
        859_520_964 + 453_209_280,
        {
            "conv_in.weight": (320, 4, 3, 3),
            f"down_blocks.0.{_ATTENTION}": (320, 768),
            "up_blocks.3.motion_modules.2.proj_out.weight": (320, 320),
        },
        686 + 567,
    ),
    Network(
        "MV-VDM",
        "Animate3D on MVDream and IP-Adapter",
        MultiViewUNet,
        1_526_201_582,
        {
            "camera_embedding.linear_1.weight": (1280, 16),
            "image_tokens.image_embeds.weight": (3072, 1024),
            f"mid_block.{_ATTENTION.replace('to_k', 'to_k_ip')}": (1280, 768),
        },
        690 + 36 + 888 - 42,  # time codes are not stored
    ),
    Network(
        "image encoder",
        "IP-Adapter (CLIP ViT-H/14)",
        lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**_VISION_H14, projection_dim=1024)),
        632_076_800,
        {"visual_projection.weight": (1024, 1280)},
    ),
    Network(
        "CLIP",
        "CLIP ViT-L/14",
        clip_l14,
        427_616_513,
        {
            "text_projection.weight": (768, 768),
            "visual_projection.weight": (768, 1024),
            "logit_scale": (),
        },
    ),
    Network(
        "DINOv2 and DPT head",
        "Depth Anything V2 small",
        depth_anything_small,
        24_785_089,
        {
            "backbone.embeddings.patch_embeddings.projection.weight": (384, 3, 14, 14),
            "head.conv3.weight": (1, 32, 1, 1),
        },
    ),
)


def inspect(network: Network) -> Found:
    """Build a network on the meta device and compare it with what is known of it."""
    with torch.device("meta"):
        built = network.build()
    shapes = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    wrong = [key for key, shape in network.shapes.items() if shapes.get(key) != shape]
    if network.keys is not None and len(shapes) != network.keys:
        wrong.append(f"{len(shapes)} tensors instead of {network.keys}")
    return Found(sum(p.numel() for p in built.parameters()), len(shapes), tuple(wrong))


def table() -> str:
    """All networks as a Markdown table: parameters built and expected, key names and shapes."""
    lines = [
        "| model | network | parameters | expected | tensors | keys and shapes |",
        "|---|---|--:|--:|--:|---|",
    ]
    for network in NETWORKS:
        found = inspect(network)
        verdict = "match" if not found.wrong else "differ: " + ", ".join(found.wrong)
        lines.append(
            f"| {network.model} | {network.name} | {found.parameters / 1e6:.2f} M "
            f"| {network.parameters / 1e6:.2f} M | {found.keys} | {verdict} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
