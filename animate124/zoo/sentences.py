"""A text encoder that tells motions apart.

The text encoder that learnt beside text-to-image saw single pictures, in which a fox that waves
looks like a fox that dances: of its states, of norm 7, those of the two sentences differ by 0.01. A
video model that hears no other one cannot know what it is told. This one learns from sentences
alone, within a minute, to name motion and species; its pooled state is one more token for the video
model.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import CLIPTextModel, CLIPTokenizer

from animate124.toybox.captions import motion_prompt, static_prompt
from animate124.toybox.catalogue import SPECIES
from animate124.toybox.motions import MOTIONS
from animate124.zoo import data
from animate124.zoo.diffusion import seeded
from animate124.zoo.language import text_config, token_ids

KINDS, ACTIONS = tuple(SPECIES), tuple(MOTIONS)
_STEPS, _BATCHES, _BATCH, _RATE = 400, 40, 48, 2e-3


def build(tokenizer: CLIPTokenizer, width: int) -> CLIPTextModel:
    """The untrained encoder, one layer."""
    return CLIPTextModel(text_config(tokenizer, width, layers=1))


def pooled(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, texts: list[str]) -> Tensor:
    """States [B, C] of whole sentences, padded as at inference."""
    return encoder(token_ids(tokenizer, texts).to(encoder.device)).pooler_output


def trained(tokenizer: CLIPTokenizer, width: int, seed: int, steps: int = _STEPS) -> CLIPTextModel:
    """An encoder that names motions and species, frozen; it depends on the seed alone."""
    with seeded(seed, "sentences"):
        encoder = build(tokenizer, width).train()
        # The last class of either: the sentence names none.
        heads = nn.ModuleList(nn.Linear(width, len(some) + 1) for some in (KINDS, ACTIONS))
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, _RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, steps)
    sentences = cache(lambda k: examples(seed, k))
    for step in range(steps):
        texts, truth = sentences(step % _BATCHES)
        state = pooled(tokenizer, encoder, texts)
        loss = sum(cross_entropy(head(state), truth[:, k]) for k, head in enumerate(heads))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return encoder.eval().requires_grad_(False)


def examples(seed: int, key: int) -> tuple[list[str], Tensor]:
    """Sentences, and the species and the motion that each names, int64 [B, 2]."""
    rng = data.stream(seed, "sentences", key)
    texts, truth = [], []
    for clip in data.draw_clips(rng, _BATCH):
        kind, action = KINDS.index(clip.species), ACTIONS.index(clip.motion)
        drawn = rng.random()
        if drawn < 0.05:
            texts.append("")
            kind, action = len(KINDS), len(ACTIONS)
        elif drawn < 0.15:
            texts.append(static_prompt(clip))
            action = len(ACTIONS)
        else:
            texts.append(clip.caption if rng.random() < 0.5 else motion_prompt(clip))
        truth.append((kind, action))
    return texts, torch.tensor(truth)
