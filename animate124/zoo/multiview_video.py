"""The nano multi-view video model: MV-VDM (Animate3D, arXiv 2407.11398) at 64².

It starts from the nano text-to-image network. There is no nano MVDream whose multi-view part could
be frozen, so nearly everything learns: the camera embedding, cross-view attention, the adapter to
frame 0, the motion modules and the network it started from; only the ResNets of the lowest
resolution stay as they were. Of some clips it is given one view, neither its camera nor frame 0:
so it learns to be the text-to-video model too.

Of the published network it lacks the image tokens, and it has what that one has not: the latents of
frame 0 beside those of every frame, without which identity is learnt slowly, a state of the whole
sentence by an encoder that tells motions apart (`sentences`), and an embedding of what that says of
every moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from animate124.media.files import ensure_folder
from animate124.media.tensors import save_tensors
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.priors.mvvdm.network import CAMERA, MultiViewUNet
from animate124.priors.mvvdm.weights import WEIGHTS, load_delta
from animate124.priors.text import TextEncoder
from animate124.priors.text_to_image import TextToImage
from animate124.priors.told import SENTENCES, with_sentences
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.toybox.captions import motion_prompt
from animate124.toybox.clip import Clip
from animate124.zoo import data, sentences
from animate124.zoo.diffusion import (
    CHANNELS,
    DROPPED,
    LATENT_SIZE,
    DiffusionTask,
    front_biased,
    load_vae,
    part,
    scheduler,
    seeded,
)
from animate124.zoo.first_frame import error_beyond_first, where_moving, with_first
from animate124.zoo.folders import save_model
from animate124.zoo.mvvideo_data import MultiViewClips
from animate124.zoo.text_to_image import HEADS, TEXT_WIDTH, view_word

ROLE = "multi-view-video"
VIEWS, FRAMES = 4, 8
READS_DATA = True  # a dataset on disk, where the settings name one
DEFAULTS = ZooSettings(
    batch=1,
    echo=2,
    lr=5e-4,
    warmup=100,
    decay=0.5,
    train=TrainSettings(steps=48000, checkpoint_seconds=180, preview_every=500),
)
FROZEN = ("mid_block.resnets.", "up_blocks.0.resnets.")
_VIEWS = {1: 0.6, 2: 0.2, 4: 0.2}  # share of steps with so many views of an object
_NO_FIRST = 0.05  # share of objects without a clean frame 0
_TOLD = 0.25  # share of steps with neither frame 0 nor camera: text-to-video, the view in words
_AT_ZERO = 0.5  # share of objects whose first camera is at azimuth 0, as in use
_RESTING = 0.7  # share of clips that are made to begin at rest; half of the others do
_OFTEN = {  # weights of motions that dev clips showed least (more than 1) and best, from rest
    **{"flapping": 4.0, "kicking": 4.0, "stretching": 3.0, "clapping": 3.0},
    **{"dancing": 2.0, "swimming": 2.0, "sitting": 2.0, "driving": 2.0},
    **{"hopping": 1.5, "wiggling": 1.5, "shaking": 0.6, "jumping": 0.6, "tumbling": 0.5},
}
_MOVING = 0.5  # share of the loss that lies where a view changes over time
_MOMENTS = np.arange(FRAMES) / FRAMES  # the whole loop from its first moment, as in use


def build_network() -> MultiViewUNet:
    """The untrained network."""
    return MultiViewUNet(
        sample_size=LATENT_SIZE,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        attention_levels=(1, 2),
        spatial_levels=(1, 2),
        attention_heads=HEADS,
        motion_heads=2,
        cross_attention_dim=TEXT_WIDTH,
        image_embed_dim=0,
        norm_num_groups=8,
        first_frame_channels=CHANNELS,
        moment_channels=256,
    )


class MultiViewVideoTask(DiffusionTask):
    """Denoising of frames 1 and later of four views at once, given frame 0 and a sentence."""

    rise = 3  # what the sentence tells is decided where frame 0 tells nothing
    fresh = ("conv_in", "camera_embedding", "moment_embedding", "_i2v", "_sp.", "mix_factor")

    def __init__(
        self,
        settings: ZooSettings,
        device: str,
        network: MultiViewUNet,
        text: TextEncoder,
        models: Path,
    ) -> None:
        super().__init__(ROLE, settings, {"unet": network}, device, models)
        self.network, self.text = network, text
        folder = settings.data
        self.clips = MultiViewClips(Path(folder), VIEWS, FRAMES, data.SIZE) if folder else None

    def loss(self, step: int) -> dict[str, Tensor]:
        latents, texts, camera = self.drawn(step)
        noisy, t, target = self.noised(latents, step)
        first = latents[:, :, 0]
        keep = torch.rand(len(t), generator=self.generator("drop", step)) >= _NO_FIRST
        keep = keep.to(self.device) & (camera != 0).any(-1).any(-1)
        keep = keep.float()
        noisy = with_first(noisy, first, keep)
        text = self.text.states(texts)
        with self.autocast():
            given = first * keep.view(-1, 1, 1, 1, 1)
            output = self.network(noisy, t, text, camera, first=given)
        weight = where_moving(latents, _MOVING)
        return {"denoise": error_beyond_first(output.float(), target, keep, weight)}

    def draw(self, key: int) -> tuple[Tensor, list[str], Tensor]:
        """Latents [B, n, F, 4, h, w], sentences and cameras [B, n, 16]; 0: nothing but the sentence
        is known."""
        videos, texts, camera = self.batch(key)
        return self.encode(videos), texts, camera.to(self.device)

    def batch(self, step: int) -> tuple[Tensor, list[str], Tensor]:
        """Videos [B, n, F, 3, H, W] on white, sentences and cameras [B, n, 16]."""
        rng = data.stream(self.seed, self.name, "data", step)
        if self.clips is not None:
            return self._stored(rng, self.clips)
        if rng.random() < _TOLD:
            return self._told(rng)
        videos, texts, cameras = [], [], []
        # Fewer views of more objects cost the same and teach motions faster.
        views = int(rng.choice(list(_VIEWS), p=list(_VIEWS.values())))
        chosen = np.sort(rng.permutation(VIEWS)[:views])
        for drawn in data.draw_clips(rng, self.settings.batch * VIEWS // views):
            clip = data.resting(rng, drawn, _RESTING, _OFTEN)
            azimuth, elevation = (angles[chosen] for angles in view_angles(rng))
            sight = data.look(clip, azimuth, elevation, _MOMENTS)
            videos.append(data.over(sight.rgba))
            texts.append(prompt(rng, clip))
            cameras.append(camera_vectors(sight.azimuth, sight.elevation))
        return torch.stack(videos), texts, torch.stack(cameras)

    def _told(self, rng: np.random.Generator) -> tuple[Tensor, list[str], Tensor]:
        """As `batch`, of one view each that is told in words."""
        videos, texts = [], []
        for drawn in data.draw_clips(rng, self.settings.batch * VIEWS):
            clip = data.resting(rng, drawn, _RESTING, _OFTEN)
            azimuth, elevation = front_biased(rng, 1), rng.uniform(*data.ELEVATIONS, 1)
            sight = data.look(clip, azimuth, elevation, _MOMENTS)
            videos.append(data.over(sight.rgba))
            texts.append(prompt(rng, clip, azimuth[0]))
        return torch.stack(videos), texts, torch.zeros(len(videos), 1, CAMERA)

    def _stored(
        self, rng: np.random.Generator, clips: MultiViewClips
    ) -> tuple[Tensor, list[str], Tensor]:
        """As `batch`, of a dataset on disk."""
        shots = [clips.draw(rng) for _ in range(self.settings.batch)]
        return (
            torch.stack([data.over(shot.rgba) for shot in shots]),
            ["" if rng.random() < DROPPED else shot.caption for shot in shots],
            torch.stack([camera_vectors(shot.azimuth, shot.elevation) for shot in shots]),
        )


def view_angles(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and elevation [n] in degrees: a quarter turn apart, at one height around 15°."""
    start = 0.0 if rng.random() < _AT_ZERO else rng.uniform(-180.0, 180.0)
    azimuth = start + 360.0 / VIEWS * np.arange(VIEWS)
    return azimuth, np.full(VIEWS, np.clip(rng.normal(15.0, 8.0), -5.0, 35.0))


