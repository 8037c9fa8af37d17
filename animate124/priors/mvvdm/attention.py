"""The three attentions of MV-VDM (arXiv 2407.11398, section 3.2).

Features are [B·n·f, l, c] with l = h·w, views before frames: B objects, n views, f frames. None of
these numbers is fixed when a network is built.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True)
class Layout:
    """How many views, frames, and rows and columns of features a call has."""

    views: int
    frames: int
    height: int
    width: int

    def at(self, features: Tensor) -> Layout:
        """The same views and frames at the resolution of `features` [..., h, w]."""
        return Layout(self.views, self.frames, features.shape[-2], features.shape[-1])


class Attention(nn.Module):
    """Multi-head attention without bias in its inner projections, as diffusers names its parts."""

    def __init__(self, channels: int, heads: int, context: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context or channels, channels, bias=False)
        self.to_v = nn.Linear(context or channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q kᵀ / √d) v per head, of [B, L, c] queries and [B, M, c] keys and values."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class CrossViewAttention(Attention):
    """MVDream's self-attention over all views of a frame, and the adapter that looks at frame 0.

    y_f = W_O (A_f + W'_O B_f + b'_O) + b_O, with A_f attention within frame f and B_f from frame
    f's own queries W'_Q to the keys and values of frame 0 by the shared W_K and W_V.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.to_q_i2v = nn.Linear(channels, channels, bias=False)
        self.to_out_i2v = nn.Linear(channels, channels)
        nn.init.zeros_(self.to_out_i2v.weight)
        nn.init.zeros_(self.to_out_i2v.bias)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """x [B·n·f, l, c] to the same shape."""
        n, f = layout.views, layout.frames
        x = x.unflatten(0, (-1, n, f)).transpose(1, 2).flatten(2, 3)  # [B, f, n·l, c]
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        own = self.attend(*(part.flatten(0, 1) for part in (q, k, v)))
        first = self.attend(self.to_q_i2v(x).flatten(1, 2), k[:, 0], v[:, 0])
        y = self.to_out[0](own.view_as(x) + self.to_out_i2v(first.view_as(x)))
        return y.unflatten(2, (n, -1)).transpose(1, 2).flatten(0, 2)


class TextImageAttention(Attention):
    """Cross-attention to the words and, with a weight, to the tokens of an image (IP-Adapter)."""

    def __init__(self, channels: int, heads: int, context: int, images: bool) -> None:
        super().__init__(channels, heads, context)
        if images:
            self.to_k_ip = nn.Linear(context, channels, bias=False)
            self.to_v_ip = nn.Linear(context, channels, bias=False)

    def forward(
        self, x: Tensor, layout: Layout, text: Tensor, image: Tensor | None, scale: float
    ) -> Tensor:
        """x [B·n·f, l, c]; text [B·n, L, e] and image [B·n, T, e] are those of a view's frames."""
        # The frames of a view share its keys: all their queries are asked at once.
        q = self.to_q(x.unflatten(0, (-1, layout.frames)).flatten(1, 2))
        y = self.attend(q, self.to_k(text), self.to_v(text))
        if image is not None and scale != 0.0:
            y = y + scale * self.attend(q, self.to_k_ip(image), self.to_v_ip(image))
        return self.to_out[0](y).view_as(x)


class SpatiotemporalAttention(Attention):
    """Attention along time at every pixel, and over all pixels of all views of a frame, mixed.

    y = s·y_space + (1 − s)·y_time with s = sigmoid(`mix_factor`), one learnt number. Only the
    temporal branch knows the time and only the spatial one the place: views are exchangeable.
    """

    def __init__(self, channels: int, heads: int, spatial: bool) -> None:
        super().__init__(channels, heads)
        self.spatial = spatial
        if spatial:
            self.to_q_sp = nn.Linear(channels, channels, bias=False)
            self.to_k_sp = nn.Linear(channels, channels, bias=False)
            self.to_v_sp = nn.Linear(channels, channels, bias=False)
            self.to_out_sp = nn.Linear(channels, channels)
            self.mix_factor = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """x [B·n·h·w, f, c] to the same shape."""
        timed = x + time_code(x.shape[1], x.shape[2], x)
        y = self.to_out[0](self.attend(self.to_q(timed), self.to_k(timed), self.to_v(timed)))
        if not self.spatial:
            return y
        cells = layout.height * layout.width
        z = x.unflatten(0, (-1, layout.views, cells))  # [B, n, l, f, c]
        z = (z + place_code(layout.height, layout.width, x.shape[2], x)[:, None]).permute(
            0, 3, 1, 2, 4
        )
        shape = z.shape
        z = z.reshape(shape[0] * shape[1], shape[2] * shape[3], -1)
        z = self.to_out_sp(self.attend(self.to_q_sp(z), self.to_k_sp(z), self.to_v_sp(z)))
        z = z.view(shape).permute(0, 2, 3, 1, 4).reshape(x.shape)
        share = self.mix_factor.sigmoid()
        return share * z + (1.0 - share) * y


def time_code(frames: int, channels: int, like: Tensor) -> Tensor:
    """The sinusoids [frames, channels] of AnimateDiff's motion modules (arXiv 1706.03762, 3.5)."""
    position = torch.arange(frames, device=like.device)[:, None]
    rate = torch.exp(
        torch.arange(0, channels, 2, device=like.device) * (-math.log(10000.0) / channels)
    )
    code = torch.stack([torch.sin(position * rate), torch.cos(position * rate)], dim=-1)
    return code.flatten(1).to(like.dtype)


def place_code(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Row and column [height·width, channels], normalised sinusoids as in DETR (arXiv 2005.12872).

    The first half of the channels is of the row 2π(i + 1)/(height + 1e-6), the second of the
    column; each half alternates sine and cosine of falling frequency.
    """
    half = channels // 2
    index = torch.arange(half, device=like.device)
    rate = 10000.0 ** (2 * (index // 2) / half)

    def axis(count: int) -> Tensor:
        at = 2 * math.pi * torch.arange(1, count + 1, device=like.device) / (count + 1e-6)
        angle = at[:, None] / rate
        return torch.where(index % 2 == 0, angle.sin(), angle.cos())

    rows = axis(height)[:, None].expand(-1, width, -1)
    columns = axis(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1).to(like.dtype)
