"""The nano text-to-image model: a small UNet with a text encoder of the toybox's language.

Trained together from nothing: the language is so small that a frozen, generic text encoder would
only be in the way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn.functional import mse_loss
from transformers import CLIPTextModel, CLIPTokenizer

from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.toybox.captions import motion_prompt, static_prompt
from animate124.toybox.clip import Clip
from animate124.zoo import data
from animate124.zoo.diffusion import (
    CHANNELS,
    DROPPED,
    LATENT_SIZE,
    DiffusionTask,
    embed,
    front_biased,
    load_base,
    scheduler,
    seeded,
)
from animate124.zoo.folders import save_model
from animate124.zoo.language import build_tokenizer, save_tokenizer, text_config

ROLE = "text-to-image"
TEXT_WIDTH = 128
HEADS = (1, 2, 4)  # a level; wide heads, which a CPU is fast at
DEFAULTS = ZooSettings(
    batch=48,
    echo=3,
    lr=1.5e-3,
    warmup=200,
    decay=0.4,
    train=TrainSettings(steps=4500, checkpoint_seconds=180, preview_every=500),
)
_VIEWS, _FRAMES = 2, 3


def build_unet() -> UNet2DConditionModel:
    """The untrained network: attention at 8² and 4² only, which halves its time."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=HEADS,
        norm_num_groups=8,
    )


def build_text_encoder() -> CLIPTextModel:
    """The untrained text encoder, two layers."""
    return CLIPTextModel(text_config(build_tokenizer(), TEXT_WIDTH, layers=2))


def view_word(azimuth: float) -> str:
    """What the published method appends to a prompt: "front", "side" or "back"."""
    away = abs((azimuth + 180.0) % 360.0 - 180.0)
    return "front" if away < 45.0 else "side" if away < 135.0 else "back"


def prompt(rng: np.random.Generator, clip: Clip, azimuth: float) -> str:
    """A sentence for an image: with or without motion, details and the view, or nothing at all."""
    if rng.random() < DROPPED:
        return ""
    text = (clip.caption, static_prompt(clip), motion_prompt(clip))[int(rng.integers(3))]
    return f"{text}, {view_word(azimuth)} view" if rng.random() < 0.6 else text


class TextToImageTask(DiffusionTask):
    """Denoising of single frames from any side, given a sentence."""

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        models: Path,
    ) -> None:
        modules = {"unet": unet, "text_encoder": text_encoder}
        super().__init__(ROLE, settings, modules, device, models)
        self.unet, self.text_encoder = unet, text_encoder
        self.tokenizer = tokenizer

    def loss(self, step: int) -> dict[str, Tensor]:
        latents, texts = self.drawn(step)
        noisy, t, target = self.noised(latents, step)
        with self.autocast():
            output = self.unet(noisy, t, embed(self.tokenizer, self.text_encoder, texts)).sample
        return {"denoise": mse_loss(output.float(), target)}

    def draw(self, key: int) -> tuple[Tensor, list[str]]:
        """Latents [batch, 4, h, w] with their sentences."""
        images, texts = self.batch(key)
        return self.encode(images), texts

    def batch(self, step: int) -> tuple[Tensor, list[str]]:
        """Images [batch, 3, H, W] on white with their sentences."""
        rng = data.stream(self.seed, self.name, "data", step)
        images, texts = [], []
        for clip in data.draw_clips(rng, -(-self.settings.batch // (_VIEWS * _FRAMES))):
            azimuth = front_biased(rng, _VIEWS)
            elevation = rng.uniform(*data.ELEVATIONS, _VIEWS)
            sight = data.look(clip, azimuth, elevation, rng.random(_FRAMES))
            images.append(data.over(sight.rgba).flatten(0, 1))
            texts += [prompt(rng, clip, angle) for angle in azimuth for _ in range(_FRAMES)]
        return torch.cat(images)[: self.settings.batch], texts[: self.settings.batch]


def make_task(settings: ZooSettings, device: str, models: Path) -> TextToImageTask:
    """The training, from random weights or those in `models`, which holds the autoencoder."""
    if settings.start == "shipped":
        unet, text_encoder, tokenizer = load_base(models)
    else:
        with seeded(settings.train.seed, ROLE):
            unet, text_encoder = build_unet(), build_text_encoder()
        tokenizer = build_tokenizer()
    parts = (net.requires_grad_(True).train() for net in (unet, text_encoder))
    return TextToImageTask(settings, device, *parts, tokenizer, models)


def export(task: TextToImageTask, folder: Path) -> None:
    """Write network, text encoder, tokenizer and schedule in Stable Diffusion's layout."""
    averaged = task.averaged()
    save_model(averaged["unet"], folder / "unet")
    save_model(averaged["text_encoder"], folder / "text_encoder")
    save_tokenizer(task.tokenizer, folder / "tokenizer")
    scheduler().save_pretrained(folder / "scheduler")
