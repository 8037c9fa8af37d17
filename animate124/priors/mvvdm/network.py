"""The denoising network of MV-VDM (arXiv 2407.11398), published and nano size alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.nn.functional import silu

from animate124.priors.mvvdm.attention import Layout
from animate124.priors.mvvdm.blocks import Context, DownBlock, Level, MidBlock, Sizes, UpBlock
from animate124.priors.told import MomentEmbedding

CAMERA = 16  # numbers of a camera: its matrix, row by row
IMAGE_TOKENS = 4


class ImageTokens(nn.Module):
    """IP-Adapter's projection (arXiv 2308.06721): an image embedding becomes four tokens."""

    def __init__(self, embedding: int, context: int) -> None:
        super().__init__()
        self.image_embeds = nn.Linear(embedding, IMAGE_TOKENS * context)
        self.norm = nn.LayerNorm(context)

    def forward(self, embeddings: Tensor) -> Tensor:
        """[B, e] to [B, 4, context]."""
        return self.norm(self.image_embeds(embeddings).unflatten(-1, (IMAGE_TOKENS, -1)))


class MultiViewUNet(ModelMixin, ConfigMixin):
    """Denoises clips of one object from n cameras jointly, given a sentence and clean first frames.

    Args of the constructor (the defaults are the published network's):
        sample_size: edge of the latents it was trained on.
        in_channels: 4; with `first_frame_channels` those of the noisy latents alone.
        block_out_channels: width of each level, from the finest.
        layers_per_block: layers of a level on the way down; one more on the way up.
        attention_levels: which levels have spatial transformers, by index.
        spatial_levels: which levels' motion modules have the spatial branch; the lowest decides for
            the middle.
        attention_heads, motion_heads: heads of the spatial transformers, one number or one a level,
            and of the motion modules.
        cross_attention_dim: width of text embeddings and image tokens.
        image_embed_dim: width of image embeddings; 0: no image tokens.
        first_frame_channels: 4 where every frame is also given the first one's latents beside its
            own (0 in the published network, which sees them by attention alone).
        moment_channels: width of the `MomentEmbedding` (0: none, as in the published network), for
            which the last token of the text stands for the whole sentence.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        sample_size: int = 32,
        in_channels: int = 4,
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        attention_levels: Sequence[int] = (0, 1, 2),
        spatial_levels: Sequence[int] = (0, 1, 2, 3),
        attention_heads: int | Sequence[int] = 8,
        motion_heads: int = 8,
        cross_attention_dim: int = 768,
        image_embed_dim: int = 1024,
        norm_num_groups: int = 32,
        first_frame_channels: int = 0,
        moment_channels: int = 0,
    ) -> None:
        super().__init__()
        widths = list(block_out_channels)
        embedding = 4 * widths[0]
        sizes = Sizes(
            embedding, cross_attention_dim, image_embed_dim > 0, norm_num_groups, motion_heads
        )
        heads = (
            [attention_heads] * len(widths)
            if isinstance(attention_heads, int)
            else list(attention_heads)
        )

        def level(index: int, layers: int) -> Level:
            attends = heads[index] if index in attention_levels else None
            return Level(widths[index], layers, attends, index in spatial_levels)

        self.conv_in = nn.Conv2d(in_channels + first_frame_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], embedding)
        self.camera_embedding = TimestepEmbedding(CAMERA, embedding)
        if image_embed_dim:
            self.image_tokens = ImageTokens(image_embed_dim, cross_attention_dim)
        if moment_channels:
            self.moment_embedding = MomentEmbedding(cross_attention_dim, moment_channels, embedding)
        last = len(widths) - 1
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips, before = [widths[0]], widths[0]
        for index, width in enumerate(widths):
            block = DownBlock(before, level(index, layers_per_block), sizes, index == last)
            self.down_blocks.append(block)
            skips += [width] * (layers_per_block + (index < last))
            before = width
        self.mid_block = MidBlock(level(last, 1), sizes, heads[last])
        for index in reversed(range(len(widths))):
            taken = [skips.pop() for _ in range(layers_per_block + 1)]
            own = level(index, layers_per_block)
            self.up_blocks.append(UpBlock(before, taken, own, sizes, index == 0))
            before = widths[index]
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, widths[0], eps=1e-5)
        self.conv_out = nn.Conv2d(widths[0], in_channels, 3, padding=1)

    def checkpoint_layers(self, wanted: bool = True) -> None:
        """Whether training keeps no activations within layers and computes them again instead."""
        for block in (*self.down_blocks, *self.up_blocks):
            block.checkpointed = wanted

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        text: Tensor,
        camera: Tensor,
        image: Tensor | None = None,
        first: Tensor | None = None,
        *,
        image_scale: float = 1.0,
        motion: bool = True,
    ) -> Tensor:
        """What the network puts out for noisy latents; frame 0 of it means nothing.

        Args:
            sample: [B, n, f, 4, h, w], frame 0 clean; any n, f, h and w.
            timestep: int64 [B], of all frames of an object, the clean one included.
            text: [B, L, e] or [B, n, L, e].
            camera: [B, n, 16], see `camera_vectors`.
            image: [B, n, image_embed_dim]; None where the network has no image tokens.
            first: [B, n, 4, h, w], latents of frame 0 for `first_frame_channels`; None: unknown.
            image_scale: weight of the image tokens' attention.
            motion: whether the motion modules take part.

        Raises ValueError for shapes that do not fit together.
        """
        if sample.dim() != 6 or camera.shape != (*sample.shape[:2], CAMERA):
            raise ValueError(
                f"latents [B, n, f, 4, h, w] and cameras [B, n, {CAMERA}] are wanted, not "
                f"{list(sample.shape)} and {list(camera.shape)}"
            )
        objects, n, f = sample.shape[:3]
        dtype = self.conv_in.weight.dtype
        if text.dim() == 3:
            text = text[:, None].expand(-1, n, -1, -1)
        known = self.time_embedding(self.time_proj(timestep.expand(objects)).to(dtype))
        known = known[:, None] + self.camera_embedding(camera.to(dtype))
        tokens = None
        if self.config.image_embed_dim:
            if image is None:
                raise ValueError("this network wants image embeddings")
            tokens = self.image_tokens(image.to(dtype)).flatten(0, 1)
        layout = Layout(n, f, *sample.shape[-2:])
        text = text.to(dtype).flatten(0, 1)
        known = known.flatten(0, 1)[:, None].expand(-1, f, -1)
        if self.config.moment_channels:
            known = known + self.moment_embedding(text, f)
        context = Context(
            layout,
            known.flatten(0, 1),
            text,
            tokens,
            image_scale,
            motion,
        )
        x = sample
        if self.config.first_frame_channels:
            beside = torch.zeros_like(x) if first is None else first[:, :, None].expand_as(x)
            x = torch.cat([x, beside], dim=3)
        x = self.conv_in(x.flatten(0, 2).to(dtype))
        skips = [x]
        for block in self.down_blocks:
            x, more = block(x, context)
            skips += more
        x = self.mid_block(x, context)
        for block in self.up_blocks:
            x = block(x, skips, context)
        return self.conv_out(silu(self.conv_norm_out(x))).view_as(sample)
