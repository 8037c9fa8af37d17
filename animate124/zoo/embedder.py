"""The nano image-text embedder: CLIP's idea for 64² images and the toybox's sentences.

A clip is embedded as the normalised mean of its frames (as CLIP4Clip's mean pooling, arXiv
2104.08860). Beside the contrastive loss between captions and clips (CLIP, arXiv 2103.00020) every
clip is told apart from all sentences "a <species> <motion>" of the language, which is CLIP's own
zero-shot classification used as a loss.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from transformers import (
    CLIPTokenizer,
    ResNetConfig,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)

from animate124 import runtime
from animate124.priors.components import load_module
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.toybox.captions import motion_phrase, subject
from animate124.toybox.catalogue import SPECIES, motions_of
from animate124.toybox.clip import Clip
from animate124.zoo import augment, data, normalisation
from animate124.zoo.diffusion import part
from animate124.zoo.folders import save_model, write_preprocessor
from animate124.zoo.language import build_tokenizer, save_tokenizer, text_config
from animate124.zoo.task import ZooTask

ROLE = "embedding"
_FRAMES = 4
MEAN, DEVIATION = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
DEFAULTS = ZooSettings(
    batch=48,
    lr=2e-3,
    warmup=200,
    decay=0.5,
    weight_decay=0.05,
    train=TrainSettings(steps=1000, checkpoint_seconds=120, preview_every=0),
)

PAIRS = [(species, motion) for species in SPECIES for motion in motions_of(species)]
"""Every species with every motion it can do: the classes of the classification loss."""


def vision_config() -> ResNetConfig:
    """Of the residual network, whose features the depth network begins with too."""
    return ResNetConfig(
        embedding_size=32,
        hidden_sizes=[48, 80, 128, 224],
        depths=[1, 1, 1, 1],
        layer_type="basic",
    )


def build() -> VisionTextDualEncoderModel:
    """The untrained network, 1.6 M parameters: a residual network beside a small CLIP text model.

    Convolutions learn these pictures from a tenth of what a vision transformer needs.
    """
    tokenizer = build_tokenizer()
    text = text_config(tokenizer, width=128, layers=3)
    vision = vision_config()
    vision.hidden_size = vision.hidden_sizes[-1]  # what the projection reads
    return VisionTextDualEncoderModel(
        VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=96)
    )


def new(seed: int) -> VisionTextDualEncoderModel:
    """An untrained network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, ROLE, "init"))
        return build()


def pair_sentence(species: str, motion: str) -> str:
    """The plain sentence of a class, such as "a panda is dancing"."""
    return f"{subject(species, {})} {motion_phrase(species, motion)}"


