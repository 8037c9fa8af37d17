"""Depth loaders: preprocessing against transformers' own, full sizes on the meta device."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    ResNetConfig,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from animate124.errors import UserError
from animate124.priors.depth import Depth
from animate124.priors.preprocess import load_preprocess
from animate124.priors.profiles import load_profile

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

# config.json of Intel/dpt-large and of depth-anything/Depth-Anything-V2-Small-hf.
DPT_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "image_size": 384,
    "patch_size": 16,
    "backbone_out_indices": [5, 11, 17, 23],
    "neck_hidden_sizes": [256, 512, 1024, 1024],
    "reassemble_factors": [4, 2, 1, 0.5],
    "fusion_hidden_size": 256,
    "readout_type": "project",
}
DINO_SMALL = {
    "hidden_size": 384,
    "num_attention_heads": 6,
    "num_hidden_layers": 12,
    "image_size": 518,
    "patch_size": 14,
    "out_features": ["stage3", "stage6", "stage9", "stage12"],
    "reshape_hidden_states": False,
    "apply_layernorm": True,
}
DEPTH_ANYTHING_SMALL = {
    "reassemble_hidden_size": 384,
    "neck_hidden_sizes": [48, 96, 192, 384],
    "fusion_hidden_size": 64,
    "head_hidden_size": 32,
    "patch_size": 14,
}


def tiny_dpt(folder):
    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
    )
    DPTForDepthEstimation(config).save_pretrained(folder)
    return processor(folder, size={"height": 32, "width": 32}, image_mean=[0.5] * 3)


def tiny_depth_anything(folder, **more):
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=4,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=4,
        patch_size=14,
        **more,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 56, "width": 56}
    return processor(folder, size=size, keep_aspect_ratio=True, ensure_multiple_of=14, **IMAGENET)


def tiny_upernet(folder):
    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = UperNetConfig(
        backbone_config=backbone,
        hidden_size=8,
        pool_scales=[1],
        use_auxiliary_head=False,
        num_labels=1,
    )
    UperNetForSemanticSegmentation(config).save_pretrained(folder)
    return processor(folder, size={"height": 32, "width": 32}, image_mean=[0.5] * 3)


def processor(folder, **settings):
    """Write preprocessor_config.json and give transformers' own processor of the same settings."""
    config = {"image_std": [0.5] * 3, "resample": 3, "do_rescale": True} | settings
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return DPTImageProcessorPil(**config)


def image(height, width, seed=0):
    """A smooth image and its bytes, [3, H, W]: PIL works on bytes."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand((1, 3, 5, 6), generator=generator)
    large = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    found = (large[0] * 255).round().to(torch.uint8)
    return found.float()[None] / 255, found.numpy()


@pytest.mark.parametrize("size", [(48, 80), (100, 60), (20, 24)])
@pytest.mark.parametrize("make", [tiny_dpt, tiny_depth_anything])
def test_preprocessing_agrees_with_transformers(tmp_path, make, size):
    theirs = make(tmp_path)
    images, integers = image(*size)
    expected = theirs(integers, return_tensors="pt", input_data_format="channels_first")
    mine = load_preprocess(tmp_path)(images)
    assert mine.shape == expected["pixel_values"].shape
    # Theirs rounds to bytes after resizing: half a byte, in units of the smallest deviation.
    assert (mine - expected["pixel_values"]).abs().max() < 1.1 / 255 / 0.224


@pytest.mark.parametrize("make", [tiny_dpt, tiny_depth_anything, tiny_upernet])
def test_estimate_is_the_network_on_its_own_processor(tmp_path, make):
    theirs = make(tmp_path)
    images, integers = image(64, 96)
    prior = Depth.load(tmp_path)
    found = prior.estimate(images)
    assert found.shape == (1, 64, 96) and found.dtype == torch.float32
    pixels = theirs(integers, return_tensors="pt", input_data_format="channels_first")
    with torch.no_grad():
        output = prior.model(**pixels)
    raw = output.logits[:, 0] if make is tiny_upernet else output.predicted_depth
    wanted = torch.nn.functional.interpolate(raw[:, None], (64, 96), mode="bicubic")[:, 0]
    spread = wanted.max() - wanted.min()
    assert (found - wanted).abs().max() < 0.02 * spread + 1e-6
    assert not any(parameter.requires_grad for parameter in prior.model.parameters())
    twice = prior.estimate(torch.cat([image(64, 96, 1)[0], images]))
    assert torch.allclose(twice[1], found[0], atol=1e-5 * float(spread) + 1e-6)


def test_metric_depth_is_refused(tmp_path):
    tiny_depth_anything(tmp_path, depth_estimation_type="metric", max_depth=20)
    with pytest.raises(UserError, match="metric depth"):
        Depth.load(tmp_path)


def test_other_networks_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(UserError, match="'clip', which is none for depth"):
        Depth.load(tmp_path)
    with pytest.raises(UserError, match="nothere"):
        Depth.load(tmp_path / "nothere")


def test_an_unsupported_preprocessing_is_refused(tmp_path):
    tiny_dpt(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config | {"resample": 0}))
    with pytest.raises(UserError, match="no supported preprocessing"):
        Depth.load(tmp_path)


def test_full_size_networks():
    with torch.device("meta"):
        large = DPTForDepthEstimation(DPTConfig(**DPT_LARGE))
        backbone = Dinov2Config(**DINO_SMALL)
        small = DepthAnythingForDepthEstimation(
            DepthAnythingConfig(backbone_config=backbone, **DEPTH_ANYTHING_SMALL)
        )
    counts = [sum(p.numel() for p in network.parameters()) for network in (large, small)]
    # The hub lists 1.37 GB and 99.2 MB of float32.
    assert np.allclose(np.multiply(counts, 4), [1.37e9, 99.2e6], rtol=2e-3)
    entry = load_profile("animate124").entry("depth")
    assert entry.parameters == {"depth": counts[1]} and entry.bytes == 4 * counts[1]
    shapes = {name: tuple(tensor.shape) for name, tensor in small.state_dict().items()}
    assert shapes["backbone.embeddings.position_embeddings"] == (1, 37 * 37 + 1, 384)
    assert shapes["neck.reassemble_stage.layers.3.resize.weight"] == (384, 384, 3, 3)
    assert shapes["head.conv3.weight"] == (1, 32, 1, 1)
    shapes = {name: tuple(tensor.shape) for name, tensor in large.state_dict().items()}
    assert shapes["neck.reassemble_stage.readout_projects.0.0.weight"] == (1024, 2048)
    assert shapes["neck.fusion_stage.layers.0.residual_layer2.convolution1.weight"][:2] == (
        256,
        256,
    )
