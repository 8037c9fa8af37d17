"""Depth from one image: DPT (arXiv 2103.13413), Depth Anything (arXiv 2406.09414), UPerNet.

UPerNet (arXiv 1807.10221) is a network for segmentation; with one channel it is the nano zoo's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from animate124.errors import UserError
from animate124.priors.components import check_folder, load_module, read_json
from animate124.priors.preprocess import Preprocess, check_images, load_preprocess


class Depth:
    """A frozen network from images to relative inverse depth."""

    def __init__(self, model: nn.Module, preprocess: Preprocess) -> None:
        self.model, self.preprocess = model, preprocess

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Load a folder that `save_pretrained` wrote; its config says which of the two it is.

        Raises:
            UserError: the folder holds another kind of network, one of metric depth, or damaged
                files.
        """
        from transformers import (
            DepthAnythingForDepthEstimation,
            DPTForDepthEstimation,
            UperNetForSemanticSegmentation,
        )

        kinds = {
            "dpt": DPTForDepthEstimation,
            "depth_anything": DepthAnythingForDepthEstimation,
            "upernet": UperNetForSemanticSegmentation,
        }
        folder = check_folder(folder)
        config = read_json(folder, "config.json")
        kind = kinds.get(config.get("model_type"))
        if kind is None:
            raise UserError(
                f"{folder} holds a network of kind {config.get('model_type')!r}, which is none "
                f"for depth: those are {', '.join(kinds)}."
            )
        if config.get("depth_estimation_type", "relative") != "relative":
            raise UserError(
                f"{folder} estimates metric depth, but relative inverse depth is needed: choose "
                "the relative model of its family."
            )
        return cls(load_module(kind, folder, dtype).to(device), load_preprocess(folder))

    @torch.no_grad()
    def estimate(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] to relative inverse depth [B, H, W], float32.

        Larger is nearer; scale and shift are arbitrary and differ from image to image.
        """
        check_images(images)
        pixels = self.preprocess(images.to(self.model.device, torch.float32))
        output = self.model(pixel_values=pixels.to(self.model.dtype))
        found = output.logits[:, 0] if "logits" in output else output.predicted_depth
        size = tuple(images.shape[2:])
        return interpolate(found[:, None].float(), size, mode="bicubic", align_corners=False)[:, 0]
