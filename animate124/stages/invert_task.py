"""Textual inversion: what is optimised."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from animate124 import runtime
from animate124.priors.inversion import NewWord, denoising_loss, initial_vector
from animate124.priors.subject import draw_images, over, prepare_subject
from animate124.priors.text_to_image import TextToImage
from animate124.settings.invert import InversionSettings
from animate124.training import Task

_ENCODED_AT_ONCE = 8


class InvertTask(Task):
    """Learns a word for the subject of an image (arXiv 2208.01618; spec §2).

    Pictures are drawn anew for every step: the matted subject over another background, a little
    moved, turned and scaled. They reach the autoencoder in [−1, 1] like everything else that
    `prior.encode_images` takes (the published code gave it [0, 1]).

    Args:
        prior: its networks are used as they are, and none of their weights changes.
        image: straight-alpha RGBA [H, W, 4] in [0, 1].
        word: the known word that the new one starts from, such as "fox".
        settings: with no null left in them (`InversionSettings.for_language`).
        templates: sentences with one {} each, in the prior's language (`inversion.TEMPLATES`).

    Raises:
        UserError: an image without a matte, an unknown word, or a token name that cannot be used.
        ValueError: a prior in float16, whose gradients would vanish; load it in bfloat16.
    """

    name = "invert"

    def __init__(
        self,
        prior: TextToImage,
        image: np.ndarray,
        word: str,
        settings: InversionSettings,
        templates: Sequence[str],
    ) -> None:
        if prior.dtype == torch.float16:
            raise ValueError("textual inversion needs a prior in bfloat16 or float32, not float16")
        self.prior, self.settings, self.seed = prior, settings, settings.train.seed
        self.word = NewWord(prior.text, settings.token, templates)
        self.vector = torch.nn.Parameter(initial_vector(prior.text, word).to(prior.device))
        self.subject = prepare_subject(image, prior.image_size)
        self._cache = self._encode_cache() if settings.cached else None

    def parameters(self) -> list[dict]:
        return [{"params": [("vector", self.vector)], "lr": self.settings.lr}]

    def loss(self, step: int) -> dict[str, Tensor]:
        g = runtime.generator(self.seed, self.name, "draw", step)
        count, device = self.settings.batch, self.prior.device
        if self._cache is None:
            latents = self._encode(count, g)
        else:
            latents = self._cache[torch.randint(len(self._cache), (count,), generator=g)]
        latents = latents.to(device)
        t = torch.randint(self.prior.schedule.steps, (count,), generator=g).to(device)
        noise = torch.randn(latents.shape, generator=g).to(device)
        which = torch.randint(len(self.word.templates), (count,), generator=g)
        text = self.word.encode(which, self.vector)
        return {"denoise": denoising_loss(self.prior, latents, t, noise, text)}

    def preview(self, step: int) -> Tensor:
        """The subject over white, then samples of the first template, always from one noise."""
        settings = self.settings
        which = torch.zeros(settings.preview_images, dtype=torch.int64)
        samples = self.prior.sample(
            self.word.encode(which, self.vector),
            scale=settings.preview_scale,
            steps=min(settings.preview_steps, self.prior.schedule.steps),
            generator=runtime.generator(self.seed, self.name, "preview"),
        )
        row = torch.cat([over(self.subject, 1.0)[None], samples.cpu()])
        return row.permute(2, 0, 3, 1).flatten(1, 2)

    def _encode(self, count: int, generator: torch.Generator) -> Tensor:
        pictures = draw_images(self.subject, count, self.settings, generator)
        with torch.no_grad():
            return self.prior.encode_images(pictures, generator)

    def _encode_cache(self) -> Tensor:
        """Latents [cached, 4, h, w] on the CPU, from the seed alone: a resumed run has the same."""
        g = runtime.generator(self.seed, self.name, "cache")
        left, parts = self.settings.cached, []
        while left:
            parts.append(self._encode(min(left, _ENCODED_AT_ONCE), g).cpu())
            left -= len(parts[-1])
        return torch.cat(parts)
