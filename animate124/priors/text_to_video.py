"""Text-to-video: ModelScope (arXiv 2308.06571), AnimateDiff (arXiv 2307.04725) and the nano model.

ModelScope is a 3D UNet of its own. AnimateDiff is a motion adapter on a text-to-image model's
UNet, from which it also takes the text encoder and the autoencoder. Ours is the nano multi-view
video model with one camera, which was also taught clips of which only the sentence is known.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    UNet3DConditionModel,
    UNetMotionModel,
)
from torch import Tensor

from animate124.errors import UserError
from animate124.priors import sampling
from animate124.priors.components import (
    check_folder,
    freeze,
    load_module,
    load_schedule,
    load_vae,
    quiet,
    read_json,
)
from animate124.priors.mvvdm.network import CAMERA, MultiViewUNet
from animate124.priors.mvvdm.weights import load_delta
from animate124.priors.schedule import Schedule
from animate124.priors.text import TextEncoder
from animate124.priors.text_prior import TextPrior
from animate124.priors.text_to_image import TextToImage
from animate124.priors.told import with_sentences


class TextToVideo(TextPrior):
    """A text-conditioned denoiser of clips: latents [B, F, 4, h, w], F chosen at every call."""

    def __init__(
        self,
        unet: UNet3DConditionModel | UNetMotionModel | MultiViewUNet,
        text: TextEncoder,
        vae: AutoencoderKL,
        schedule: Schedule,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(text, vae, schedule, unet.config.sample_size, device, dtype)
        self.unet = unet

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        base: TextToImage | str | Path | None = None,
        vae: AutoencoderKL | str | Path | None = None,
    ) -> TextToVideo:
        """From one of three layouts; raises UserError if a part is missing.

        (a) a whole pipeline whose `unet` is a UNet3DConditionModel or a UNetMotionModel;
        (b) a motion adapter (in `folder` itself or in its `motion_adapter`), with a text-to-image
        model `base`, a folder or already loaded. The schedule is that of the adapter's `scheduler`;
        published adapters have none: then AnimateDiff's linear one on a base that predicts ε, as
        all of theirs do, and the base's own on any other;
        (c) our own multi-view video model, with its text-to-image model `base`.
        """
        path = check_folder(folder)
        adapter = path / "motion_adapter" if (path / "motion_adapter").is_dir() else path
        if (adapter / "config.json").is_file():
            return cls._load_adapter(adapter, path, device, dtype, base, vae)
        config = read_json(path, "unet/config.json")
        if config.get("_class_name") == MultiViewUNet.__name__:
            return cls._load_own(path, device, dtype, base, vae)
        kinds = {kind.__name__: kind for kind in (UNet3DConditionModel, UNetMotionModel)}
        if config.get("_class_name") not in kinds:
            raise UserError(
                f"{path}/unet is a {config.get('_class_name')}, not a text-to-video model: "
                "name another model in the priors profile"
            )
        unet = load_module(kinds[config["_class_name"]], path / "unet", dtype).to(device)
        if base is not None and not (path / "text_encoder").exists():
            base = _load_base(base, device, dtype, vae)
            return cls(unet, base.text, base.vae, load_schedule(path, device), device, dtype)
        return cls(
            unet,
            TextEncoder.load(path, device, dtype),
            load_vae(vae, path, device, dtype),
            load_schedule(path, device),
            device,
            dtype,
        )

    @classmethod
    def _load_adapter(
        cls,
        adapter: Path,
        folder: Path,
        device: str,
        dtype: torch.dtype,
        base: TextToImage | str | Path | None,
        vae: AutoencoderKL | str | Path | None,
    ) -> TextToVideo:
        if base is None:
            raise UserError(
                f"{folder} is a motion adapter, which needs a text-to-image model: "
                "name its base in the priors profile"
            )
        base = _load_base(base, device, dtype, vae)
        motion = load_module(MotionAdapter, adapter, dtype)
        with quiet():
            unet = freeze(UNetMotionModel.from_unet2d(base.unet, motion).to(device))
        if (folder / "scheduler").is_dir():
            schedule = load_schedule(folder, device)
        else:
            theirs = base.schedule.prediction == "epsilon"
            schedule = animatediff_schedule().to(device) if theirs else base.schedule
        return cls(unet, base.text, base.vae, schedule, device, dtype)

    @classmethod
    def _load_own(
        cls,
        path: Path,
        device: str,
        dtype: torch.dtype,
        base: TextToImage | str | Path | None,
        vae: AutoencoderKL | str | Path | None,
    ) -> TextToVideo:
        if base is None:
            raise UserError(
                f"{path} holds what differs from a text-to-image model: name its base in the "
                "priors profile"
            )
        base = _load_base(base, device, dtype, vae)
        unet = load_delta(path / "unet", base.unet.state_dict(), dtype).to(device)
        text = with_sentences(base.text, path, dtype)
        return cls(unet, text, base.vae, load_schedule(path, device), device, dtype)

    def _output(self, noisy: Tensor, t: Tensor, text: Tensor) -> Tensor:
        frames = noisy.shape[1]
        if isinstance(self.unet, MultiViewUNet):
            # No camera, no frame 0: the sentence says all.
            unknown = torch.zeros(len(noisy), 1, CAMERA, device=noisy.device)
            with self._precision():
                output = self.unet(noisy[:, None].to(self.dtype), t, text, unknown)
            return output[:, 0].float()
        if isinstance(self.unet, UNetMotionModel):
            # Its spatial blocks see every frame as a row of its own.
            text = text.repeat_interleave(frames, dim=0)
        with self._precision():
            output = self.unet(
                noisy.transpose(1, 2).to(self.dtype), t, text.to(self.dtype), return_dict=False
            )[0]
        return output.float().transpose(1, 2)

    @torch.no_grad()
    def sample(
        self,
        text: str | list[str],
        negative: str = "",
        scale: float = 7.5,
        steps: int = 30,
        generator: torch.Generator | None = None,
        frames: int = 16,
        size: int | tuple[int, int] | None = None,
    ) -> Tensor:
        """Clips [B, F, 3, H, W] of the sentences, by DDIM with guidance `scale` (1: none)."""
        texts = [text] if isinstance(text, str) else text
        shape = self.latent_shape(len(texts), size)
        start = sampling.noise([shape[0], frames, *shape[1:]], generator, self.device)
        return self.decode_latents(self._sample(start, texts, negative, scale, steps))


def animatediff_schedule() -> Schedule:
    """The schedule AnimateDiff's published modules were trained with: β linear, 1000 steps."""
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="linear")
    return Schedule.from_scheduler(scheduler)


def _load_base(
    base: TextToImage | str | Path,
    device: str,
    dtype: torch.dtype,
    vae: AutoencoderKL | str | Path | None,
) -> TextToImage:
    if isinstance(base, TextToImage):
        return base
    return TextToImage.load(base, device, dtype, vae=vae)
