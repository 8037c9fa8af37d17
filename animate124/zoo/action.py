"""The nano action recogniser: R(2+1)D on 8-frame clips, told the motions that a species can do.

It judges what the other models and the stages make; none of them is trained by it.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from animate124 import runtime
from animate124.priors.action_network import ActionNetwork
from animate124.priors.components import load_module
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.toybox.catalogue import motions_of
from animate124.toybox.clip import Clip
from animate124.toybox.motions import MOTIONS
from animate124.zoo import augment, data, normalisation
from animate124.zoo.diffusion import part
from animate124.zoo.folders import save_model
from animate124.zoo.task import ZooTask

ROLE = "action-recognition"
FRAMES = 8
LABELS = tuple(MOTIONS)
DEFAULTS = ZooSettings(
    batch=48,
    echo=4,
    lr=3e-3,
    decay=0.9,
    weight_decay=0.05,
    ema=0.995,
    train=TrainSettings(steps=2000, checkpoint_seconds=120, preview_every=0),
)
_APART = 25  # steps between two uses of the same clips


def new(seed: int) -> ActionNetwork:
    """An untrained network of 0.8 M parameters whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, ROLE, "init"))
        return ActionNetwork(LABELS, FRAMES, data.SIZE)


class ActionTask(ZooTask):
    """Cross-entropy among the motions that a clip's species can do."""

    def __init__(self, settings: ZooSettings, device: str, network: ActionNetwork) -> None:
        super().__init__(ROLE, settings, {"network": network}, device)
        self.network = network
        self._rendered: dict[int, tuple[list[Clip], Tensor]] = {}

    def loss(self, step: int) -> dict[str, Tensor]:
        clips, frames = self.batch(step)
        truth = torch.tensor([LABELS.index(clip.motion) for clip in clips])
        can = torch.tensor([[m in motions_of(clip.species) for m in LABELS] for clip in clips])
        with self.autocast():
            logits = self.network(frames.to(self.device) * 2.0 - 1.0).float()
        logits = logits.masked_fill(~can.to(self.device), -1e4)
        return {"motion": cross_entropy(logits, truth.to(self.device))}

    def batch(self, step: int) -> tuple[list[Clip], Tensor]:
        """Clips and their frames [batch, FRAMES, 3, H, W] in [0, 1], each from one direction.

        `echo` sets of clips, rendered for steps that lie `_APART` from each other, are shown in
        other places, on other grounds and with other noise each time.
        """
        rng = data.stream(self.seed, self.name, "show", step)
        uses = min(self.settings.echo, self.settings.batch)
        clips, frames = [], []
        for k in range(uses):
            drawn, rgba = self._clips(step - k * _APART, -(-self.settings.batch // uses))
            clips += drawn
            frames.append(rgba.float() / 255.0)
        clips, rgba = clips[: self.settings.batch], torch.cat(frames)[: self.settings.batch]
        shown = data.over(rgba, data.plain_backgrounds(rng, len(rgba))[:, None])
        mirrored = torch.from_numpy(rng.random(len(shown)) < 0.5)[:, None, None, None, None]
        shown = torch.where(mirrored, shown.flip(-1), shown)
        return clips, torch.stack([augment.disturbed(rng, clip) for clip in shown])

    def _clips(self, step: int, count: int) -> tuple[list[Clip], Tensor]:
        """Clips drawn for a step and their pictures, uint8 [count, FRAMES, 4, H, W] on black.

        Half are seen from near the front, where scenes start.
        """
        if step not in self._rendered:
            rng = data.stream(self.seed, self.name, "data", step)
            clips = data.draw_clips(rng, count)
            seen = []
            for k, clip in enumerate(clips):
                azimuth = rng.uniform(-60, 60, 1) if k % 2 else rng.uniform(-180, 180, 1)
                times = clip.times(FRAMES)
                if clip.loop:
                    times = (times + rng.random() / FRAMES) % 1.0
                elevation = rng.uniform(*data.ELEVATIONS, 1)
                sight = data.look(clip, azimuth, elevation, times, samples=1)
                seen.append((sight.rgba[0] * 255.0).round().to(torch.uint8))
            self._rendered[step] = clips, torch.stack(seen)
            oldest = step - _APART * self.settings.echo
            for key in [key for key in self._rendered if key < oldest]:
                del self._rendered[key]
        return self._rendered[step]


def make_task(settings: ZooSettings, device: str, models: Path) -> ActionTask:
    """The training of a fresh network, or of the one in `models`; it builds on no other."""
    if settings.start == "fresh":
        return ActionTask(settings, device, new(settings.train.seed))
    network = load_module(ActionNetwork, part(models, ROLE), torch.float32)
    return ActionTask(settings, device, network.requires_grad_(True).train())


def export(task: ActionTask, folder: Path) -> None:
    """Write the averaged network and its config into `folder`."""
    network = task.averaged()["network"]
    recalibrate(network, task)
    save_model(network, folder)


def recalibrate(network: ActionNetwork, task: ActionTask, batches: int = 20) -> None:
    """Measure the batch normalisation's statistics for the averaged weights, in place."""
    normalisation.measure(network, lambda k: network(task.batch(10**9 + k)[1] * 2.0 - 1.0), batches)
