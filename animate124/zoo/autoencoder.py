"""The nano autoencoder: KL-regularised, four latent channels at a quarter of the resolution.

Trained on 32-pixel crops, which costs a quarter of whole images and teaches the same, since it is
fully convolutional; used at 64² and 128².
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from animate124 import runtime
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import data
from animate124.zoo.diffusion import load_vae
from animate124.zoo.folders import save_model
from animate124.zoo.task import ZooTask

ROLE = "autoencoder"
CROP = 32
DEFAULTS = ZooSettings(
    batch=48,
    lr=2e-3,
    decay=1.0,
    weight_decay=1e-4,
    train=TrainSettings(steps=9000, checkpoint_seconds=120, preview_every=500),
)
_CROPS_PER_IMAGE = 4
_FRAMES, _VIEWS = 2, 1
_WHITE = 0.5  # share of white backgrounds; the others are of any colour
_KL_WEIGHT = 1e-6


def build() -> AutoencoderKL:
    """The untrained network, 0.65 M parameters."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=data.SIZE,
        scaling_factor=1.0,
    )


class AutoencoderTask(ZooTask):
    """L1 + ½ L2 reconstruction with a trace of KL (Kingma & Welling 2014; Rombach et al. 2022)."""

    def __init__(self, settings: ZooSettings, device: str, model: AutoencoderKL) -> None:
        super().__init__(ROLE, settings, {"vae": model}, device)
        self.model = model

    def loss(self, step: int) -> dict[str, Tensor]:
        images = self.crops(step).to(self.device)
        with self.autocast():
            posterior = self.model.encode(images).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=self.generator("posterior", step))
            latents = posterior.mean + posterior.std * noise.to(self.device)
            error = self.model.decode(latents).sample.float() - images
        return {
            "l1": error.abs().mean(),
            "l2": 0.5 * error.square().mean(),
            "kl": _KL_WEIGHT * posterior.kl().mean(),
        }

    def crops(self, step: int) -> Tensor:
        """Crops [batch, 3, CROP, CROP] in [−1, 1] around places on the subject.

        Half of the subjects have their colour channels swapped: the toybox has few strong hues, and
        an autoencoder that has seen them alone paints every other one in the nearest of them.
        """
        rng = data.stream(self.seed, self.name, "data", step)
        per_clip = _VIEWS * _FRAMES * _CROPS_PER_IMAGE
        clips = data.draw_clips(rng, -(-self.settings.batch // per_clip))
        made = []
        for clip in clips:
            size = 64 if rng.random() < 0.75 else 128
            sight = data.look(
                clip,
                rng.uniform(-180, 180, _VIEWS),
                rng.uniform(*data.ELEVATIONS, _VIEWS),
                rng.random(_FRAMES),
                size,
                samples=2 if size == 64 else 1,
            )
            rgba = sight.rgba.flatten(0, 1)
            if rng.random() < 0.5:
                rgba[:, :3] = rgba[:, torch.from_numpy(rng.permutation(3))]
            images = data.over(rgba, data.plain_backgrounds(rng, len(rgba), _WHITE))
            for image, alpha in zip(images, rgba[:, 3], strict=True):
                made += [self._crop(rng, image, alpha) for _ in range(_CROPS_PER_IMAGE)]
        return torch.stack(made)[: self.settings.batch] * 2.0 - 1.0

    def _crop(self, rng: np.random.Generator, image: Tensor, alpha: Tensor) -> Tensor:
        """A crop that holds a random pixel of the subject somewhere."""
        size = image.shape[-1]
        inside = alpha.flatten().nonzero()[:, 0]
        spot = int(inside[rng.integers(len(inside))]) if len(inside) else size * size // 2
        y, x = divmod(spot, size)
        y = int(min(max(y - rng.integers(CROP), 0), size - CROP))
        x = int(min(max(x - rng.integers(CROP), 0), size - CROP))
        return image[:, y : y + CROP, x : x + CROP]

    def preview(self, step: int) -> Tensor:
        """Four crops above what the network makes of them."""
        images = self.crops(10**9)[:: max(self.settings.batch // 8, 1)][:8].to(self.device)
        again = self.model(images).sample
        rows = torch.cat([torch.cat(list(part), dim=2) for part in (images, again)], dim=1)
        return (rows.permute(1, 2, 0) * 0.5 + 0.5).clamp(0, 1)


@torch.no_grad()
def normalise(model: AutoencoderKL, means: Tensor, deviations: Tensor) -> None:
    """Fold per-channel latent statistics [4] into the 1×1 convolutions around the latent, in place.

    After it, latents of the training images have mean 0 and deviation 1 in every channel, so a
    scaling factor of 1 is right and every standard pipeline can use the model as it is.
    """
    mean_rows = slice(0, len(means))
    spread_rows = slice(len(means), 2 * len(means))
    quant, post = model.quant_conv, model.post_quant_conv
    quant.weight[mean_rows] /= deviations[:, None, None, None]
    quant.bias[mean_rows] = (quant.bias[mean_rows] - means) / deviations
    quant.bias[spread_rows] -= 2.0 * deviations.log()
    post.bias += (post.weight[:, :, 0, 0] * means).sum(1)
    post.weight *= deviations[None, :, None, None]


def statistics(model: AutoencoderKL, seed: int, clips: int = 64) -> tuple[Tensor, Tensor]:
    """Mean and deviation [4] of the latents of training images over white at 64²."""
    rng = data.stream(seed, ROLE, "statistics")
    latents = []
    for clip in data.draw_clips(rng, clips):
        sight = data.look(clip, rng.uniform(-180, 180, 4), rng.uniform(-10, 40, 4), rng.random(1))
        images = data.over(sight.rgba[:, 0]) * 2.0 - 1.0
        with torch.no_grad():
            latents.append(model.encode(images).latent_dist.mean)
    stacked = torch.cat(latents).transpose(0, 1).flatten(1)
    return stacked.mean(1), stacked.std(1)


def make_task(settings: ZooSettings, device: str, models: Path) -> AutoencoderTask:
    """The training, from random weights.

    From the shipped ones only the decoder learns on: other models have learnt the latents.
    """
    if settings.start == "fresh":
        return AutoencoderTask(settings, device, new(settings.train.seed))
    model = load_vae(models)
    model.decoder.requires_grad_(True).train()
    return AutoencoderTask(settings, device, model)


def export(task: AutoencoderTask, folder: Path) -> None:
    """Write the averaged network with normalised latents."""
    model = task.averaged()["vae"]
    if task.settings.start == "fresh":
        normalise(model, *statistics(model, task.seed))
    save_model(model, folder)


def new(seed: int) -> AutoencoderKL:
    """An untrained network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, ROLE, "init"))
        return build()
