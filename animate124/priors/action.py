"""Action recognition: what a clip's subject does, of a closed list of actions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from animate124.priors.action_network import ActionNetwork
from animate124.priors.components import check_folder, load_module
from animate124.priors.embedding import model_name
from animate124.priors.preprocess import check_images


class ActionRecognition:
    """A frozen network that names actions; `labels` are those it knows.

    `name` is the model's name, to label scores with.
    """

    def __init__(self, network: ActionNetwork, name: str) -> None:
        self.network, self.name = network, name
        self.labels: list[str] = list(network.config.labels)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Load a folder with config.json and weights. Raises UserError if one is missing."""
        folder = check_folder(folder)
        return cls(load_module(ActionNetwork, folder, dtype).to(device), model_name(folder))

    @torch.no_grad()
    def probabilities(self, clips: Tensor, among: Sequence[str] | None = None) -> Tensor:
        """How likely each action of `among` (None: of `labels`) is, [B, actions].

        Clips [B, F, 3, H, W] in [0, 1], of any length: frames evenly spread are looked at, from the
        first one on, as of a loop.

        Raises ValueError for an action that the network does not know.
        """
        check_images(clips, ndim=5)
        wanted = self.labels if among is None else list(among)
        if unknown := [name for name in wanted if name not in self.labels]:
            raise ValueError(f"{self.name} does not know {', '.join(unknown)}")
        config = self.network.config
        chosen = torch.arange(config.frames) * clips.shape[1] // config.frames
        seen = clips[:, chosen].to(self.network.device, torch.float32)
        size = (config.sample_size, config.sample_size)
        if seen.shape[-2:] != size:
            flat = interpolate(seen.flatten(0, 1), size, mode="bilinear", antialias=True)
            seen = flat.unflatten(0, seen.shape[:2])
        logits = self.network((seen * 2.0 - 1.0).to(self.network.dtype)).float()
        return logits[:, [self.labels.index(name) for name in wanted]].softmax(-1).cpu()
