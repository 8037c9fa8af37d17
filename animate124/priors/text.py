"""Text encoders: sentences to embeddings, cached, so that the network can be released early."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from animate124.errors import UserError
from animate124.priors.components import load_module, require
from animate124.priors.views import without_view

Text = str | list[str] | Tensor
"""A sentence, one sentence a row, or embeddings [1 or B, L, C]."""


class TextEncoder:
    """A CLIP text model with its tokenizer; the last hidden state is the embedding.

    `sentence`: another one, whose pooled state is one more token at the end. It says what happens,
    from whatever side: it learnt from sentences without words for the view, and hears none.
    """

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        model: CLIPTextModel,
        sentence: CLIPTextModel | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model: CLIPTextModel | None = model
        self.sentence = sentence
        self.length = model.config.max_position_embeddings
        self._cache: dict[str, Tensor] = {}

    @classmethod
    def load(cls, folder: Path, device: str, dtype: torch.dtype) -> TextEncoder:
        """From `tokenizer/` and `text_encoder/` of a model folder."""
        if not (folder / "tokenizer" / "tokenizer.json").is_file():
            for name in ("vocab.json", "merges.txt"):  # the published models' older format
                require(folder, f"tokenizer/{name}")
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        model = load_module(CLIPTextModel, require(folder, "text_encoder"), dtype)
        return cls(tokenizer, model.to(device))

    def tokenize(self, texts: list[str]) -> Tensor:
        """Token ids [B, L]; a text longer than the encoder reads is cut, with a warning."""
        for text in texts:
            count = len(self.tokenizer(text).input_ids)
            if count > self.length:
                warnings.warn(
                    f"the text encoder reads {self.length} tokens and {text!r} has {count}: "
                    "its end is ignored",
                    stacklevel=3,
                )
        return self.tokenizer(
            texts,
            padding="max_length",
            max_length=self.length,
            truncation=True,
            return_tensors="pt",
        ).input_ids

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Tensor:
        """Embeddings float32 [B, L, C]; each sentence is computed once.

        Raises RuntimeError for a sentence that is not cached once the network was released.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if new:
            self._cache.update(zip(new, self.states(new), strict=True))
        return torch.stack([self._cache[text] for text in texts])

    @torch.no_grad()
    def states(self, texts: list[str]) -> Tensor:
        """As `encode`, but nothing is kept: for a training, which sees sentences without end."""
        if self.model is None:
            raise RuntimeError(f"the text encoder was released before {texts[0]!r} was encoded")
        ids = self.tokenize(texts).to(self.model.device)
        with torch.autocast(self.model.device.type, enabled=False):
            states = self.model(ids).last_hidden_state
            if self.sentence is not None:
                plain = self.tokenize([without_view(text) for text in texts]).to(ids.device)
                states = torch.cat([states, self.sentence(plain).pooler_output[:, None]], 1)
            return states.float()

    def embed(self, text: Text, batch: int) -> Tensor:
        """Embeddings [batch, L, C] of sentences or of embeddings given already."""
        if not isinstance(text, Tensor):
            text = self.encode([text] if isinstance(text, str) else list(text))
        if len(text) not in (1, batch):
            raise ValueError(f"{len(text)} texts for a batch of {batch}")
        return text.expand(batch, *text.shape[1:])

    def release(self) -> None:
        """Drop the networks; what was encoded stays usable."""
        self.model = self.sentence = None

    @torch.no_grad()
    def add_token(self, name: str, vector: Tensor) -> int:
        """Teach the encoder a new word `name` with embedding `vector` [C]; returns its token id.

        Raises UserError if the word is known or the vector is of another encoder's width.
        """
        if self.model is None:
            raise RuntimeError(f"the text encoder was released before {name!r} was added")
        width = self.model.config.hidden_size
        if vector.shape != (width,):
            raise UserError(
                f"the embedding of {name!r} has shape {list(vector.shape)} and this text encoder "
                f"needs [{width}]: invert the image again with this model"
            )
        if self.tokenizer.add_tokens([name]) != 1:
            raise UserError(f"the tokenizer knows {name!r} already: choose another placeholder")
        index = self.tokenizer.convert_tokens_to_ids(name)
        # A tokenizer may be smaller than the table: then a spare row is used.
        if index >= self.model.get_input_embeddings().num_embeddings:
            self.model.resize_token_embeddings(index + 1, mean_resizing=False)
        self.model.get_input_embeddings().weight[index] = vector.to(
            self.model.device, self.model.dtype
        )
        self._cache.clear()
        return index
