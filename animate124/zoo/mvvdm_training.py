"""Training MV-VDM (Animate3D, arXiv 2407.11398) at its published size, on a dataset on disk.

The motion modules and the adapter to frame 0 learn; MVDream, IP-Adapter, the autoencoder and the
encoders stay as they are. Beyond the published training, image embeddings and frame 0 are left out
at times, cameras are told where they really stand, and the image encoder sees the range it expects.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from animate124 import runtime
from animate124.errors import UserError
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.priors.mvvdm.weights import is_trained
from animate124.priors.text import TextEncoder
from animate124.settings.mvvideo import MvVideoTrainSettings
from animate124.training import Task
from animate124.zoo import data
from animate124.zoo.accelerated import Accelerated
from animate124.zoo.first_frame import error_beyond_first, with_first
from animate124.zoo.mvvideo_data import MultiViewClips
from animate124.zoo.task import clip_before_step

GREY = 128 / 255  # what the published model's clips stand on
_ENCODED_AT_ONCE = 8  # images: bounds the memory of encoding a clip


class MvVdmTask(Task):
    """Denoising of a clip from all cameras at once, given frame 0 and a sentence.

    A step sees `accumulate` clips in each process, one by one. Clip i of all that a step sees is a
    function of (seed, step, i): whether two processes see one each or one sees both, the gradient
    is the same, up to rounding.
    """

    name = "mvvideo-train"

    def __init__(
        self,
        model: MultiViewVideo,
        clips: MultiViewClips,
        settings: MvVideoTrainSettings,
        processes: Accelerated,
    ) -> None:
        """`model` as from `trainable`, on the device of `processes`."""
        self.model, self.clips, self.settings = model, clips, settings
        self.processes, self.device = processes, processes.device
        self.seed = settings.train.seed
        self.network = model.unet.train()
        self.network.checkpoint_layers(settings.recompute)
        self.learnt = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        self.wrapped = processes.wrap(self.network)

    def parameters(self) -> list[dict[str, Any]]:
        settings = self.settings
        rates = {"lr": settings.lr, "weight_decay": settings.weight_decay}
        return [{"params": list(self.learnt.items()), **rates}]

    def optimizer(self) -> torch.optim.Optimizer:
        optimizer = torch.optim.AdamW(self.parameters(), fused=True)
        clip_before_step(optimizer, self.learnt.values(), self.settings.clip_norm)
        return optimizer

    def loss(self, step: int) -> dict[str, Tensor]:
        count = self.settings.accumulate
        before = torch.zeros((), device=self.device)
        for turn in range(count - 1):
            with self.processes.apart(self.wrapped):
                part = self.error(step, self._index(turn)) / count
                part.backward()
            before += part.detach()
        last = self.error(step, self._index(count - 1)) / count
        # The number is the mean over all clips, so that every process tells and checks the same;
        # the gradient is of what is left to go back through.
        told = self.processes.mean(before + last)
        return {"denoise": last + (told - last.detach())}

    def _index(self, turn: int) -> int:
        return turn * self.processes.count + self.processes.index

    def error(self, step: int, index: int) -> Tensor:
        """The loss of clip `index` of a step: the mean squared error of the noise that is told."""
        model, generator = self.model, self._generator(step, index)
        videos, caption, camera = self.sample(step, index)
        no_text, no_image, no_first = self.dropped(generator)
        latents = self._encoded(videos, generator)[None]
        t = torch.randint(model.schedule.steps, (1,), generator=generator).to(self.device)
        noise = torch.randn(latents.shape, generator=generator).to(self.device)
        keep = torch.tensor([float(not no_first)], device=self.device)
        noisy = model.schedule.add_noise(latents, noise, t)
        noisy = with_first(noisy, latents[:, :, 0], keep)
        image = model.embed_images(videos[:, 0])
        output = self.wrapped(
            noisy,
            t,
            model.text.states(["" if no_text else caption]),
            camera[None],
            (torch.zeros_like(image) if no_image else image)[None],
        )
        return error_beyond_first(output.float(), noise, keep)

    def sample(self, step: int, index: int) -> tuple[Tensor, str, Tensor]:
        """Videos [n, F, 3, H, W] in [0, 1], sentence and cameras [n, 16] of a step's clip."""
        rng = data.stream(self.seed, self.name, "data", step, index)
        shot = self.clips.draw(rng)
        background: Tensor | float = GREY
        if self.settings.background == "drawn":
            background = data.plain_backgrounds(rng, 1, white=0.0)
        videos = data.over(shot.rgba, background).to(self.device)
        return videos, shot.caption, camera_vectors(shot.azimuth, shot.elevation).to(self.device)

    def dropped(self, generator: torch.Generator) -> tuple[bool, bool, bool]:
        """Whether sentence, image embeddings and clean frame 0 are kept from the network."""
        settings = self.settings
        draw, other = torch.rand(2, generator=generator).tolist()
        text, image = settings.drop_text, settings.drop_image
        both = text + image <= draw < text + image + settings.drop_both
        return draw < text or both, text <= draw < text + image or both, other < settings.drop_first

    @torch.no_grad()
    def _encoded(self, videos: Tensor, generator: torch.Generator) -> Tensor:
        """Latents [n, F, 4, h, w], a sample of the autoencoder's posterior."""
        parts = videos.flatten(0, 1).split(_ENCODED_AT_ONCE)
        latents = [self.model.encode_images(part, generator) for part in parts]
        return torch.cat(latents).unflatten(0, videos.shape[:2])

    def _generator(self, step: int, index: int) -> torch.Generator:
        return runtime.generator(self.seed, self.name, "noise", step, index)


def trainable(model: MultiViewVideo, size: int, device: str, precision: str) -> MultiViewVideo:
    """The model, which is in float32, on `device` and for pictures of `size` pixels: what learns in
    float32 and wanting a gradient, all else frozen and, where `precision` is "bf16", in bfloat16.
    It is changed in place.

    Raises UserError for a model that is not of the published layout, and a size it cannot encode.
    """
    if model.report is None:
        raise UserError(
            "This profile's multi-view video model is not of the published layout: train it with "
            "`animate124 zoo train multi-view-video`, or give a profile such as animate3d."
        )
    if size % model.factor:
        raise UserError(f"The size {size} is no multiple of {model.factor}: choose another.")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    for name, parameter in model.unet.named_parameters():
        learns = is_trained(name)
        parameter.requires_grad_(learns)
        parameter.data = parameter.data.to(device, torch.float32 if learns else dtype)
    # Not diffusers' own `to`, which warns of layers to be kept in float32 and then names none.
    vae, text, image = (
        nn.Module.to(module, device, dtype)
        for module in (model.vae, model.text.model, model.image_encoder)
    )
    placed = MultiViewVideo(
        model.unet,
        TextEncoder(model.text.tokenizer, text),
        vae,
        model.schedule.to(device),
        device,
        dtype,
        image,
        model.report,
    )
    placed.image_size = size
    return placed
