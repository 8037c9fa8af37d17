"""The nano novel-view model: Zero-1-to-3 (arXiv 2303.11328) at 64².

The reference's latent is concatenated to the noisy one, and one token made of the reference's
image embedding and the relative pose is attended to. References are mostly seen from near the
front, as the pictures people start from are.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, mse_loss
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from animate124.media.files import ensure_folder
from animate124.media.tensors import save_tensors
from animate124.priors.embedding import Embedding
from animate124.priors.novel_view import NovelView, pose_token
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import data, embedder
from animate124.zoo.diffusion import (
    CHANNELS,
    DROPPED,
    LATENT_SIZE,
    DiffusionTask,
    load_vae,
    part,
    scheduler,
    seeded,
)
from animate124.zoo.folders import save_model, write_preprocessor

ROLE = "novel-view"
DEFAULTS = ZooSettings(
    batch=32,
    echo=3,
    lr=1e-3,
    warmup=200,
    decay=0.4,
    train=TrainSettings(steps=21000, checkpoint_seconds=180, preview_every=500),
)
_TARGETS = 4  # views per reference
_TAUGHT = 0.1  # weight of the image encoder's own loss
_REFERENCE_SPREAD = 20.0  # degrees


def build_unet(width: int) -> UNet2DConditionModel:
    """The untrained network: attention at 16² too, for what moves across the whole image."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=2 * CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(40, 80, 160),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=width,
        attention_head_dim=(1, 2, 4),
        norm_num_groups=8,
        # The pose goes with the timestep into every block too: one token alone is learnt slowly.
        class_embed_type="projection",
        projection_class_embeddings_input_dim=4,
        resnet_time_scale_shift="scale_shift",
    )


class NovelViewTask(DiffusionTask):
    """Denoising of what other cameras see at the same moment, given what the first one sees.

    The image encoder learns along: it sees each reference once, which costs little. So that its
    embedding says what the subject is, it is also drawn towards the embedder's.
    """

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        unet: UNet2DConditionModel,
        projection: nn.Linear,
        image_encoder: CLIPVisionModelWithProjection,
        teacher: Embedding,
        models: Path,
    ) -> None:
        modules = {"unet": unet, "projection": projection, "image_encoder": image_encoder}
        super().__init__(ROLE, settings, modules, device, models)
        self.unet, self.projection, self.image_encoder = unet, projection, image_encoder
        self.teacher = teacher

    def loss(self, step: int) -> dict[str, Tensor]:
        references, known, latents, pose = self.drawn(step)
        known = known.repeat_interleave(_TARGETS, dim=0)
        noisy, t, target = self.noised(latents, step)
        keep = torch.rand(len(pose), generator=self.generator("drop", step)) >= DROPPED
        keep = keep.float().to(self.device)
        with self.autocast():
            pixels = references.to(self.device) * 2.0 - 1.0
            embedding = self.image_encoder(pixel_values=pixels).image_embeds
            taught = self.teacher.embed_images(references).to(self.device)
            apart = 1.0 - cosine_similarity(embedding.float(), taught, dim=-1).mean()
            embedding = embedding.repeat_interleave(_TARGETS, dim=0)
            token = self.projection(torch.cat([embedding, pose], dim=-1)) * keep[:, None]
            joined = torch.cat([noisy, known * keep[:, None, None, None]], dim=1)
            output = self.unet(joined, t, token[:, None], pose * keep[:, None]).sample
        return {"denoise": mse_loss(output.float(), target), "embedding": _TAUGHT * apart}

    def draw(self, key: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """References and their latents, latents of the targets, and pose tokens."""
        references, targets, pose = self.batch(key)
        return references, self.encode(references), self.encode(targets), pose.to(self.device)

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """References [B / _TARGETS, 3, H, W], targets [B, 3, H, W] on white, pose tokens [B, 4].

        Each reference is followed by its _TARGETS targets.
        """
        rng = data.stream(self.seed, self.name, "data", step)
        references, targets, poses = [], [], []
        for clip in data.draw_clips(rng, max(self.settings.batch // _TARGETS, 1)):
            azimuth = rng.uniform(-180.0, 180.0, 1 + _TARGETS)
            if rng.random() < 0.8:
                azimuth[0] = rng.normal(0.0, _REFERENCE_SPREAD)
            elevation = rng.uniform(*data.ELEVATIONS, 1 + _TARGETS)
            if rng.random() < 0.7:
                elevation[0] = rng.normal(0.0, 5.0)
            images = data.over(data.look(clip, azimuth, elevation, rng.random(1)).rgba[:, 0])
            references.append(images[:1])
            targets.append(images[1:])
            turn, lift = (torch.from_numpy(a[1:] - a[0]) for a in (azimuth, elevation))
            poses.append(pose_token(lift, turn, 0.0))
        return torch.cat(references), torch.cat(targets), torch.cat(poses)


def build_image_encoder(width: int) -> CLIPVisionModelWithProjection:
    """The untrained image encoder, 0.5 M parameters."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=data.SIZE,
            patch_size=8,
            projection_dim=width,
        )
    )


def make_task(settings: ZooSettings, device: str, models: Path) -> NovelViewTask:
    """The training; `models` holds the autoencoder and the embedder it learns from."""
    teacher = Embedding.load(part(models, embedder.ROLE), device)
    width = teacher.width
    if settings.start == "shipped":
        known = NovelView.load(part(models, ROLE), vae=load_vae(models))
        unet, encoder, projection = known.unet, known.image_encoder, known.projection
    else:
        with seeded(settings.train.seed, ROLE):
            unet, encoder = build_unet(width), build_image_encoder(width)
            projection = nn.Linear(width + 4, width)
    parts = (net.requires_grad_(True).train() for net in (unet, projection, encoder))
    return NovelViewTask(settings, device, *parts, teacher, models)


def export(task: NovelViewTask, folder: Path) -> None:
    """Write it in Zero123's diffusers layout."""
    averaged = task.averaged()
    save_model(averaged["unet"], folder / "unet")
    save_model(averaged["image_encoder"], folder / "image_encoder")
    projection = {k: v.half() for k, v in averaged["projection"].state_dict().items()}
    save_tensors(
        ensure_folder(folder / "clip_camera_projection") / "diffusion_pytorch_model.safetensors",
        projection,
        kind="camera-projection",
        version=1,
    )
    write_preprocessor(folder / "feature_extractor", data.SIZE, embedder.MEAN, embedder.DEVIATION)
    scheduler().save_pretrained(folder / "scheduler")
