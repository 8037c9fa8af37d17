"""The nano depth network: DPT-tiny on 64² images, relative inverse depth (larger = nearer).

Supervised on the subject only, where the toybox knows the depth; elsewhere it learns to say 0.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

from animate124 import runtime
from animate124.media.files import write_json
from animate124.priors.components import load_module
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import augment, data, folders
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
    train=TrainSettings(steps=4000, checkpoint_seconds=120, preview_every=500),
)
SCALES = 4  # of the gradient matching
LEVEL, SPREAD = 1.0, 0.3  # mean and deviation that the output is to have over a subject
_VIEWS, _FRAMES, _USES = 2, 2, 2
_SUBJECT = 0.5  # coverage from which a pixel counts as subject
_LEAST = 1e-3  # below it a spread is taken for this, so that a flat output has finite gradients


def build() -> DPTForDepthEstimation:
    """The untrained network, 2.8 M parameters: DPT-Hybrid (Ranftl et al. 2021) in small.

    A transformer alone, on patches of 8², learned little in the time in which this one, with its
    convolutions below, was done.
    """
    backbone = BitConfig(
        embedding_size=32,
        hidden_sizes=[64, 128, 256],
        depths=[2, 2, 2],
        layer_type="bottleneck",
        global_padding="same",
        embedding_dynamic_padding=True,
        num_groups=8,
        out_features=["stage1", "stage2", "stage3"],
    )
    config = DPTConfig(
        is_hybrid=True,
        backbone_config=backbone,
        backbone_featmap_shape=(1, 256, 4, 4),
        image_size=data.SIZE,
        patch_size=16,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=768,
        backbone_out_indices=(0, 1, 1, 3),
        readout_type="project",
        reassemble_factors=(1, 1, 1, 0.5),
        neck_hidden_sizes=(64, 128, 96, 96),
        fusion_hidden_size=48,
        use_batch_norm_in_fusion_residual=True,
        use_bias_in_fusion_residual=False,
        use_auxiliary_head=False,
        layer_norm_eps=1e-5,
    )
    model = DPTForDepthEstimation(config)
    # With the library's deviation of 0.02 the signal of so narrow convolutions fades to nothing.
    for layer in (*model.neck.modules(), *model.head.modules()):
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    torch.nn.init.normal_(model.head.head[-2].weight, std=0.02)
    # At 0, the library's choice, the normalisation of the class token has a boundless gradient.
    torch.nn.init.normal_(model.dpt.embeddings.cls_token, std=0.1)
    torch.nn.init.normal_(model.dpt.embeddings.position_embeddings, std=0.1)
    return model


def new(seed: int) -> DPTForDepthEstimation:
    """An untrained network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, ROLE, "init"))
        return build()


def estimate(model: DPTForDepthEstimation, images: Tensor) -> Tensor:
    """Relative inverse depth [N, H, W] of images [N, 3, H, W] in [0, 1]."""
    return model((images - MEAN) / STD).predicted_depth


def before_relu(model: DPTForDepthEstimation, images: Tensor) -> Tensor:
    """`estimate` without the head's last ReLU, behind which a subject at 0 would learn nothing."""
    kept: list[Tensor] = []
    hook = model.head.head[-2].register_forward_hook(lambda *call: kept.append(call[-1]))
    try:
        estimate(model, images)
    finally:
        hook.remove()
    return kept[0][:, 0]


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
    """Scale-and-shift-invariant loss with gradient matching on the subject, 0 behind it.

    The invariant terms leave the output's scale and shift open; `gauge` asks for LEVEL as the
    mean and SPREAD of deviation, above the 0 that `far` asks of the background. It also lets the
    network say LEVEL where it does not know better, which standardising does not.
    """

    def __init__(self, settings: ZooSettings, device: str, model: DPTForDepthEstimation) -> None:
        super().__init__(ROLE, settings, {"depth": model}, device)
        self.model = model

    def loss(self, step: int) -> dict[str, Tensor]:
        images, disparity, mask, empty = (x.to(self.device) for x in self.samples(step))
        with self.autocast():
            predicted = before_relu(self.model, images)
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

        Half of the subjects are enlarged, shrunk, moved or mirrored; two backgrounds in five are
        white. Images in which the move left less than 16 pixels of the subject stay unmoved.
        """
        rng = data.stream(self.seed, self.name, "data", step)
        count = self.settings.batch
        rgba, depth = [], []
        for clip in data.draw_clips(rng, -(-count // (_VIEWS * _FRAMES * _USES))):
            sight = data.look(
                clip,
                rng.uniform(-180, 180, _VIEWS),
                rng.uniform(*data.ELEVATIONS, _VIEWS),
                rng.random(_FRAMES),
                depth=True,
            )
            rgba += [sight.rgba.flatten(0, 1)] * _USES
            depth += [sight.depth.flatten(0, 1)] * _USES
        seen, far = torch.cat(rgba)[:count], torch.cat(depth)[:count]
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
    """The training of a fresh network, or of the one in `models`; it builds on no other."""
    if settings.start == "fresh":
        return DepthTask(settings, device, new(settings.train.seed))
    model = load_module(DPTForDepthEstimation, part(models, ROLE), torch.float32)
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


@torch.no_grad()
def recalibrate(model: DPTForDepthEstimation, task: DepthTask, batches: int = 40) -> None:
    """Take the statistics of batch normalisation anew, for the averaged weights, in place.

    Those met in training belong to other weights, and a checkpoint does not hold them.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    for k in range(batches):
        estimate(model, task.samples(10**9 + k)[0])
    model.eval()
