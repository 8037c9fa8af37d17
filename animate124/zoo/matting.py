"""The nano matting network: a small U²-Net that gives the coverage of the subject, as ONNX.

Trained at 64² and, every other step, at 128², so that it serves both; fully convolutional.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from animate124 import runtime
from animate124.media.files import atomic_path, write_json
from animate124.media.tensors import load_tensors, save_tensors
from animate124.settings.training import TrainSettings
from animate124.settings.zoo import ZooSettings
from animate124.zoo import augment, data
from animate124.zoo.task import ZooTask
from animate124.zoo.u2net import U2Net

ROLE = "matting"
MEAN, STD = 0.5, 0.5  # of the image normalisation, every channel
LARGE = 2 * data.SIZE  # the other edge it is trained at, and the one it is used at
DEFAULTS = ZooSettings(
    batch=32,
    lr=2e-3,
    decay=0.6,
    weight_decay=1e-3,
    ema=0.995,
    train=TrainSettings(steps=2000, checkpoint_seconds=120, preview_every=500),
)
_WEIGHTS = "matting.safetensors"  # what training goes on from: it cannot from ONNX
_LARGE_EVERY = 2
_VIEWS, _FRAMES, _USES = 2, 2, 2
_SIDE_WEIGHT = 0.25


def new(seed: int) -> U2Net:
    """An untrained network of 0.7 M parameters whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive_seed(seed, ROLE, "init"))
        return U2Net()


def matte(model: U2Net, images: Tensor) -> Tensor:
    """Coverage [N, H, W] of images [N, 3, H, W] in [0, 1], edges multiples of 16."""
    return model((images - MEAN) / STD)[:, 0]


def soft_iou(alpha: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of coverages [N, 1, H, W]: Σ min / Σ max per image, [N]."""
    shared = torch.minimum(alpha, truth).flatten(1).sum(1)
    either = torch.maximum(alpha, truth).flatten(1).sum(1)
    return shared / either.clamp(min=1e-6)


class MattingTask(ZooTask):
    """Cross-entropy with soft truth and soft IoU, with deep supervision of every stage's side."""

    def __init__(self, settings: ZooSettings, device: str, model: U2Net) -> None:
        super().__init__(ROLE, settings, {"matting": model}, device)
        self.model = model

    def loss(self, step: int) -> dict[str, Tensor]:
        images, truth = (x.to(self.device) for x in self.samples(step))
        images = ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)
        with self.autocast():
            logits, *sides = (x.float() for x in self.model.logits(images))
        terms = {
            "entropy": functional.binary_cross_entropy_with_logits(logits, truth),
            "iou": 1.0 - soft_iou(logits.sigmoid(), truth).mean(),
        }
        for k, side in enumerate(sides):
            part = functional.avg_pool2d(truth, 2**k)
            entropy = functional.binary_cross_entropy_with_logits(side, part)
            terms[f"side{k}"] = _SIDE_WEIGHT * entropy
        return terms

    def samples(self, step: int) -> tuple[Tensor, Tensor]:
        """Images [N, 3, H, W] in [0, 1] and their coverage [N, 1, H, W].

        N is the batch at 64² and a quarter of it at 128², where every other step has enlarged
        images of 64². Three subjects in four are moved (over the border too), scaled or mirrored;
        one background in five is white.
        """
        rng = data.stream(self.seed, self.name, "data", step)
        large = step % _LARGE_EVERY == _LARGE_EVERY - 1
        enlarged = step % (2 * _LARGE_EVERY) == _LARGE_EVERY - 1
        size = LARGE if large and not enlarged else data.SIZE
        count = max(self.settings.batch // 4, 1) if large else self.settings.batch
        seen = []
        for clip in data.draw_clips(rng, -(-count // (_VIEWS * _FRAMES * _USES))):
            sight = data.look(
                clip,
                rng.uniform(-180, 180, _VIEWS),
                rng.uniform(*data.ELEVATIONS, _VIEWS),
                rng.random(_FRAMES),
                size,
            )
            seen += [sight.rgba.flatten(0, 1)] * _USES
        maps = augment.placements(rng, count, (0.6, 1.25), 0.25, still=0.25)
        moved = augment.place(torch.cat(seen)[:count], maps)
        ground = data.backgrounds(rng, count, size)
        ground[torch.from_numpy(rng.random(count) < 0.2)] = 1.0
        images, truth = augment.photograph(rng, data.over(moved, ground), clean=0.5), moved[:, 3:]
        return (_enlarge(images), _enlarge(truth)) if enlarged else (images, truth)

    def preview(self, step: int) -> Tensor:
        """Eight images above their coverage, the true one and the network's."""
        images, truth = (x[:8].to(self.device) for x in self.samples(10**9))
        own = matte(self.model, images)[:, None]
        tiles = (images, *(x.expand(-1, 3, -1, -1) for x in (truth, own)))
        rows = torch.cat([torch.cat(list(part), dim=2) for part in tiles], dim=1)
        return rows.permute(1, 2, 0).clamp(0, 1)


def _enlarge(images: Tensor) -> Tensor:
    """Twice the size, as small pictures are brought to the size that the network is used at."""
    made = functional.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False)
    return made.clamp(0.0, 1.0)


def make_task(settings: ZooSettings, device: str, models: Path) -> MattingTask:
    """The training of a fresh network, or of the one in `models`; it builds on no other."""
    model = new(settings.train.seed)
    if settings.start == "shipped":
        weights, _ = load_tensors(models / ROLE / _WEIGHTS, "matting", 1)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    return MattingTask(settings, device, model)


def export(task: MattingTask, folder: Path) -> None:
    """Write the averaged network as `matting.onnx` (float32, any batch and size), and its use.

    `matting.json` is what `animate124.priors.matting` reads: the edge in pixels that images are
    resized to, the normalisation of their [0, 1] values, and the session to run it through. A copy
    of the weights in float16 is for training them further.
    """
    model = task.averaged()["matting"]
    write_onnx(model, folder / "matting.onnx")
    halves = {name: value.half() for name, value in model.state_dict().items()}
    save_tensors(folder / _WEIGHTS, halves, kind="matting", version=1, finite=True)
    facts = {"size": LARGE, "mean": [MEAN] * 3, "std": [STD] * 3, "session": "rembg"}
    write_json(folder / "matting.json", facts)


def write_onnx(model: U2Net, path: Path) -> None:
    """The network as ONNX for any batch and size; the same bytes for the same weights.

    By torch's older exporter: the newer one needs onnxscript and writes paths of this machine.
    """
    axes = {0: "batch", 2: "height", 3: "width"}
    with atomic_path(path) as temp, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model.eval(),
            (torch.zeros(1, 3, data.SIZE, data.SIZE),),
            str(temp),
            input_names=["image"],
            output_names=["alpha"],
            dynamic_axes={"image": axes, "alpha": axes},
            opset_version=17,
            dynamo=False,
        )
