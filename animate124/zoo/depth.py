"""The nano depth network: UPerNet on 64² images, relative inverse depth (larger = nearer).

Supervised on the subject only, where the toybox knows the depth; elsewhere it learns to say 0 or
less.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import UperNetConfig, UperNetForSemanticSegmentation, VisionTextDualEncoderModel

from animate124 import runtime
from animate124.media.files import write_json
from animate124.priors.components import load_module
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import augment, data, embedder, folders, normalisation
from animate124.zoo.diffusion import part
from animate124.zoo.task import ZooTask

ROLE = "depth"
MEAN, STD = 0.5, 0.5  # of the image normalisation, every channel
DEFAULTS = ZooSettings(
    batch=32,
    lr=1e-3,
    decay=0.6,
    weight_decay=0.02,
    ema=0.995,
    train=TrainSettings(steps=5000, checkpoint_seconds=120, preview_every=500),
)
SCALES = 4  # of the gradient matching
LEVEL, SPREAD = 1.0, 0.3  # mean and deviation that the output is to have over a subject
_VIEWS, _USES = 2, 4
_SUBJECT = 0.5  # coverage from which a pixel counts as subject
_LEAST = 1e-3  # below it a spread is taken for this, so that a flat output has finite gradients


def build() -> UperNetForSemanticSegmentation:
    """The untrained network, 1.7 M parameters: UPerNet (arXiv 1807.10221) with one channel out.

    Its backbone is the embedder's residual network, so that a training can begin with features of
    toys: from scratch, a U-Net, DPT in small and GLPN got nowhere in the time.
    """
    backbone = embedder.vision_config()
    backbone.out_features = [f"stage{k}" for k in range(1, 5)]
    config = UperNetConfig(
        backbone_config=backbone,
        hidden_size=64,
        pool_scales=[1, 2],
        use_auxiliary_head=False,
        auxiliary_in_channels=None,
        num_labels=1,
    )
    model = UperNetForSemanticSegmentation(config)
    torch.nn.init.normal_(model.decode_head.classifier.weight, std=0.05)
    return model


def new(seed: int) -> UperNetForSemanticSegmentation:
    """An untrained network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, ROLE, "init"))
        return build()


def estimate(model: UperNetForSemanticSegmentation, images: Tensor) -> Tensor:
    """Relative inverse depth [N, H, W] of images [N, 3, H, W] in [0, 1]."""
    return model((images - MEAN) / STD).logits[:, 0]


def standardise(values: Tensor, mask: Tensor) -> Tensor:
    """Values [N, H, W] less their mean over the mask, over their standard deviation there.

    Ranftl et al. 2020 (arXiv 1907.01341), eq. 6, with mean and deviation for median and mean
    absolute deviation: then squared errors (eq. 5) are 2 − 2·Pearson's correlation, which is what
    depth is compared by. Every image needs a pixel in its mask.
    """
    count = mask.flatten(1).sum(1)[:, None, None]
    offset = values - (values * mask).sum((1, 2), keepdim=True) / count
    variance = (offset.square() * mask).sum((1, 2), keepdim=True) / count
    return offset / variance.clamp(min=_LEAST**2).sqrt()


def squared_error(residual: Tensor, mask: Tensor) -> Tensor:
    """Mean over images of the masked mean square; eq. 5 without its ½."""
    return ((residual.square() * mask).flatten(1).sum(1) / mask.flatten(1).sum(1)).mean()


def gradient_error(residual: Tensor, mask: Tensor) -> Tensor:
    """Multi-scale gradient matching (eq. 11): steps of the residual between subject pixels.

    At each of SCALES scales every second row and column of the one before is kept; sums are divided
    by the number of subject pixels at full size.
    """
    count = mask.flatten(1).sum(1)
    total = residual.new_zeros(len(residual))
    for k in range(SCALES):
        part, inside = residual[:, :: 2**k, :: 2**k], mask[:, :: 2**k, :: 2**k]
        for axis in (1, 2):
            step = part.diff(dim=axis).abs()
            size = inside.shape[axis]
            both = inside.narrow(axis, 1, size - 1) & inside.narrow(axis, 0, size - 1)
            total = total + (step * both).flatten(1).sum(1)
    return (total / count).mean()


