"""Images, clips and sentences in one space: CLIP (arXiv 2103.00020) and models of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from animate124.errors import UserError
from animate124.priors.components import check_folder, load_module, read_json, require
from animate124.priors.preprocess import Preprocess, check_images, load_preprocess


class Embedding:
    """A frozen CLIP; embeddings are unit vectors, so that their products are cosines.

    `name` is the model's name, to label scores with: scores of different models do not compare.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, preprocess: Preprocess, name: str) -> None:
        self.model, self.tokenizer, self.preprocess, self.name = model, tokenizer, preprocess, name

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Load a folder with its tokenizer, preprocessor config and network: a CLIPModel, or a
        VisionTextDualEncoderModel, CLIP's scheme with any two networks, as the nano model is.

        Raises UserError if one of them is missing or damaged.
        """
        from transformers import AutoTokenizer, CLIPModel, VisionTextDualEncoderModel

        folder = check_folder(folder)
        kind = read_json(folder, "config.json").get("model_type")
        dual = kind == "vision-text-dual-encoder"
        # Without its files transformers makes up an empty tokenizer.
        require(folder, "tokenizer.json" if (folder / "tokenizer.json").exists() else "vocab.json")
        network = VisionTextDualEncoderModel if dual else CLIPModel
        model = load_module(network, folder, dtype).to(device)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise UserError(f"The tokenizer in {folder} cannot be loaded ({reason}).") from None
        return cls(model, tokenizer, load_preprocess(folder), model_name(folder))

    @property
    def width(self) -> int:
        """E, the length of an embedding."""
        return self.model.config.projection_dim

    def embed_images(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] to unit vectors [B, E]; differentiable."""
        check_images(images)
        pixels = self.preprocess(images.to(self.model.device, torch.float32))
        found = self.model.vision_model(pixel_values=pixels.to(self.model.dtype)).pooler_output
        # A residual network pools to [B, C, 1, 1].
        return normalize(self.model.visual_projection(found.flatten(1)).float(), dim=-1)

    def embed_clip(self, frames: Tensor) -> Tensor:
        """Clips [B, F, 3, H, W] in [0, 1] to unit vectors [B, E]; differentiable.

        The normalised mean of the frames' embeddings (CLIP4Clip's mean pooling, arXiv 2104.08860).
        """
        check_images(frames, ndim=5)
        found = self.embed_images(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return normalize(found.mean(1), dim=-1)

    @torch.no_grad()
    def embed_text(self, texts: list[str]) -> Tensor:
        """Sentences to unit vectors [B, E]. Raises UserError for one that is too long to read."""
        assert not isinstance(texts, str), "a list of sentences, not one"
        limit = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(list(texts), padding=True, return_tensors="pt")
        lengths = tokens["attention_mask"].sum(1)
        if int(lengths.max()) > limit:
            worst = texts[int(lengths.argmax())]
            raise UserError(
                f"The sentence {worst!r} has {int(lengths.max())} tokens, but {self.name} reads at "
                f"most {limit}: shorten it."
            )
        tokens = {key: tokens[key].to(self.model.device) for key in ("input_ids", "attention_mask")}
        found = self.model.text_model(**tokens).pooler_output
        return normalize(self.model.text_projection(found).float(), dim=-1)


def model_name(folder: Path) -> str:
    """The name of the model in a folder: its card's, else its hub id, else the folder's name."""
    if (folder / "card.json").is_file() and (name := read_json(folder, "card.json").get("name")):
        return str(name)
    if folder.parent.name == "snapshots":  # models--org--name/snapshots/commit
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name