def prompt(rng: np.random.Generator, clip: Clip, azimuth: float | None = None) -> str:
    """A sentence that names the motion, with or without details, or nothing; with `azimuth`, often
    the view too."""
    if rng.random() < DROPPED:
        return ""
    text = clip.caption if rng.random() < 0.5 else motion_prompt(clip)
    if azimuth is None or rng.random() < 0.5:
        return text
    return f"{text}, {view_word(azimuth)} view"


def start_from(network: MultiViewUNet, known: Mapping[str, Tensor]) -> None:
    """Put a text-to-image network's weights where they fit, in place.

    What is new has no influence at first: the network gives of every frame what that one gives of
    an image, but for attention, which now sees all views.
    """
    state = network.state_dict()
    inner = known["conv_in.weight"]
    state["conv_in.weight"].zero_()
    state["conv_in.weight"][:, : inner.shape[1]] = inner
    for key, value in known.items():
        if key != "conv_in.weight":
            state[key].copy_(value)
    for last in (network.camera_embedding.linear_2, network.moment_embedding.outer):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    for key in state:
        if key.endswith("attn1.to_q_i2v.weight"):
            state[key].copy_(state[key.replace("_i2v", "")])
        if "motion_modules." in key and ".proj_out." in key:
            state[key].zero_()


def make_task(settings: ZooSettings, device: str, models: Path) -> MultiViewVideoTask:
    """The training; `models` holds the two networks it starts from."""
    base = TextToImage.load(part(models, "text-to-image"), vae=load_vae(models))
    if settings.start == "shipped":
        folder = part(models, ROLE)
        network = load_delta(folder / "unet", base.unet.state_dict(), torch.float32)
        text = with_sentences(base.text, folder, torch.float32)
    else:
        with seeded(settings.train.seed, ROLE):
            network = build_network()
        start_from(network, base.unet.state_dict())
        sentence = sentences.trained(base.text.tokenizer, TEXT_WIDTH, settings.train.seed)
        text = TextEncoder(base.text.tokenizer, base.text.model, sentence)
    network.train().requires_grad_(True)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    for encoder in (text.model, text.sentence):
        encoder.to(device)
    return MultiViewVideoTask(settings, device, network, text, models)


def export(task: MultiViewVideoTask, folder: Path) -> None:
    """Write what the network has beyond the text-to-image model, and its schedule."""
    network = task.averaged()["unet"]
    place = ensure_folder(folder / "unet")
    network.save_config(place)
    own = {
        key: value.half()
        for key, value in network.state_dict().items()
        if f"unet.{key}" in task.trained
    }
    save_tensors(place / WEIGHTS, own, kind="multi-view-video", version=1)
    scheduler().save_pretrained(folder / "scheduler")
    save_model(task.text.sentence, ensure_folder(folder / SENTENCES))
