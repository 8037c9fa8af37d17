"""How our own video model hears which motion a sentence names: see `zoo.sentences` for why."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from transformers import CLIPTextModel

from animate124.priors.components import load_module
from animate124.priors.text import TextEncoder

SENTENCES = "sentence_encoder"
HARMONICS = 4  # of the loop's phase


class MomentEmbedding(nn.Module):
    """What a sentence, by its last token, says of each moment of a loop.

    The published network tells moments apart in the temporal attention alone and hears the sentence
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
