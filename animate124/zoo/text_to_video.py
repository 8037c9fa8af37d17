"""The nano text-to-video model: motion modules in the text-to-image network (AnimateDiff, arXiv
2307.04725), trained on clips of 8 and, now and then, 16 frames.

Of the text-to-image network the cross-attention learns along, the rest is frozen: from single
pictures it cannot have learnt to hear what moves how (`sentences`, `priors.told`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import MotionAdapter, UNetMotionModel
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from animate124.media.files import ensure_folder
from animate124.media.tensors import save_tensors
from animate124.priors.components import load_module, quiet
from animate124.priors.text import TextEncoder
from animate124.priors.told import HEARING, SENTENCES, Hearing, with_sentences
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.toybox.captions import motion_prompt
from animate124.toybox.clip import Clip
from animate124.zoo import data, sentences, text_to_image
from animate124.zoo.diffusion import (
    DROPPED,
    DiffusionTask,
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
_RESTING = 0.5  # share of clips that are made to begin at rest; half of the others do


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
    """Denoising of whole clips from one still camera, given a sentence."""

    rise = 2  # what the sentence tells is decided where there is little else but noise
    fresh = ("moments.",)

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        unet: UNetMotionModel,
        hearing: Hearing,
        text: TextEncoder,
        models: Path,
    ) -> None:
        modules = {"unet": unet, "moments": hearing.moments}
        super().__init__(ROLE, settings, modules, device, models)
        self.unet, self.hearing, self.text = unet, hearing, text

    def loss(self, step: int) -> dict[str, Tensor]:
        latents, texts = self.drawn(step)
        noisy, t, target = self.noised(latents, step)
        frames = latents.shape[1]
        with self.autocast():
            text = self.hearing.texts(self.text.states(texts), frames)
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
        for drawn in data.draw_clips(rng, count):
            # What a sentence says of each moment is learnt of whole motions only.
            clip = data.resting(rng, drawn, _RESTING)
            azimuth = front_biased(rng, 1)
            sight = data.look(clip, azimuth, rng.uniform(*data.ELEVATIONS, 1), clip.times(frames))
            videos.append(data.over(sight.rgba[0]))
            texts.append(prompt(rng, clip, azimuth[0]))
        return torch.stack(videos), texts


def prompt(rng: np.random.Generator, clip: Clip, azimuth: float) -> str:
    """A sentence that names the motion, with or without details and the view, or nothing."""
    if rng.random() < DROPPED:
        return ""
    text = clip.caption if rng.random() < 0.5 else motion_prompt(clip)
    return f"{text}, {text_to_image.view_word(azimuth)} view" if rng.random() < 0.4 else text


def make_task(settings: ZooSettings, device: str, models: Path) -> TextToVideoTask:
    """The training, on the text-to-image model in `models`."""
    unet2d, encoder, tokenizer = load_base(models)
    text = TextEncoder(tokenizer, encoder.to(device))
    if settings.start == "shipped":
        folder = part(models, ROLE)
        adapter = load_module(MotionAdapter, folder, torch.float32)
        text = with_sentences(text, folder, torch.float32)
    else:
        with seeded(settings.train.seed, ROLE):
            adapter = build_adapter()
        sentence = sentences.trained(tokenizer, text_to_image.TEXT_WIDTH, settings.train.seed)
        text = TextEncoder(tokenizer, encoder, sentence.to(device))
    with quiet():
        unet = UNetMotionModel.from_unet2d(unet2d, adapter.requires_grad_(True).train())
    unet.freeze_unet2d_params()
    if settings.start == "shipped":
        hearing = Hearing.load(folder / HEARING, unet)
    else:
        with seeded(settings.train.seed, "moments"):
            hearing = Hearing(unet)
        nn.init.zeros_(hearing.moments.outer.weight)
        nn.init.zeros_(hearing.moments.outer.bias)
    for learnt in (hearing.moments, *hearing.attention.values()):
        learnt.requires_grad_(True)
    return TextToVideoTask(settings, device, unet, hearing, text, models)


def export(task: TextToVideoTask, folder: Path) -> None:
    """Write the motion modules as a motion adapter, and beside them what hears the sentence."""
    adapter, averaged = build_adapter(), task.averaged()
    known = averaged["unet"].state_dict()
    adapter.load_state_dict({key: known[key] for key in adapter.state_dict()})
    save_model(adapter, folder)
    heard = Hearing(averaged["unet"], averaged["moments"]).state()
    halves = {key: value.half() for key, value in heard.items()}
    save_tensors(folder / HEARING, halves, kind="hearing", version=1)
    save_model(task.text.sentence, ensure_folder(folder / SENTENCES))
