"""A tiny MV-VDM with random weights, written in the three parts that are published."""

import json

import torch
from safetensors.torch import save_file
from tiny_priors import WIDTH, seeded, text_model, vae
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from animate124.priors.mvvdm.network import MultiViewUNet

IMAGE = 20  # width of image embeddings
WIDTHS = (16, 32)
# attn2 of the tiny network in IP-Adapter's order: down, up, middle last.
LAYERS = (
    "down_blocks.0.attentions.0",
    "up_blocks.1.attentions.0",
    "up_blocks.1.attentions.1",
    "mid_block.attentions.0",
)
CONFIG = {
    "_class_name": "UNetMV2DConditionModel",
    "sample_size": 8,
    "block_out_channels": list(WIDTHS),
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "attention_head_dim": 8,
    "cross_attention_dim": WIDTH,
    "norm_num_groups": 4,
    "camera_embedding_dim": 16,
}


def network():
    """All of it random: nothing that a fresh network would leave at 0."""
    seeded(11)
    net = MultiViewUNet(
        sample_size=8,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        attention_levels=(0,),
        spatial_levels=(0, 1),
        attention_heads=8,
        motion_heads=8,
        cross_attention_dim=WIDTH,
        image_embed_dim=IMAGE,
        norm_num_groups=4,
    ).eval()
    for name, parameter in net.named_parameters():
        if name.endswith("mix_factor") or "_i2v" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return net.requires_grad_(False)


def parts(net):
    """Its tensors as (MVDream's, IP-Adapter's, Animate3D's), by their published names."""
    base, image, motion = {}, {}, {}
    for key, value in net.state_dict().items():
        value = value.clone()
        if key.startswith("image_tokens"):
            tail = key.removeprefix("image_tokens.").replace("image_embeds", "proj")
            image[f"image_proj.{tail}"] = value
        elif "_ip." in key:
            place, _, tail = key.partition(".transformer_blocks.0.attn2.")
            image[f"ip_adapter.{2 * LAYERS.index(place) + 1}.{tail}"] = value
        elif "_i2v" in key or "_sp." in key or key.endswith("mix_factor"):
            key = key.replace("mix_factor", "alpha_blender.mix_factor")
            head, _, tail = (
                key.rpartition(".attn1.") if ".attn1." in key else key.rpartition(".attn2.")
            )
            which = "attn1" if ".attn1." in key else "attn2"
            motion[f"{head}.{which}.processor.{tail}"] = value
        elif "motion_modules" in key:
            motion[key] = value
        else:
            base[key] = value
    for key in [key for key in motion if key.endswith("alpha_blender.mix_factor")]:
        place = key.removesuffix("alpha_blender.mix_factor")
        width = motion[place.replace("processor.", "to_q.weight")].shape[0]
        motion[f"{place}time_pos_embed.pe"] = code(width)
    return base, image, motion


def code(width):
    """The sinusoids as a buffer [1, 32, width], number by number."""
    table = torch.zeros(1, 32, width)
    for p in range(32):
        for i in range(0, width, 2):
            angle = torch.tensor(float(p)) * torch.exp(
                torch.tensor(-i * torch.log(torch.tensor(10000.0)).item() / width)
            )
            table[0, p, i], table[0, p, i + 1] = angle.sin(), angle.cos()
    return table


def published(folder, net=None, pickled=False):
    """Folders `mvdream`, `ip-adapter` and `animate3d` below `folder`; returns the network too."""
    net = network() if net is None else net
    base, image, motion = parts(net)
    below, prompt, own = (folder / name for name in ("mvdream", "ip-adapter", "animate3d"))
    below.mkdir(parents=True)
    text_model(below)
    vae().save_pretrained(below / "vae")
    (below / "unet").mkdir()
    (below / "unet" / "config.json").write_text(json.dumps(CONFIG))
    (prompt / "models").mkdir(parents=True)
    own.mkdir()
    if pickled:
        torch.save(base, below / "unet" / "diffusion_pytorch_model.bin")
        nested = {"image_proj": {}, "ip_adapter": {}}
        for key, value in image.items():
            head, _, tail = key.partition(".")
            nested[head][tail] = value
        torch.save(nested, prompt / "models" / "ip-adapter_sd15.bin")
        motion = {"state_dict": {f"module.{key}": value for key, value in motion.items()}}
    else:
        save_file(base, below / "unet" / "diffusion_pytorch_model.safetensors")
        save_file(image, prompt / "models" / "ip-adapter_sd15.safetensors")
    torch.save(motion, own / "animate3d_motion_modules.ckpt")
    vision = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=224,
        patch_size=56,
        projection_dim=IMAGE,
    )
    CLIPVisionModelWithProjection(vision).save_pretrained(prompt / "models" / "image_encoder")
    return net
