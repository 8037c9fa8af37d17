import math

import pytest
import tiny_priors
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from animate124.errors import UserError
from animate124.geometry.cameras import orbit
from animate124.priors.novel_view import NovelView, pose_token
from animate124.priors.preprocess import load_preprocess

LAYOUTS = ("clip_camera_projection", "cc_projection", "cc_bin")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("novel-view")
    return {layout: tiny_priors.novel_view(base / layout, layout) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def prior(folders):
    return NovelView.load(folders["clip_camera_projection"])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def image():
    return torch.rand(1, 3, 20, 20, generator=rng(5))


def test_pose_token_by_hand():
    """90° to the right: sin 1, cos 0. 30° up: the polar angle falls by π/6."""
    assert torch.allclose(pose_token(0, 90, 0), torch.tensor([[0.0, 1, 0, 0]]), atol=1e-6)
    assert torch.allclose(pose_token(0, -90, 0), torch.tensor([[0.0, -1, 0, 0]]), atol=1e-6)
    assert torch.allclose(
        pose_token(30, 180, -0.4), torch.tensor([[-math.pi / 6, 0, -1, -0.4]]), atol=1e-6
    )
    many = pose_token(torch.tensor([0.0, -10.0]), torch.tensor([30.0, 0.0]), 0.25)
    assert torch.allclose(many[0], torch.tensor([0, 0.5, math.sqrt(0.75), 0.25]), atol=1e-6)
    assert torch.allclose(many[1], torch.tensor([math.radians(10), 0, 1, 0.25]), atol=1e-6)


def test_pose_token_from_the_cameras_places():
    """Our orbits, measured as Zero123 measures cameras: polar angle from the pole, azimuth
    counter-clockwise from above. A camera to the reference camera's right has sin > 0, one above
    it has a negative polar change."""
    azimuth, elevation = torch.tensor([0.0, 40.0, -75.0]), torch.tensor([5.0, 35.0, -10.0])
    poses = orbit(azimuth, elevation).double()
    place, right = poses[:, :3, 3], poses[0, :3, 0]
    radius = place.norm(dim=1)
    polar = torch.acos(place[:, 1] / radius)  # +y is up
    around = torch.atan2(place[:, 0], place[:, 2])  # seen from above, from +z towards +x
    turn = around[1:] - around[0]
    by_hand = torch.stack([polar[1:] - polar[0], turn.sin(), turn.cos(), radius[1:] - radius[0]], 1)
    token = pose_token(elevation[1:] - 5.0, azimuth[1:], 0.0)
    assert torch.allclose(token.double(), by_hand, atol=1e-5)
    assert place[1] @ right > 0 and token[0, 1] > 0
    assert place[2] @ right < 0 and token[1, 1] < 0
    assert place[1, 1] > place[0, 1] and token[0, 0] < 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts_are_one_model(folders, prior, layout):
    """Same weights, three names for the camera layer: the same prediction."""
    other = NovelView.load(folders[layout])
    noisy, t = torch.randn(1, 4, 8, 8, generator=rng()), torch.tensor([400])
    pose = pose_token(10, 20, 0)
    assert torch.equal(
        other.predict(noisy, t, other.reference(image()), pose),
        prior.predict(noisy, t, prior.reference(image()), pose),
    )
    assert other.image_size == 16
    for module in (other.unet, other.vae, other.image_encoder, other.projection):
        assert not module.training and not any(p.requires_grad for p in module.parameters())


def test_reference_by_hand(prior):
    """The latent is the posterior's mode without scale; the embedding is CLIP's, projected."""
    pixels = torch.rand(1, 3, 16, 16, generator=rng())
    reference = prior.reference(pixels)
    posterior = prior.vae.encode(pixels * 2 - 1).latent_dist
    assert torch.allclose(reference.latent, posterior.mode(), atol=1e-6)
    assert torch.allclose(reference.latent * 0.5, prior.encode_images(pixels), atol=1e-6)
    embedding = prior.image_encoder(prior.preprocess(pixels)).image_embeds
    assert torch.allclose(reference.embedding, embedding[:, None], atol=1e-6)


def test_pair_by_hand(prior):
    """Conditions: token = W [embedding, pose] + b and the latent as channels 4 to 8; or zeros."""
    reference = prior.reference(image())
    pose = pose_token(torch.tensor([0.0, 20.0]), torch.tensor([45.0, -120.0]), 0.0)
    noisy, t = torch.randn(2, 4, 8, 8, generator=rng()), torch.tensor([200, 700])
    cond, uncond = prior.predict_pair(noisy, t, reference, pose)
    for row in range(2):
        joined = torch.cat([reference.embedding[0, 0], pose[row]])
        token = prior.projection.weight @ joined + prior.projection.bias
        x = torch.cat([noisy[row : row + 1], reference.latent], 1)
        by_hand = prior.unet(x, t[row], token[None, None]).sample
        assert torch.allclose(cond[row], by_hand[0], atol=1e-5)
        x = torch.cat([noisy[row : row + 1], torch.zeros(1, 4, 8, 8)], 1)
        by_hand = prior.unet(x, t[row], torch.zeros(1, 1, 32)).sample
        assert torch.allclose(uncond[row], by_hand[0], atol=1e-5)
    assert torch.allclose(prior.predict(noisy, t, reference, pose), cond, atol=1e-5)
    assert not torch.allclose(cond, uncond, atol=1e-3)
    assert not cond.requires_grad


def test_samples(prior):
    reference = prior.reference(image())
    poses = pose_token(0.0, torch.tensor([0.0, 90.0, 180.0]), 0.0)
    images = prior.sample(reference, poses, scale=3.0, steps=3, generator=rng())
    assert images.shape == (3, 3, 16, 16) and images.min() >= 0 and images.max() <= 1
    assert torch.equal(images, prior.sample(reference, poses, 3.0, 3, rng()))
    alone = prior.sample(reference, poses, 1.0, 3, rng())
    assert not torch.equal(images, alone)


@pytest.mark.parametrize("size", [(40, 40), (20, 30), (61, 45)])
def test_preprocessing_is_clips(folders, size):
    """Against transformers' own, which works on 8-bit images with PIL."""
    folder = folders["cc_bin"] / "feature_extractor"
    smooth = torch.rand(1, 3, 6, 6, generator=rng())
    pixels = torch.nn.functional.interpolate(smooth, size, mode="bilinear")
    bytes_ = (pixels[0] * 255).round().to(torch.uint8)
    theirs = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)(
        Image.fromarray(bytes_.permute(1, 2, 0).numpy()), return_tensors="pt"
    ).pixel_values
    ours = load_preprocess(folder)(bytes_[None] / 255.0)
    assert ours.shape == theirs.shape == (1, 3, 28, 28)
    assert float((ours - theirs).abs().max()) < 1.6 / 255 / 0.26


