"""Novel view of one image: Zero123 (arXiv 2303.11328) and the nano model of the same classes.

The denoiser sees the noisy target latent beside the reference's latent, and one token made of the
reference's image embedding and the relative pose. Zero123's own convention is converted here and
nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from animate124.errors import UserError
from animate124.priors import sampling
from animate124.priors.components import (
    check_folder,
    freeze,
    load_module,
    load_schedule,
    load_vae,
    require,
)
from animate124.priors.latent import LatentPrior
from animate124.priors.preprocess import Preprocess, load_preprocess
from animate124.priors.schedule import Schedule

# The published conversions name the camera layer's folder, its file and its tensors differently.
_PROJECTION_FOLDERS = ("clip_camera_projection", "cc_projection")
_PROJECTION_FILES = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
)


@dataclass(frozen=True, eq=False)
class Reference:
    """The image that is turned: `embedding` [1, 1, E] and `latent` [1, 4, h, w], not scaled."""

    embedding: Tensor
    latent: Tensor


def pose_token(
    elevation_delta: float | Tensor, azimuth_delta: float | Tensor, radius_delta: float | Tensor
) -> Tensor:
    """Zero123's pose token, float32 [B, 4], of camera moves from the reference camera.

    `elevation_delta` and `azimuth_delta` in degrees in this project's convention (up, and towards
    the reference camera's right, are positive), `radius_delta` in world units; scalars or [B].
    The token is [polar angle's change in radians, positive *downwards*; sin; cos of the azimuth's
    change, positive towards the right; radius's change] (arXiv 2303.11328, §3.2, and its code).
    """
    moves = [elevation_delta, azimuth_delta, radius_delta]
    elevation, azimuth, radius = torch.broadcast_tensors(
        *(torch.as_tensor(move, dtype=torch.float32).reshape(-1) for move in moves)
    )
    turn = torch.deg2rad(azimuth)
    return torch.stack([-torch.deg2rad(elevation), turn.sin(), turn.cos(), radius], dim=-1)


class NovelView(LatentPrior):
    """A denoiser of new views. All networks are frozen."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        image_encoder: CLIPVisionModelWithProjection,
        preprocess: Preprocess,
        projection: nn.Linear,
        vae: AutoencoderKL,
        schedule: Schedule,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(vae, schedule, unet.config.sample_size, device, dtype)
        self.unet, self.projection = unet, projection
        self.image_encoder, self.preprocess = image_encoder, preprocess

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        vae: AutoencoderKL | str | Path | None = None,
    ) -> NovelView:
        """From a folder with `unet`, `image_encoder`, `feature_extractor`, `scheduler`, the camera
        layer (`clip_camera_projection` or `cc_projection`) and `vae`, unless `vae` is given as a
        folder or already loaded. Raises UserError if a part is missing."""
        path = check_folder(folder)
        encoder = load_module(CLIPVisionModelWithProjection, require(path, "image_encoder"), dtype)
        width = encoder.config.projection_dim
        return cls(
            load_module(UNet2DConditionModel, require(path, "unet"), dtype).to(device),
            encoder.to(device),
            load_preprocess(path / "feature_extractor"),
            _load_projection(path, width).to(device, dtype),
            load_vae(vae, path, device, dtype),
            load_schedule(path, device),
            device,
            dtype,
        )

    @torch.no_grad()
    def reference(self, image: Tensor) -> Reference:
        """The conditions of `image` [1, 3, H, W] in [0, 1], the subject over white."""
        with self._precision():
            pixels = self.preprocess(image.to(self.device)).to(self.dtype)
            embedding = self.image_encoder(pixels).image_embeds.float()[:, None]
        return Reference(embedding, self._posterior(image))

    def _output(
        self, noisy: Tensor, t: Tensor, token: Tensor, latent: Tensor, pose: Tensor
    ) -> Tensor:
        """What the network puts out, float32: `schedule.prediction` says what it means.

        A network with a class embedding, as the nano one, also takes the pose with the timestep.
        """
        joined = torch.cat([noisy, latent], dim=1).to(self.dtype)
        labels = None if self.unet.config.class_embed_type is None else pose.to(self.dtype)
        with self._precision():
            return self.unet(joined, t, token, labels, return_dict=False)[0].float()

    def _conditions(
        self, reference: Reference, pose: Tensor, batch: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The token [batch, 1, E], the latent [batch, 4, h, w] and the pose [batch, 4]."""
        embedding = reference.embedding.to(self.device).expand(batch, -1, -1)
        pose = pose.to(self.device, torch.float32).expand(batch, -1)
        with self._precision():
            token = self.projection(torch.cat([embedding, pose[:, None]], dim=-1).to(self.dtype))
        return token, reference.latent.to(self.device).expand(batch, -1, -1, -1), pose

    def _outputs(
        self, noisy: Tensor, t: Tensor, reference: Reference, pose: Tensor
    ) -> tuple[Tensor, Tensor]:
        conditions = self._conditions(reference, pose, len(noisy))
        paired = (torch.cat([part, torch.zeros_like(part)]) for part in conditions)
        return self._output(torch.cat([noisy] * 2), t.repeat(2), *paired).chunk(2)

    @torch.no_grad()
    def predict(self, noisy: Tensor, t: Tensor, reference: Reference, pose: Tensor) -> Tensor:
        """The noise ε [B, 4, h, w] in `noisy` at timesteps `t` [B], unguided; `pose` [B, 4]."""
        output = self._output(noisy, t, *self._conditions(reference, pose, len(noisy)))
        return self.schedule.noise_of(output, noisy, t)

    @torch.no_grad()
    def predict_pair(
        self, noisy: Tensor, t: Tensor, reference: Reference, pose: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(ε given reference and `pose` [1 or B, 4], ε without either), each [B, 4, h, w].

        Without means zeros for the token, the reference's latent and the pose, as Zero123's were.
        """
        outputs = self._outputs(noisy, t, reference, pose)
        return tuple(self.schedule.noise_of(output, noisy, t) for output in outputs)

    @torch.no_grad()
    def sample(
        self,
        reference: Reference,
        pose: Tensor,
        scale: float = 3.0,
        steps: int = 30,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Images [B, 3, H, W] from the poses [B, 4], by DDIM with guidance `scale` (1: none)."""
        start = sampling.noise(self.latent_shape(len(pose)), generator, self.device)

        def model(noisy: Tensor, t: Tensor) -> Tensor:
            if scale == 1.0:
                return self._output(noisy, t, *self._conditions(reference, pose, len(noisy)))
            return sampling.guide(*self._outputs(noisy, t, reference, pose), scale)

        at = sampling.timesteps(self.schedule, steps)
        return self.decode_latents(sampling.ddim(self.schedule, model, start, at))


def _load_projection(folder: Path, width: int) -> nn.Linear:
    """The layer from image embedding and pose [width + 4] to the token [width].

    Its tensors are told by their shapes, since every conversion gives them other names.
    """
    places = [folder / sub / file for sub in _PROJECTION_FOLDERS for file in _PROJECTION_FILES]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        require(folder, f"{_PROJECTION_FOLDERS[0]}/{_PROJECTION_FILES[0]}")
    read = load_file if path.suffix == ".safetensors" else _load_torch
    tensors = {tuple(value.shape): value.float() for value in read(path).values()}
    if set(tensors) != {(width, width + 4), (width,)}:
        raise UserError(
            f"{path} holds tensors of shapes {sorted(tensors)}, not the camera layer "
            f"{width + 4} → {width} of this image encoder: fetch the model again"
        )
    layer = nn.Linear(width + 4, width)
    layer.load_state_dict({"weight": tensors[(width, width + 4)], "bias": tensors[(width,)]})
    return freeze(layer)


def _load_torch(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)
