"""What an image-text embedder and an action recogniser say of a scene.

Their scores bear their names: models do not compare.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate124.stages.evaluate_views import Shown
from animate124.stages.models import Models
from animate124.stages.wording import Wording, fit_wording
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.zoo.judge import Judge


class Critic:
    """The embedder of a profile, and its action recogniser if it has one, with the picture and the
    sentence of a scene.

    prompt, subject: the motion sentence, and what of it is the subject ("": found in it). picture:
    over white [S, S, 3]; rgba: as it was read, straight alpha [H, W, 4].
    Raises UserError where the embedder is absent, or can make nothing of the sentence.
    """

    def __init__(
        self, models: Models, prompt: str, subject: str, picture: Tensor, rgba: np.ndarray
    ) -> None:
        self.wording: Wording = fit_wording(prompt, rgba, models)
        self.subject = fit_wording(subject, rgba, models).sentence if subject.strip() else ""
        self.embedding = models.embedding
        self.toybox = models.language == "toybox"
        self.actions = None
        if self.toybox and models.has("action-recognition"):
            self.actions = models.action_recognition
        self.judge = Judge(self.embedding, self.actions) if self.toybox else None
        with torch.no_grad():
            self.text = self.embedding.embed_text([self.wording.sentence])[0]
            said = self.subject or self.wording.subject or self.wording.sentence
            self.noun = self.embedding.embed_text([said])[0]
            self.picture = self.embedding.embed_images(_channels_first(picture[None]))[0]

    def about(self) -> dict[str, Any]:
        """The model, what it was told, and what guessing would reach."""
        found: dict[str, Any] = {
            "model": self.embedding.name,
            "sentence": self.wording.sentence,
            "warnings": list(self.wording.warnings),
        }
        if self.toybox and self.wording.species:
            found["species"] = self.wording.species
            found["species_top1_chance"] = round(1 / len(SPECIES), 4)
            found["motion"] = self.wording.action
            found["motion_model"] = self.actions.name if self.actions else None
            found["motion_top1_chance"] = round(1 / len(motions_of(self.wording.species)), 4)
        return found

    @torch.no_grad()
    def score(self, shown: Shown) -> dict[str, Any]:
        """Of the unseen sides, over time: cosines to sentence, subject and picture; the share of
        sides that are taken for the right species, and for the right motion; what each was taken
        for. None where the models have no closed language."""
        clips = _channels_first(shown.sides)
        embedded = self.embedding.embed_images(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        whole = torch.nn.functional.normalize(embedded.mean(1), dim=-1)
        scores: dict[str, Any] = {
            "text_cosine": round(float((whole @ self.text).mean()), 4),
            "subject_cosine": round(float((embedded @ self.noun).mean()), 4),
            "image_cosine": round(float((embedded @ self.picture).mean()), 4),
            "species_top1": None,
            "motion_top1": None,
        }
        if self.judge is None or self.wording.species is None:
            return scores
        species = [self.judge.species(clip) for clip in clips]
        scores["species_top1"] = _share(species, self.wording.species)
        scores["species_seen"] = dict(sorted(Counter(species).items()))
        if self.wording.action and self.actions:
            motions = [self.judge.motion(clip, self.wording.species) for clip in clips]
            scores["motion_top1"] = _share(motions, self.wording.action)
            scores["motion_seen"] = dict(sorted(Counter(motions).items()))
        return scores


def _share(found: list[str], right: str) -> float:
    return round(sum(name == right for name in found) / len(found), 4)


def _channels_first(images: Tensor) -> Tensor:
    return images.movedim(-1, -3).contiguous()
