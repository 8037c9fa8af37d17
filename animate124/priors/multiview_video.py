"""Multi-view video: MV-VDM (Animate3D, arXiv 2407.11398), published and nano weights.

Several cameras' clips of one object are denoised together; every camera's frame 0 is given and
stays as it is. MVDream's camera convention is converted in `mvvdm.cameras` and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from animate124.errors import UserError
from animate124.priors import sampling
from animate124.priors.components import check_folder, load_schedule, load_vae
from animate124.priors.guidance import Guidance
from animate124.priors.latent import LatentPrior
from animate124.priors.mvvdm import weights
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.priors.mvvdm.free_init import renoised
from animate124.priors.mvvdm.network import MultiViewUNet
from animate124.priors.preprocess import Preprocess
from animate124.priors.schedule import Schedule
from animate124.priors.text import TextEncoder
from animate124.priors.text_to_image import TextToImage
from animate124.priors.text_to_video import animatediff_schedule
from animate124.priors.told import with_sentences

# CLIP's own preprocessing; IP-Adapter's image encoder is published without a file that says so.
_CLIP = Preprocess(
    224,
    224,
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
    shortest_edge=True,
    crop=(224, 224),
)


@dataclass(frozen=True, eq=False)
class Condition:
    """What the clips of one object's n cameras have to obey, with and without guidance.

    camera [n, 16]; first [n, 4, h, w], scaled latents of frame 0; text and negative [1, L, e];
    image [n, E], embeddings of frame 0, or None. Without guidance the image embedding is 0, while
    cameras and frame 0 stay.
    """

    camera: Tensor
    first: Tensor
    text: Tensor
    negative: Tensor
    image: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Sketch:
    """Clips on the way: `clean` [n, F, 4, h, w], what they look like so far, and `noisy`
    [n, F − 1, 4, h, w] at the first of the timesteps `left`; none: they are done."""

    clean: Tensor
    noisy: Tensor
    left: tuple[int, ...]


class MultiViewVideo(LatentPrior):
    """A denoiser of latents [n, F, 4, h, w]: n cameras, F frames, both chosen at every call."""

    def __init__(
        self,
        unet: MultiViewUNet,
        text: TextEncoder,
        vae: AutoencoderKL,
        schedule: Schedule,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        image_encoder: CLIPVisionModelWithProjection | None = None,
        report: weights.Report | None = None,
    ) -> None:
        """`report` tells what was read, of published weights."""
        super().__init__(vae, schedule, unet.config.sample_size, device, dtype)
        self.unet, self.text, self.image_encoder = unet, text, image_encoder
        self.report = report

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        base: TextToImage | str | Path | None = None,
        image_prompt: str | Path | None = None,
        vae: AutoencoderKL | str | Path | None = None,
    ) -> MultiViewVideo:
        """From one of two layouts; raises UserError if a part or a tensor is missing.

        (a) `unet`, `scheduler` and, where the base's text encoder does not tell motions apart,
        `sentence_encoder`, as our own model, with a text-to-image model `base`, a folder or already
        loaded, for all else, and for the tensors of the network that are its own;
        (b) the published `animate3d_motion_modules.ckpt`, with MVDream's folder `base` and
        IP-Adapter's `image_prompt`. The schedule is AnimateDiff's.
        """
        path = check_folder(folder)
        if base is None:
            raise UserError(
                f"{folder} is a part of a multi-view video model, which needs another model below "
                "it: name its base in the priors profile"
            )
        if (path / "unet").is_dir():
            if not isinstance(base, TextToImage):
                base = TextToImage.load(base, device, dtype, vae=vae)
            unet = weights.load_delta(path / "unet", base.unet.state_dict(), dtype).to(device)
            text = with_sentences(base.text, path, dtype)
            return cls(unet, text, base.vae, load_schedule(path, device), device, dtype)
        if image_prompt is None:
            raise UserError(
                f"{folder} needs IP-Adapter: name it as image_prompt in the priors profile"
            )
        if isinstance(base, TextToImage):
            raise UserError(f"{folder} belongs on MVDream, not on a text-to-image model: name it")
        below = check_folder(base)
        unet, report = weights.load_published(path, below, check_folder(image_prompt), dtype)
        return cls(
            unet.to(device),
            TextEncoder.load(below, device, dtype),
            load_vae(vae, below, device, dtype),
            animatediff_schedule().to(device),
            device,
            dtype,
            weights.load_image_encoder(Path(image_prompt), dtype).to(device),
            report,
        )

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor | None:
        """Embeddings [n, E] of images [n, 3, H, W] in [0, 1]; None where the model has none."""
        if not self.unet.config.image_embed_dim:
            return None
        with self._precision():
            pixels = _CLIP(images.to(self.device)).to(self.dtype)
            return self.image_encoder(pixels).image_embeds.float()

    @torch.no_grad()
    def condition(
        self,
        views: Tensor,
        azimuth: Tensor,
        elevation: Tensor,
        text: str | Tensor,
        negative: str | Tensor = "",
        generator: torch.Generator | None = None,
    ) -> Condition:
        """What clips that begin with these pictures have to obey.

        Args:
            views: frame 0 of each camera [n, 3, H, W] in [0, 1], over the background that the
                model was trained with.
            azimuth, elevation: of the cameras [n], degrees.
            text, negative: sentences or embeddings [1, L, e].
            generator: where given, frame 0's latents are a sample of the autoencoder's posterior,
                as in the published sampling, and else its mode.
        """
        return Condition(
            camera_vectors(azimuth, elevation).to(self.device),
            self.encode_images(views, generator),
            self.text.embed(text, 1),
            self.text.embed(negative, 1),
            self.embed_images(views),
        )

    def _output(self, noisy: Tensor, t: Tensor, condition: Condition, rows: slice) -> Tensor:
        """The network's outputs [rows, n, F, 4, h, w], float32; row 0 obeys the condition, row 1
        does not. `noisy` [n, F, 4, h, w] with frame 0 clean; t [1]."""
        image = condition.image
        images = (image, None if image is None else torch.zeros_like(image))[rows]
        texts = torch.cat((condition.text, condition.negative)[rows])
        count = len(texts)
        some, camera, first = (
            x[None].expand(count, *x.shape) for x in (noisy, condition.camera, condition.first)
        )
        with self._precision():
            output = self.unet(
                some.to(self.dtype),
                t.to(self.device),
                texts.to(self.dtype),
                camera,
                None if image is None else torch.stack(images),
                first.to(self.dtype),
            )
        return output.float()

    def _outputs(
        self, noisy: Tensor, t: Tensor, condition: Condition, together: bool
    ) -> tuple[Tensor, Tensor]:
        """Both rows of `_output`; `together`: in one call, which is faster on a GPU and takes twice
        the memory."""
        if together:
            return tuple(self._output(noisy, t, condition, slice(0, 2)))
        return tuple(self._output(noisy, t, condition, slice(k, k + 1))[0] for k in range(2))

    @torch.no_grad()
    def predict_pair(
        self, noisy: Tensor, t: Tensor, condition: Condition, *, together: bool = True
    ) -> tuple[Tensor, Tensor]:
        """(ε given the condition, ε without), each of the shape of `noisy`.

        Frame 0 of `noisy` is not looked at, the condition's takes its place; its ε is what leads
        from the one to the other, in both predictions, so that frame 0 is told to stay as it is.

        Args:
            noisy: [n, F, 4, h, w], or [1, n, F, 4, h, w] as the objectives of `distill` want it.
            t: timestep, int64 [n] or [1]; that of all cameras and frames.

        Raises ValueError for timesteps that differ.
        """
        flat = noisy[0] if noisy.dim() == 6 else noisy
        if not bool((t == t[0]).all()):
            raise ValueError(f"all cameras share one timestep, got {t.tolist()}")
        t = t[:1]
        outputs = self._outputs(_with_first(flat, condition), t, condition, together)
        a, s = self.schedule.signal_and_noise(t, flat[:, 0])
        first = (flat[:, 0] - a * condition.first) / s
        found = []
        for output in outputs:
            noise = self.schedule.noise_of(output[None], flat[None], t)[0]
            noise = torch.cat([first[:, None], noise[:, 1:]], dim=1)
            found.append(noise.view(noisy.shape))
        return found[0], found[1]

    def timesteps(self, steps: int, strength: float = 1.0) -> list[int]:
        """Falling timesteps: a model of ε starts short of the end, as the published one is sampled
        ("leading", offset 1), any other at the very end. Below a `strength` of 1 only those in that
        share of the schedule, at least one."""
        if self.schedule.prediction != "epsilon":
            every = sampling.timesteps(self.schedule, steps)
        else:
            stride = self.schedule.steps // steps
            every = [stride * k + 1 for k in reversed(range(steps))]
        return [t for t in every if t < strength * self.schedule.steps] or every[-1:]

    def steps_down_to(self, at: Sequence[int], down_to: float) -> int:
        """How many of the falling timesteps a sketch goes through: at least one."""
        limit = down_to * self.schedule.steps
        return next((k for k in range(1, len(at)) if at[k] < limit), len(at))

    @torch.no_grad()
    def sketch(
        self,
        condition: Condition,
        frames: int = 16,
        guidance: Guidance | None = None,
        steps: int = 25,
        generator: torch.Generator | None = None,
        passes: int = 1,
        strength: float = 1.0,
        *,
        down_to: float = 0.0,
        unguided: float = 0.0,
        together: bool = True,
        on_step: Callable[[], None] | None = None,
    ) -> Sketch:
        """Clips by DDIM, as far as wanted; frame 0 is the condition's, bit by bit.

        Args:
            guidance: of text and image embedding; 7.5 if None, without effect at 1.
            passes: more than one: FreeInit (arXiv 2312.07537), which starts again from the result's
                coarse structure; steadier, and with less motion.
            strength: share of the schedule that is gone through: below 1 it starts from frame 0
                repeated, with noise (SDEdit, arXiv 2108.01073): truer to it, and with less motion.
            down_to: share of the schedule below which it stops, in the last pass, after one step at
                least; 0: at the end.
            unguided: share of the schedule, its clean end, that is gone through without guidance
                (arXiv 2404.07724): what happens is decided by then, and half the cost is saved.
            on_step: called after each step, of all passes.
        """
        views, *shape = condition.first.shape
        start = sampling.noise([views, frames - 1, *shape], generator, self.device)
        model = self._denoiser(condition, guidance, unguided, together, on_step)
        at = self.timesteps(steps, strength)
        begin = start[None]
        if strength < 1.0:
            still = condition.first[None, :, None].expand_as(begin)
            begin = self.schedule.add_noise(still, begin, torch.tensor(at[:1]))
        for _ in range(passes - 1):
            clean = sampling.ddim(self.schedule, model, begin, at)
            end = torch.tensor([self.schedule.steps - 1 if strength == 1.0 else at[0]])
            noisy = self.schedule.add_noise(clean, start[None], end)
            fresh = sampling.noise(start.shape, generator, self.device)
            begin = renoised(noisy, fresh[None])
        count = self.steps_down_to(at, down_to)
        walk = sampling.ddim_steps(self.schedule, model, begin, at)
        *_, (clean, noisy) = itertools.islice(walk, count)
        return Sketch(_after(condition.first, clean[0]), noisy[0], tuple(at[count:]))

    @torch.no_grad()
    def finish(
        self,
        condition: Condition,
        sketch: Sketch,
        guidance: Guidance | None = None,
        *,
        unguided: float = 0.0,
        together: bool = True,
        on_step: Callable[[], None] | None = None,
    ) -> Tensor:
        """Scaled latents [n, frames, 4, h, w] of clips that `sketch` began; the rest as there."""
        if not sketch.left:
            return sketch.clean
        model = self._denoiser(condition, guidance, unguided, together, on_step)
        noisy = sketch.noisy[None].to(self.device)
        clean = sampling.ddim(self.schedule, model, noisy, sketch.left)
        return _after(condition.first, clean[0])

    def sample_latents(self, condition: Condition, **options: Any) -> Tensor:
        """Scaled latents [n, frames, 4, h, w] of clips; `options` as `sketch`."""
        return self.sketch(condition, **options).clean

    def _denoiser(
        self,
        condition: Condition,
        guidance: Guidance | None,
        unguided: float,
        together: bool,
        on_step: Callable[[], None] | None,
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """What the network says of frames 1 and later [1, n, F − 1, 4, h, w] at t [1]."""
        guidance = Guidance(7.5) if guidance is None else guidance

        def model(noisy: Tensor, t: Tensor) -> Tensor:
            joined = _after(condition.first, noisy[0])
            if int(t[0]) < unguided * self.schedule.steps:
                output = self._output(joined, t[:1], condition, slice(0, 1))[:, :, 1:]
            else:
                cond, uncond = self._outputs(joined, t[:1], condition, together)
                output = guidance.combine(cond[None, :, 1:], uncond[None, :, 1:])
            if on_step is not None:
                on_step()
            return output

        return model

    def sample(self, condition: Condition, **options: Any) -> Tensor:
        """Clips [n, F, 3, H, W] in [0, 1]; `options` as `sample_latents`."""
        return self.decode_latents(self.sample_latents(condition, **options))


def _with_first(noisy: Tensor, condition: Condition) -> Tensor:
    return _after(condition.first, noisy[:, 1:])


def _after(first: Tensor, rest: Tensor) -> Tensor:
    """Clips [n, F, …] of their frame 0 [n, …] and what follows [n, F − 1, …]."""
    return torch.cat([first[:, None].to(rest), rest], dim=1)
