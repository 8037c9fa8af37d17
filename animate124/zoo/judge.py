"""What a clip shows, in the toybox's words: told by the embedder and the action recogniser."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from animate124.priors.action import ActionRecognition
from animate124.priors.embedding import Embedding
from animate124.toybox.captions import subject
from animate124.toybox.catalogue import SPECIES, motions_of

_SPECIES = list(SPECIES)


class Judge:
    """Closed-set classification of clips [F, 3, H, W] in [0, 1].

    Species zero-shot, by the embedder's sentences; motions by `actions`, where there is one.
    """

    def __init__(self, embedding: Embedding, actions: ActionRecognition | None = None) -> None:
        self.embedding, self.actions = embedding, actions
        self.species_bank = embedding.embed_text([subject(name, {}) for name in _SPECIES])

    @classmethod
    def load(cls, models: Path) -> Judge:
        """From the nano models in a folder. Raises UserError if one is absent or damaged."""
        return cls(
            Embedding.load(models / "embedding"),
            ActionRecognition.load(models / "action-recognition"),
        )

    @torch.no_grad()
    def species(self, clip: Tensor) -> str:
        """The most likely of all species."""
        return _SPECIES[int((self.embedding.embed_clip(clip[None]) @ self.species_bank.T).argmax())]

    def motion(self, clip: Tensor, species: str) -> str:
        """The most likely motion of those that a species can do. Needs `actions`."""
        assert self.actions is not None, "no action recogniser was given"
        motions = motions_of(species)
        return motions[int(self.actions.probabilities(clip[None], motions).argmax())]
