"""The nano tile control (ControlNet, arXiv 2302.05543): it restores what a coarse scene spoils."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor
from torch.nn.functional import interpolate, mse_loss
from transformers import CLIPTextModel, CLIPTokenizer

from animate124.priors.components import load_module
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import data, text_to_image
from animate124.zoo.diffusion import (
    DiffusionTask,
    embed,
    front_biased,
    load_base,
    part,
    seeded,
)
from animate124.zoo.folders import save_model

ROLE = "tile-control"
DEFAULTS = ZooSettings(
    batch=32,
    echo=3,
    lr=7e-4,
    warmup=100,
    decay=0.5,
    train=TrainSettings(steps=7600, checkpoint_seconds=180, preview_every=500),
)
_VIEWS, _FRAMES = 2, 2
_TWICE, _MISTY = 0.3, 0.3  # shares of images with either fault


def build(unet: UNet2DConditionModel) -> ControlNetModel:
    """A copy of the network's first half; three embedding stages fit latents of a quarter."""
    return ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(16, 32, 64), load_weights_from_unet=True
    )


def spoil(rng: np.random.Generator, images: Tensor, others: Tensor) -> Tensor:
    """What a coarse moving scene shows of images [B, 3, H, W] over white.

    Three in ten are mixed with another moment of the same view (`others`), as limbs are that move
    between time slices; three in ten are misty in places; all are shrunk 1.5 to 6 times, and noisy
    at that size half the time.
    """
    spoilt = torch.empty_like(images)
    size = images.shape[-1]
    for image, other, out in zip(images, others, spoilt, strict=True):
        if rng.random() < _TWICE:
            image = torch.lerp(image, other, float(rng.uniform(0.1, 0.5)))
        if rng.random() < _MISTY:
            where = (2.0 * data.patches(rng, size, hard=False) - 1.0).clamp(min=0.0)
            mist = where * float(rng.uniform(0.3, 1.0))
            image = torch.lerp(image, torch.ones(()), mist)
        edge = max(int(size / rng.uniform(1.5, 6.0)), 4)
        small = interpolate(image[None], size=edge, mode="area")
        if rng.random() < 0.5:
            noise = torch.from_numpy(rng.standard_normal(tuple(small.shape), np.float32))
            small = small + noise * float(rng.uniform(0.0, 0.08))
        out.copy_(interpolate(small, size=size, mode="bilinear", align_corners=False)[0])
    return spoilt.clamp(0.0, 1.0)


class TileControlTask(DiffusionTask):
    """Denoising of single frames, given their sentence and a spoilt copy."""

    rise = 0  # the copy has the shape; what is missing is decided late

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        control: ControlNetModel,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        models: Path,
    ) -> None:
        super().__init__(ROLE, settings, {"controlnet": control}, device, models)
        self.control, self.tokenizer = control, tokenizer
        self.unet = unet.to(device)
        self.text_encoder = text_encoder.to(device)

    def loss(self, step: int) -> dict[str, Tensor]:
        latents, conditions, texts = self.drawn(step)
        noisy, t, target = self.noised(latents, step)
        with self.autocast():
            text = embed(self.tokenizer, self.text_encoder, texts)
            down, middle = self.control(
                noisy, t, text, conditions.to(self.device), return_dict=False
            )
            output = self.unet(
                noisy,
                t,
                text,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
        return {"denoise": mse_loss(output.float(), target)}

    def draw(self, key: int) -> tuple[Tensor, Tensor, list[str]]:
        """Latents [batch, 4, h, w], spoilt images [batch, 3, H, W] and sentences."""
        images, conditions, texts = self.batch(key)
        return self.encode(images), conditions, texts

    def batch(self, step: int) -> tuple[Tensor, Tensor, list[str]]:
        """Images and spoilt images [batch, 3, H, W] with their sentences."""
        rng = data.stream(self.seed, self.name, "data", step)
        images, texts = [], []
        for clip in data.draw_clips(rng, -(-self.settings.batch // (_VIEWS * _FRAMES))):
            azimuth = front_biased(rng, _VIEWS)
            elevation = rng.uniform(*data.ELEVATIONS, _VIEWS)
            sight = data.look(clip, azimuth, elevation, rng.random(_FRAMES))
            images.append(data.over(sight.rgba).flatten(0, 1))
            texts += [
                text_to_image.prompt(rng, clip, angle) for angle in azimuth for _ in range(_FRAMES)
            ]
        # The moments of a view lie beside each other.
        sharp = torch.cat(images)
        others = sharp.unflatten(0, (-1, _FRAMES)).roll(1, dims=1).flatten(0, 1)
        sharp, others = sharp[: self.settings.batch], others[: self.settings.batch]
        return sharp, spoil(rng, sharp, others), texts[: self.settings.batch]


def make_task(settings: ZooSettings, device: str, models: Path) -> TileControlTask:
    """The training, on the text-to-image model in `models`."""
    unet, text, tokenizer = load_base(models)
    if settings.start == "shipped":
        control = load_module(ControlNetModel, part(models, ROLE), torch.float32)
    else:
        with seeded(settings.train.seed, ROLE):
            control = build(unet)
    control.requires_grad_(True).train()
    return TileControlTask(settings, device, control, unet, text, tokenizer, models)


def export(task: TileControlTask, folder: Path) -> None:
    """Write the ControlNet."""
    save_model(task.averaged()["controlnet"], folder)
