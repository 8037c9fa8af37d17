"""What the training of every latent diffusion model of the zoo shares.

v-prediction (arXiv 2202.00512) on a cosine schedule (arXiv 2102.09672, eq. 17), every sample with
the same weight: min-SNR weighting (arXiv 2303.09556) leaves the noisy timesteps, at which the
shape is decided, almost without weight, and after 46,000 samples gave coloured blobs. The
autoencoder is frozen, its latents have deviation 1 in every channel, and the images are on white.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from animate124 import runtime
from animate124.errors import UserError
from animate124.priors.components import load_module
from animate124.priors.schedule import Schedule
from animate124.settings.zoo import ZooSettings
from animate124.zoo import data
from animate124.zoo.language import token_ids
from animate124.zoo.task import ZooTask

LATENT_SIZE, CHANNELS = data.SIZE // 4, 4
DROPPED = 0.1  # share of samples without condition, for classifier-free guidance


def scheduler() -> DDIMScheduler:
    """The noise schedule of all nano models, as it is saved with them."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
        timestep_spacing="trailing",
    )


def load_vae(models: Path) -> AutoencoderKL:
    """The nano autoencoder of a models folder, frozen, in float32."""
    return load_module(AutoencoderKL, part(models, "autoencoder"), torch.float32)


def load_base(models: Path) -> tuple[UNet2DConditionModel, CLIPTextModel, CLIPTokenizer]:
    """Denoiser, text encoder and tokenizer of the nano text-to-image model, frozen, in float32."""
    folder = part(models, "text-to-image")
    return (
        load_module(UNet2DConditionModel, folder / "unet", torch.float32),
        load_module(CLIPTextModel, folder / "text_encoder", torch.float32),
        CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
    )


def part(models: Path, role: str) -> Path:
    """The folder of a nano model that another one builds on; UserError when it is not there."""
    folder = models / role
    if not folder.is_dir():
        raise UserError(
            f"There is no {role} model in {models}: run `animate124 zoo train {role}` first."
        )
    return folder


def embed(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, texts: list[str]) -> Tensor:
    """Hidden states [B, L, C] of sentences, padded to the full length as at inference."""
    return encoder(token_ids(tokenizer, texts).to(encoder.device)).last_hidden_state


@contextmanager
def seeded(seed: int, role: str) -> Iterator[None]:
    """A context in which networks are built whose weights depend on (seed, role) alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, role, "init"))
        yield


class DiffusionTask(ZooTask):
    """Base of the latent diffusion trainings: encoding and noising.

    `rise`: the density of timesteps rises with this power of t, so that noisy ones, where the shape
    is decided from the condition alone, are seen more often than others.
    """

    rise = 1

    def __init__(
        self,
        role: str,
        settings: ZooSettings,
        modules: Mapping[str, nn.Module],
        device: str,
        models: Path,
    ) -> None:
        super().__init__(role, settings, modules, device)
        self.vae = load_vae(models).to(device)
        self.schedule = Schedule.from_scheduler(scheduler()).to(device)
        self._drawn: tuple[int, Any] | None = None

    def drawn(self, step: int) -> Any:
        """What `draw` gives for this step: the same for `echo` steps in a row.

        Rendering and encoding cost as much as the training step itself; with other noise and other
        timesteps the same pictures teach almost as much again (data echoing, arXiv 1907.05550).
        """
        key = step // self.settings.echo
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self.draw(key))
        return self._drawn[1]

    @abstractmethod
    def draw(self, key: int) -> Any:
        """Pictures encoded and whatever goes with them, a pure function of the seed and `key`."""

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents [..., 4, h, w] of images [..., 3, H, W] in [0, 1]: the posterior's mode."""
        flat = images.flatten(0, -4).to(self.device) * 2.0 - 1.0
        with self.autocast():
            means = [self.vae.encode(part).latent_dist.mean for part in flat.split(64)]
        return torch.cat(means).float().unflatten(0, images.shape[:-3])

    def noised(self, latents: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """(x_t, t [B], v) of clean latents [B, …], one timestep a sample.

        Timesteps are stratified over the batch, which lowers the variance of the loss; their
        density rises with t (`rise`).
        """
        count = len(latents)
        draw = torch.rand(1, generator=self.generator("timestep", step))
        share = (torch.arange(count) + draw) / count
        t = (share ** (1.0 / (self.rise + 1)) * self.schedule.steps).long()
        # For the largest draws the last stratum's sum rounds up to the next whole number.
        t = t.clamp(max=self.schedule.steps - 1).to(self.device)
        # A picture that is used again gets a timestep from another part of the schedule.
        t = t.roll(step % self.settings.echo * count // self.settings.echo)
        noise = torch.randn(latents.shape, generator=self.generator("noise", step)).to(self.device)
        noisy = self.schedule.add_noise(latents, noise, t)
        return noisy, t, self.schedule.velocity(latents, noise, t)


def front_biased(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` azimuths in degrees, half of them within 60° of the front, the rest anywhere."""
    anywhere = rng.uniform(-180.0, 180.0, count)
    return np.where(rng.random(count) < 0.5, rng.uniform(-60.0, 60.0, count), anywhere)
