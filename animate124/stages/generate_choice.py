"""Which of several generated clips is the best: it does what it was told, moves, and is one body
from all sides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from animate124.geometry.cameras import Cameras
from animate124.metrics.consistency import silhouette_agreement
from animate124.metrics.motion import amplitude
from animate124.priors.embedding import Embedding

_COVERED = 0.04  # difference from the background that counts as subject
_LEAST = 0.01  # likeness below this is as bad as none


@dataclass(frozen=True)
class Merit:
    """likeness: mean cosine of the views' clips to the sentence, None without an embedder;
    amplitude: mean change of the pixels over time; agreement: of the silhouettes of one moment."""

    likeness: float | None
    amplitude: float
    agreement: float

    @property
    def score(self) -> float:
        """Their product; where clips hardly move, or no view fits the others, it is near 0."""
        told = 1.0 if self.likeness is None else max(self.likeness, _LEAST)
        return told * self.amplitude * self.agreement

    def record(self) -> dict[str, float | None]:
        """For the stage's record."""
        found = asdict(self) | {"score": self.score}
        return {name: None if v is None else round(v, 5) for name, v in found.items()}


@torch.no_grad()
def judge(
    clips: Tensor, background: float, cameras: Cameras, sentence: str, embedding: Embedding | None
) -> Merit:
    """What clips [n, F, 3, H, W] over a grey background are worth."""
    likeness = None
    if embedding is not None:
        words = embedding.embed_text([sentence])
        likeness = float((embedding.embed_clip(clips) @ words.T).mean())
    last = clips.permute(0, 1, 3, 4, 2)
    covered = ((clips - background).abs().amax(dim=2) > _COVERED).float()
    moments = [silhouette_agreement(covered[:, k], cameras) for k in range(clips.shape[1])]
    return Merit(likeness, float(np.mean([amplitude(c) for c in last])), float(np.mean(moments)))
