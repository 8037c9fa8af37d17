"""The nano text-to-video model: motion modules in the frozen text-to-image network (AnimateDiff,
arXiv 2307.04725), trained on clips of 8 and, now and then, 16 frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import MotionAdapter, UNetMotionModel
from torch import Tensor
from torch.nn.functional import mse_loss
from transformers import CLIPTextModel, CLIPTokenizer

from animate124.priors.components import load_module, quiet
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.toybox.captions import motion_prompt
from animate124.toybox.clip import Clip
from animate124.zoo import data, text_to_image
from animate124.zoo.diffusion import (
    DROPPED,
    DiffusionTask,
    embed,
    front_biased,
    load_base,
    part,
    seeded,
)
from animate124.zoo.folders import save_model

ROLE = "text-to-video"
FRAMES = 8
DEFAULTS = ZooSettings(
    batch=4,
    echo=2,
    lr=7e-4,
    warmup=200,
    decay=0.4,
    train=TrainSettings(steps=4000, checkpoint_seconds=180, preview_every=500),
)
_LONG = 0.15  # share of steps with clips of twice as many frames
_WHOLE = 0.7  # share of clips that show the whole loop, as the dynamic stage does


def build_adapter() -> MotionAdapter:
    """Untrained motion modules: one temporal transformer a layer, room for 32 frames."""
    return MotionAdapter(
        block_out_channels=(32, 64, 128),
        motion_layers_per_block=1,
        motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=8,
        motion_max_seq_length=32,
        use_motion_mid_block=True,
    )


class TextToVideoTask(DiffusionTask):
    """Denoising of whole clips from one still camera, given a sentence; only motion is learnt."""

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        unet: UNetMotionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        models: Path,
    ) -> None:
        super().__init__(ROLE, settings, {"unet": unet}, device, models)
        self.unet, self.tokenizer = unet, tokenizer
        self.text_encoder = text_encoder.to(device)

    def loss(self, step: int) -> dict[str, Tensor]:
        latents, texts = self.drawn(step)
        noisy, t, target = self.noised(latents, step)
        frames = latents.shape[1]
        with self.autocast():
            text = embed(self.tokenizer, self.text_encoder, texts).repeat_interleave(frames, dim=0)
            # The network wants channels before frames, [B, C, F, h, w].
            output = self.unet(noisy.transpose(1, 2), t, text).sample.transpose(1, 2)
        return {"denoise": mse_loss(output.float(), target)}

    def draw(self, key: int) -> tuple[Tensor, list[str]]:
        """Latents [batch, F, 4, h, w] with their sentences."""
        clips, texts = self.batch(key)
        return self.encode(clips), texts

    def batch(self, step: int) -> tuple[Tensor, list[str]]:
        """Clips [batch, F, 3, H, W] on white with their sentences."""
        rng = data.stream(self.seed, self.name, "data", step)
        long = rng.random() < _LONG
        frames, count = (
            (2 * FRAMES, -(-self.settings.batch // 2)) if long else (FRAMES, self.settings.batch)
        )
        videos, texts = [], []
        for clip in data.draw_clips(rng, count):
            times = _times(rng, clip, frames)
            azimuth = front_biased(rng, 1)
            sight = data.look(clip, azimuth, rng.uniform(*data.ELEVATIONS, 1), times)
            videos.append(data.over(sight.rgba[0]))
            texts.append(prompt(rng, clip, azimuth[0]))
        return torch.stack(videos), texts


def prompt(rng: np.random.Generator, clip: Clip, azimuth: float) -> str:
    """A sentence that names the motion, with or without details and the view, or nothing."""
    if rng.random() < DROPPED:
        return ""
    text = clip.caption if rng.random() < 0.5 else motion_prompt(clip)
    return f"{text}, {text_to_image.view_word(azimuth)} view" if rng.random() < 0.4 else text


def _times(rng: np.random.Generator, clip: Clip, frames: int) -> np.ndarray:
    """Frame times of the whole clip, or of a half of it; a loop starts anywhere."""
    share = 1.0 if rng.random() < _WHOLE else 0.5
    if clip.loop:
        return (rng.random() + share * np.arange(frames) / frames) % 1.0
    return rng.random() * (1.0 - share) + share * np.arange(frames) / (frames - 1)


def make_task(settings: ZooSettings, device: str, models: Path) -> TextToVideoTask:
    """The training, on the text-to-image model in `models`."""
    unet2d, text, tokenizer = load_base(models)
    if settings.start == "shipped":
        adapter = load_module(MotionAdapter, part(models, ROLE), torch.float32)
    else:
        with seeded(settings.train.seed, ROLE):
            adapter = build_adapter()
    with quiet():
        unet = UNetMotionModel.from_unet2d(unet2d, adapter.requires_grad_(True).train())
    unet.freeze_unet2d_params()
    return TextToVideoTask(settings, device, unet, text, tokenizer, models)


def export(task: TextToVideoTask, folder: Path) -> None:
    """Write the motion modules as a motion adapter."""
    adapter = build_adapter()
    averaged = task.averaged()["unet"].state_dict()
    adapter.load_state_dict({key: averaged[key] for key in adapter.state_dict()})
    save_model(adapter, folder)
