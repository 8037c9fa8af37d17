"""How our own video models hear which motion a sentence names: see `zoo.sentences` for why."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNetMotionModel
from torch import Tensor, nn
from torch.nn.functional import silu
from transformers import CLIPTextModel

from animate124.errors import UserError
from animate124.priors.components import freeze, load_module
from animate124.priors.tensor_files import read_tensors
from animate124.priors.text import TextEncoder

SENTENCES = "sentence_encoder"
HEARING = "hearing.safetensors"
MOMENT_WIDTH = 256
HARMONICS = 4  # of the loop's phase


class MomentEmbedding(nn.Module):
    """What a sentence, by its last token, says of each moment of a loop.

    The published networks tell moments apart in the temporal attention alone and hear the sentence
    in the spatial one; a small network learns from that to move, but hardly what it is told.
    """

    def __init__(self, context: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.said = nn.Linear(context, hidden)
        self.moment = nn.Linear(2 * HARMONICS, hidden)
        self.inner = nn.Linear(hidden, hidden)
        self.outer = nn.Linear(hidden, embedding)

    def forward(self, text: Tensor, frames: int) -> Tensor:
        """Texts [B, L, context] to embeddings [B, frames, embedding]."""
        said = self.said(text[:, -1])
        # Of the phase of a loop: clips of any length show the whole motion.
        phase = 2 * torch.pi * torch.arange(frames, device=text.device) / frames
        phase = phase[:, None] * torch.arange(1, HARMONICS + 1, device=text.device)
        moment = self.moment(torch.cat([phase.sin(), phase.cos()], 1).to(text.dtype))
        return self.outer(silu(self.inner(silu(said[:, None] + moment))))


def with_sentences(text: TextEncoder, folder: Path, dtype: torch.dtype) -> TextEncoder:
    """`text` with a token more, of the encoder of whole sentences in a model's folder, if any.

    Raises UserError where that encoder is incomplete, RuntimeError where `text` was released.
    """
    if not (folder / SENTENCES).is_dir():
        return text
    if text.model is None:
        raise RuntimeError(f"the text encoder was released before {folder.name} was loaded")
    whole = load_module(CLIPTextModel, folder / SENTENCES, dtype)
    return TextEncoder(text.tokenizer, text.model, whole.to(text.model.device))


class Hearing:
    """What makes a motion network on a text-to-image one hear which motion it is told.

    Its cross-attention, learnt anew, and what the sentence says of each moment, which is added to
    the last token: every frame has a text of its own.
    """

    def __init__(self, unet: UNetMotionModel, moments: MomentEmbedding | None = None) -> None:
        """Moments that are not given are drawn anew."""
        width = unet.config.cross_attention_dim
        self.moments = moments or MomentEmbedding(width, MOMENT_WIDTH, width)
        self.attention = {
            name: module
            for name, module in unet.named_modules()
            if name.endswith(".attn2") and ".attentions." in name
        }

    def texts(self, text: Tensor, frames: int) -> Tensor:
        """Texts [B, L, C] to those of the frames, [B·frames, L, C]."""
        told = text.repeat_interleave(frames, dim=0)
        last = told[:, -1:] + self.moments(text, frames).flatten(0, 1)[:, None]
        return torch.cat([told[:, :-1], last], dim=1)

    def state(self) -> dict[str, Tensor]:
        """All tensors by name, for a file."""
        return _modules(self).state_dict()

    @classmethod
    def load(cls, path: Path, unet: UNetMotionModel) -> Hearing:
        """Give `unet` the cross-attention in a file.

        Raises UserError where a tensor is missing, left over or of another shape.
        """
        hearing = cls(unet)
        try:
            _modules(hearing).load_state_dict(read_tensors(path))
        except RuntimeError:
            raise UserError(f"{path} does not fit the network below it: fetch both again") from None
        freeze(hearing.moments.to(unet.device, unet.dtype))
        return hearing


def _modules(hearing: Hearing) -> nn.ModuleDict:
    named = {name.replace(".", "/"): module for name, module in hearing.attention.items()}
    return nn.ModuleDict(named | {"moments": hearing.moments})
