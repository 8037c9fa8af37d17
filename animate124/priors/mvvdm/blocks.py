"""The transformers and the blocks of MV-VDM, named as in Stable Diffusion and AnimateDiff."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from animate124.priors.mvvdm.attention import (
    CrossViewAttention,
    Layout,
    SpatiotemporalAttention,
    TextImageAttention,
)


@dataclass(frozen=True)
class Sizes:
    """What all blocks of a network share; see `MultiViewUNet`."""

    embedding: int
    context: int
    images: bool
    groups: int
    motion_heads: int


@dataclass(frozen=True)
class Level:
    """One resolution: `layers` of which each has `channels`; attention with `heads` heads or none,
    motion modules with or without their spatial branch."""

    channels: int
    layers: int
    heads: int | None
    spatial: bool


@dataclass(frozen=True, eq=False)
class Context:
    """What every layer is told beside its features.

    embedding [B·n·f, E] of time and camera; text [B·n, L, e]; image tokens [B·n, T, e] or None.
    """

    layout: Layout
    embedding: Tensor
    text: Tensor
    image: Tensor | None
    image_scale: float
    motion: bool = True


class _SpatialBlock(nn.Module):
    def __init__(self, channels: int, heads: int, sizes: Sizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = CrossViewAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = TextImageAttention(channels, heads, sizes.context, sizes.images)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(self, x: Tensor, layout: Layout, context: Context) -> Tensor:
        x = x + self.attn1(self.norm1(x), layout)
        x = x + self.attn2(self.norm2(x), layout, context.text, context.image, context.image_scale)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Cross-view attention, the adapter to frame 0 and cross-attention to text and image."""

    def __init__(self, channels: int, heads: int, sizes: Sizes) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(sizes.groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([_SpatialBlock(channels, heads, sizes)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [B·n·f, c, h, w] to the same shape."""
        layout = context.layout.at(x)
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, layout, context)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(x.shape))


class _MotionBlock(nn.Module):
    def __init__(self, channels: int, heads: int, spatial: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = SpatiotemporalAttention(channels, heads, spatial)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = SpatiotemporalAttention(channels, heads, spatial)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        x = x + self.attn1(self.norm1(x), layout)
        x = x + self.attn2(self.norm2(x), layout)
        return x + self.ff(self.norm3(x))


class MotionModule(nn.Module):
    """AnimateDiff's temporal transformer with spatiotemporal attention in it."""

    def __init__(self, channels: int, sizes: Sizes, spatial: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(sizes.groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        block = _MotionBlock(channels, sizes.motion_heads, spatial)
        self.transformer_blocks = nn.ModuleList([block])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [B·n·f, c, h, w] to the same shape; the norm's statistics are of a view's clip."""
        layout = context.layout.at(x)
        clips = x.unflatten(0, (-1, layout.frames)).transpose(1, 2)  # [B·n, c, f, h, w]
        tokens = self.norm(clips).permute(0, 3, 4, 2, 1).flatten(0, 2)  # [B·n·h·w, f, c]
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens, layout)
        tokens = self.proj_out(tokens).unflatten(0, (-1, layout.height, layout.width))
        return x + tokens.permute(0, 3, 4, 1, 2).reshape(x.shape)


class _Block(nn.Module):
    """Layers of ResNet, spatial transformer (where the level has attention) and motion module."""

    def __init__(self, widths: list[int], level: Level, sizes: Sizes) -> None:
        super().__init__()
        c = level.channels
        self.resnets = nn.ModuleList(resnet(width, c, sizes) for width in widths)
        self.attentions = nn.ModuleList(
            SpatialTransformer(c, level.heads, sizes) for _ in widths if level.heads
        )
        self.motion_modules = nn.ModuleList(MotionModule(c, sizes, level.spatial) for _ in widths)
        self.checkpointed = False

    def layer(self, index: int, x: Tensor, context: Context) -> Tensor:
        if self.checkpointed and self.training:
            return checkpoint(self._layer, index, x, context, use_reentrant=False)
        return self._layer(index, x, context)

    def _layer(self, index: int, x: Tensor, context: Context) -> Tensor:
        x = self.resnets[index](x, context.embedding)
        if self.attentions:
            x = self.attentions[index](x, context)
        return self.motion_modules[index](x, context) if context.motion else x


class DownBlock(_Block):
    """One level on the way down; keeps what every layer gave, and the smaller features."""

    def __init__(self, before: int, level: Level, sizes: Sizes, last: bool) -> None:
        c = level.channels
        super().__init__([before, *[c] * (level.layers - 1)], level, sizes)
        self.downsamplers = nn.ModuleList(
            [] if last else [Downsample2D(c, use_conv=True, out_channels=c, padding=1, name="op")]
        )

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, list[Tensor]]:
        """x [B·n·f, c, h, w] to the features below and the skipped ones."""
        skips = []
        for index in range(len(self.resnets)):
            x = self.layer(index, x, context)
            skips.append(x)
        for down in self.downsamplers:
            x = down(x)
            skips.append(x)
        return x, skips


class MidBlock(nn.Module):
    """ResNet, spatial transformer, motion module, ResNet at the lowest resolution."""

    def __init__(self, level: Level, sizes: Sizes, heads: int) -> None:
        super().__init__()
        c = level.channels
        self.resnets = nn.ModuleList(resnet(c, c, sizes) for _ in range(2))
        self.attentions = nn.ModuleList([SpatialTransformer(c, heads, sizes)])
        self.motion_modules = nn.ModuleList([MotionModule(c, sizes, level.spatial)])

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [B·n·f, c, h, w] to the same shape."""
        x = self.attentions[0](self.resnets[0](x, context.embedding), context)
        if context.motion:
            x = self.motion_modules[0](x, context)
        return self.resnets[1](x, context.embedding)


class UpBlock(_Block):
    """One level on the way up; every layer takes one of the skipped features, the last first."""

    def __init__(
        self, before: int, skips: list[int], level: Level, sizes: Sizes, last: bool
    ) -> None:
        c = level.channels
        own = [before, *[c] * level.layers]
        super().__init__([a + b for a, b in zip(own, skips, strict=True)], level, sizes)
        self.upsamplers = nn.ModuleList(
            [] if last else [Upsample2D(c, use_conv=True, out_channels=c)]
        )

    def forward(self, x: Tensor, skips: list[Tensor], context: Context) -> Tensor:
        """x [B·n·f, c, h, w] to the features above; takes what it uses off `skips`."""
        for index in range(len(self.resnets)):
            x = self.layer(index, torch.cat([x, skips.pop()], dim=1), context)
        for up in self.upsamplers:
            x = up(x, tuple(skips[-1].shape[-2:]))  # sizes that are odd further up come out right
        return x


def resnet(before: int, after: int, sizes: Sizes) -> ResnetBlock2D:
    """A ResNet of Stable Diffusion that is told time and camera."""
    return ResnetBlock2D(
        in_channels=before,
        out_channels=after,
        temb_channels=sizes.embedding,
        groups=sizes.groups,
        eps=1e-5,
    )