class DepthTask(ZooTask):
    """Scale-and-shift-invariant loss with gradient matching on the subject, at most 0 behind it.

    The invariant terms leave the output's scale and shift open; `gauge` asks for LEVEL as the
    mean and SPREAD of deviation, above the 0 that `far` asks of the background. It also lets the
    network say LEVEL where it does not know better, which standardising does not.
    """

    def __init__(
        self, settings: ZooSettings, device: str, model: UperNetForSemanticSegmentation
    ) -> None:
        super().__init__(ROLE, settings, {"depth": model}, device)
        self.model = model
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def loss(self, step: int) -> dict[str, Tensor]:
        images, disparity, mask, empty = (x.to(self.device) for x in self.samples(step))
        with self.autocast():
            predicted = estimate(self.model, images)
        predicted = predicted.float()
        true = standardise(disparity, mask)
        residual = standardise(predicted, mask) - true
        return {
            "invariant": squared_error(residual, mask),
            "gradient": 0.25 * gradient_error(residual, mask),
            "gauge": squared_error((predicted - LEVEL) / SPREAD - true, mask),
            "far": (
                (predicted.relu() * empty).flatten(1).sum(1) / (empty.flatten(1).sum(1) + 1)
            ).mean(),
        }

    def samples(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images [batch, 3, H, W], inverse depth, subject mask and background mask [batch, H, W].

        An image is rendered once and stands in the batches of _USES steps (data echoing, arXiv
        1907.05550), each time placed and lit anew over another ground: rendering costs more than
        the step. Half of the subjects are enlarged, shrunk, moved or mirrored; two backgrounds in
        five are white. Images in which the move left less than 16 pixels of the subject stay
        unmoved.
        """
        count = self.settings.batch
        rendered = [self._rendered(step - age) for age in range(_USES)]
        seen, far = (torch.cat(kind)[:count] for kind in zip(*rendered, strict=True))
        rng = data.stream(self.seed, self.name, "place", step)
        maps = augment.placements(rng, count, (0.7, 1.25), 0.12, still=0.5)
        moved, behind = augment.place(seen, maps), augment.place(far, maps, "nearest")
        lost = (subject(moved, behind).flatten(1).sum(1) < 16)[:, None, None, None]
        moved, behind = torch.where(lost, seen, moved), torch.where(lost, far, behind)
        ground = data.backgrounds(rng, count)
        ground[torch.from_numpy(rng.random(count) < 0.4)] = 1.0
        images = augment.photograph(rng, data.over(moved, ground), clean=0.7)
        mask = subject(moved, behind)
        disparity = torch.where(mask, 1.0 / behind[:, 0].clamp(min=_LEAST), 0.0)
        return images, disparity, mask, moved[:, 3] == 0.0

    def _rendered(self, key: int) -> tuple[Tensor, Tensor]:
        """Premultiplied pictures [N, 4, H, W] and depths [N, 1, H, W], with N · _USES ≥ batch.

        A pure function of the seed and `key`; the last _USES are kept.
        """
        if key not in self._kept:
            rng = data.stream(self.seed, self.name, "data", key)
            rgba, depth = [], []
            for clip in data.draw_clips(rng, -(-self.settings.batch // (_VIEWS * _USES))):
                angles = rng.uniform(-180, 180, _VIEWS), rng.uniform(*data.ELEVATIONS, _VIEWS)
                sight = data.look(clip, *angles, rng.random(1), depth=True)
                rgba.append(sight.rgba[:, 0])
                depth.append(sight.depth[:, 0])
            self._kept = {k: v for k, v in self._kept.items() if abs(k - key) < _USES}
            self._kept[key] = (torch.cat(rgba), torch.cat(depth))
        return self._kept[key]

    def preview(self, step: int) -> Tensor:
        """Eight images above their true inverse depth and the network's, both standardised."""
        images, disparity, mask, _ = (x[:8].to(self.device) for x in self.samples(10**9))
        true = standardise(disparity, mask) * mask
        own = standardise(estimate(self.model, images), mask)
        tiles = [images, *((0.2 * x + 0.5)[:, None].expand(-1, 3, -1, -1) for x in (true, own))]
        rows = torch.cat([torch.cat(list(part), dim=2) for part in tiles], dim=1)
        return rows.permute(1, 2, 0).clamp(0, 1)


def subject(rgba: Tensor, depth: Tensor) -> Tensor:
    """Where a pixel is mostly subject and its depth is known, [N, H, W] bool."""
    return (rgba[:, 3] > _SUBJECT) & (depth[:, 0] > 0.0)


def make_task(settings: ZooSettings, device: str, models: Path) -> DepthTask:
    """The training of the network in `models`, or of one whose backbone is the embedder's there."""
    if settings.start == "fresh":
        model = new(settings.train.seed)
        eyes = load_module(VisionTextDualEncoderModel, part(models, embedder.ROLE), torch.float32)
        model.backbone.load_state_dict(eyes.vision_model.state_dict())
        return DepthTask(settings, device, model)
    model = load_module(UperNetForSemanticSegmentation, part(models, ROLE), torch.float32)
    return DepthTask(settings, device, model.requires_grad_(True).train())


def export(task: DepthTask, folder: Path) -> None:
    """Write the averaged network in float16, its config and its preprocessing into `folder`."""
    model = task.averaged()["depth"]
    recalibrate(model, task)
    folders.save_model(model, folder)
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "DPTImageProcessor",
            "do_resize": True,
            "size": {"height": data.SIZE, "width": data.SIZE},
            "keep_aspect_ratio": False,
            "ensure_multiple_of": 1,
            "resample": 3,
            "do_rescale": True,
            "rescale_factor": 1.0 / 255.0,
            "do_normalize": True,
            "image_mean": [MEAN] * 3,
            "image_std": [STD] * 3,
            "do_pad": False,
        },
    )


def recalibrate(model: UperNetForSemanticSegmentation, task: DepthTask, batches: int = 40) -> None:
    """Measure the batch normalisation's statistics for the averaged weights, in place."""
    normalisation.measure(model, lambda k: estimate(model, task.samples(10**9 + k)[0]), batches)
