"""R(2+1)D (arXiv 1711.11248): what happens in a short clip, by convolutions in space, then in time.

Features of single frames, averaged over a clip as image-text embedders do it, tell what is there
and hardly what it does; convolutions in time tell the motion apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.functional import relu


class Block(nn.Module):
    """Two factorised convolutions with a shortcut; the first one shrinks space by `stride`."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.space1 = _space(inner, outer, 3, stride)
        self.time1 = _time(outer)
        self.space2 = _space(outer, outer, 3, 1)
        self.time2 = _time(outer)
        plain = inner == outer and stride == 1
        self.shortcut = nn.Identity() if plain else _space(inner, outer, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inner, F, H, W] to [B, outer, F, H / stride, W / stride]."""
        y = relu(self.time1(relu(self.space1(x))))
        y = self.time2(relu(self.space2(y)))
        return relu(y + self.shortcut(x))


def _space(inner: int, outer: int, kernel: int, stride: int) -> nn.Sequential:
    size, step, pad = (1, kernel, kernel), (1, stride, stride), (0, kernel // 2, kernel // 2)
    return nn.Sequential(
        nn.Conv3d(inner, outer, size, step, pad, bias=False), nn.BatchNorm3d(outer)
    )


def _time(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), bias=False), nn.BatchNorm3d(width)
    )


class ActionNetwork(ModelMixin, ConfigMixin):
    """Which of `labels` a clip shows.

    Args of the constructor:
        labels: names of the actions.
        frames: how many frames, evenly spread over a clip, it was trained on.
        sample_size: edge of its images, pixels.
        widths: channels of each level; every level but the first halves the resolution.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        labels: Sequence[str],
        frames: int = 8,
        sample_size: int = 64,
        widths: Sequence[int] = (24, 48, 96, 160),
    ) -> None:
        super().__init__()
        self.stem = _space(3, widths[0], 5, 2)
        self.pool = nn.MaxPool3d((1, 2, 2))
        inner = [widths[0], *widths[:-1]]
        self.blocks = nn.ModuleList(
            Block(i, o, 1 if k == 0 else 2)
            for k, (i, o) in enumerate(zip(inner, widths, strict=True))
        )
        self.head = nn.Linear(widths[-1], len(labels))

    def forward(self, clips: Tensor) -> Tensor:
        """Clips [B, F, 3, H, W] in [−1, 1] to logits [B, labels]; any F, H and W."""
        x = self.pool(relu(self.stem(clips.transpose(1, 2))))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3, 4)))