class EmbedderTask(ZooTask):
    """Contrastive and zero-shot classification losses over short clips from one view each."""

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        model: VisionTextDualEncoderModel,
        tokenizer: CLIPTokenizer,
    ) -> None:
        super().__init__(ROLE, settings, {"model": model}, device)
        self.model, self.tokenizer = model, tokenizer
        self.species = self._tokens([subject(species, {}) for species in SPECIES])

    def loss(self, step: int) -> dict[str, Tensor]:
        clips, frames = self.batch(step)
        captions = self._tokens([clip.caption for clip in clips])
        classes, pair = self._classes(clips, step)
        kind = torch.tensor([list(SPECIES).index(c.species) for c in clips]).to(self.device)
        with self.autocast():
            images = self._images(frames.flatten(0, 1).to(self.device)).unflatten(
                0, frames.shape[:2]
            )
            moving = normalize(images.mean(1), dim=-1)
            scale = self.model.logit_scale.clamp(max=4.6).exp()
            said = scale * moving @ self._texts(captions).T
            paired = scale * moving @ self._texts(classes).T
            still = scale * images[:, 0] @ self._texts(self.species).T
        # Sentences that hold for several clips of the batch are no contradiction: the targets
        # share the probability among clips with the same caption.
        same = torch.tensor([[float(a.caption == b.caption) for a in clips] for b in clips])
        target = (same / same.sum(1, keepdim=True)).to(self.device)
        return {
            "caption": 0.5 * (cross_entropy(said, target) + cross_entropy(said.T, target)) * 0.5,
            "pair": cross_entropy(paired, pair),
            "species": 0.5 * cross_entropy(still, kind),
        }

    def batch(self, step: int) -> tuple[list[Clip], Tensor]:
        """Clips and their frames [batch, _FRAMES, 3, H, W] in [0, 1], each from one direction.

        Every clip stands there twice, once seen from near the front, where motion shows best and
        scenes start, and once from anywhere.
        """
        rng = data.stream(self.seed, self.name, "data", step)
        clips, frames = [], []
        for clip in data.draw_clips(rng, max(self.settings.batch // 2, 1)):
            azimuth = np.append(rng.uniform(-60, 60), rng.uniform(-180, 180))
            elevation = rng.uniform(*data.ELEVATIONS, 2)
            times = clip.times(_FRAMES)
            if clip.loop:
                times = (times + rng.random() / _FRAMES) % 1.0
            for rgba in data.look(clip, azimuth, elevation, times).rgba:
                clips.append(clip)
                frames.append(
                    augment.disturbed(rng, data.over(rgba, data.plain_backgrounds(rng, 1)))
                )
        return clips, torch.stack(frames)

    def _classes(self, clips: list[Clip], step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Sentences to choose from, all that the clips' species can do among them, and the choice.

        A third of all sentences a step costs a third of the text encoder's time.
        """
        rng = data.stream(self.seed, self.name, "classes", step)
        present = {clip.species for clip in clips}
        others = [pair for pair in PAIRS if pair[0] not in present]
        chosen = rng.permutation(len(others))[: len(PAIRS) // 3]
        pairs = [pair for pair in PAIRS if pair[0] in present] + [others[i] for i in chosen]
        index = torch.tensor([pairs.index((c.species, c.motion)) for c in clips])
        return self._tokens([pair_sentence(*pair) for pair in pairs]), index.to(self.device)

    def _tokens(self, texts: list[str]) -> dict[str, Tensor]:
        found = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return {key: value.to(self.device) for key, value in found.items()}

    def _images(self, images: Tensor) -> Tensor:
        pooled = self.model.vision_model(pixel_values=images * 2.0 - 1.0).pooler_output.flatten(1)
        return normalize(self.model.visual_projection(pooled), dim=-1)

    def _texts(self, tokens: dict[str, Tensor]) -> Tensor:
        pooled = self.model.text_model(**tokens).pooler_output
        return normalize(self.model.text_projection(pooled), dim=-1)


def make_task(settings: ZooSettings, device: str, models: Path) -> EmbedderTask:
    """The training, from random weights or those in `models`."""
    if settings.start == "fresh":
        return EmbedderTask(settings, device, new(settings.train.seed), build_tokenizer())
    model = load_module(VisionTextDualEncoderModel, part(models, ROLE), torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(models / ROLE, local_files_only=True)
    return EmbedderTask(settings, device, model.requires_grad_(True).train(), tokenizer)


def export(task: EmbedderTask, folder: Path) -> None:
    """Write the averaged network, the tokenizer and the image preprocessing into `folder`."""
    model = task.averaged()["model"]
    recalibrate(model, task)
    save_model(model, folder)
    save_tokenizer(task.tokenizer, folder)
    write_preprocessor(folder, data.SIZE, MEAN, DEVIATION)


def recalibrate(model: VisionTextDualEncoderModel, task: EmbedderTask, batches: int = 20) -> None:
    """Measure the batch normalisation's statistics for the averaged weights, in place."""

    def run(k: int) -> None:
        frames = task.batch(-1 - k)[1].flatten(0, 1)
        model.vision_model(pixel_values=frames * 2.0 - 1.0)

    normalisation.measure(model, run, batches)