def test_nano_preprocessing(tmp_path):
    """The record the zoo writes: an exact size, no crop, its own mean and deviation."""
    from animate124.zoo.folders import write_preprocessor

    write_preprocessor(tmp_path, 64, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5))
    preprocess = load_preprocess(tmp_path)
    pixels = torch.rand(1, 3, 64, 64, generator=rng())
    by_hand = (pixels - 0.5) / torch.tensor([0.25, 0.5, 0.5]).view(3, 1, 1)
    assert torch.allclose(preprocess(pixels), by_hand, atol=1e-6)
    assert preprocess(torch.zeros(2, 3, 100, 80)).shape == (2, 3, 64, 64)


def test_incomplete_models_are_named(tmp_path):
    folder = tiny_priors.novel_view(tmp_path / "m")
    camera = folder / "clip_camera_projection" / "diffusion_pytorch_model.safetensors"
    camera.rename(tmp_path / "layer")
    with pytest.raises(UserError, match="clip_camera_projection"):
        NovelView.load(folder)
    (folder / "image_encoder" / "model.safetensors").rename(camera)
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        NovelView.load(folder)
    camera.rename(folder / "image_encoder" / "model.safetensors")
    (folder / "unet" / "config.json").rename(tmp_path / "config.json")
    (tmp_path / "layer").rename(camera)
    with pytest.raises(UserError, match=r"config\.json is missing"):
        NovelView.load(folder)
    (tmp_path / "config.json").rename(folder / "unet" / "config.json")
    record = folder / "feature_extractor" / "preprocessor_config.json"
    record.write_text("{}")
    with pytest.raises(UserError, match="no supported preprocessing"):
        NovelView.load(folder)
    record.write_text("{")
    with pytest.raises(UserError, match="damaged"):
        NovelView.load(folder)


def test_camera_layer_of_another_width(tmp_path):
    from safetensors.torch import save_file

    folder = tiny_priors.novel_view(tmp_path / "m")
    path = folder / "clip_camera_projection" / "diffusion_pytorch_model.safetensors"
    save_file({"proj.weight": torch.ones(16, 20), "proj.bias": torch.ones(16)}, path)
    with pytest.raises(UserError, match="36 → 32"):
        NovelView.load(folder)
