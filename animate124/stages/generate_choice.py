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
from animate124.stages.models import Models
from animate124.stages.wording import in_toybox_words
from animate124.toybox.catalogue import motions_of

_COVERED = 0.04  # difference from the background that counts as subject
_LEAST = 0.01  # likeness below this is as bad as none


@dataclass(frozen=True)
class Merit:
    """likeness: mean cosine of the views' clips to the sentence, None without an embedder;
    performed: how probable it is that they do what they were told, None without an action
    recogniser; amplitude: mean change of the pixels over time; agreement: of the silhouettes of one
    moment."""

    likeness: float | None
    performed: float | None
    amplitude: float
    agreement: float

    @property
    def score(self) -> float:
        """Their product; where clips hardly move, or no view fits the others, it is near 0."""
        told = 1.0 if self.likeness is None else max(self.likeness, _LEAST)
        acts = 1.0 if self.performed is None else max(self.performed, _LEAST)
        return told * acts * self.amplitude * self.agreement

    def record(self) -> dict[str, float | None]:
        """For the stage's record."""
        found = asdict(self) | {"score": self.score}
        return {name: None if v is None else round(v, 5) for name, v in found.items()}


@torch.no_grad()
def judge(
    clips: Tensor, background: float, cameras: Cameras, sentence: str, models: Models
) -> Merit:
    """What clips [n, F, 3, H, W] over a grey background are worth; `sentence` is in the words that
    the profile's text models know."""
    likeness = None
    if models.has("embedding"):
        words = models.embedding.embed_text([sentence])
        likeness = float((models.embedding.embed_clip(clips) @ words.T).mean())
    last = clips.permute(0, 1, 3, 4, 2)
    covered = ((clips - background).abs().amax(dim=2) > _COVERED).float()
    moments = [silhouette_agreement(covered[:, k], cameras) for k in range(clips.shape[1])]
    return Merit(
        likeness,
        _performed(clips, sentence, models),
        float(np.mean([amplitude(c) for c in last])),
        float(np.mean(moments)),
    )


def _performed(clips: Tensor, sentence: str, models: Models) -> float | None:
    """How probable it is that clips show the action of a sentence, the mean over their sides."""
    if models.language != "toybox" or not models.has("action-recognition"):
        return None
    told = in_toybox_words(sentence)
    if told.action is None:
        return None
    actions = models.action_recognition
    among = list(motions_of(told.species)) if told.species else actions.labels
    return float(actions.probabilities(clips, among)[:, among.index(told.action)].mean())
