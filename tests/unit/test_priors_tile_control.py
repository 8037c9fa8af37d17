import pytest
import tiny_priors
import torch
from diffusers import StableDiffusionControlNetPipeline

from animate124.errors import UserError
from animate124.priors import sampling
from animate124.priors.profiles import load_profile
from animate124.priors.sizes import image_size
from animate124.priors.text_to_image import TextToImage
from animate124.priors.tile_control import TileControl


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    return tiny_priors.text_to_image(tmp_path_factory.mktemp("base") / "t2i")


@pytest.fixture(scope="module")
def base(base_folder):
    return TextToImage.load(base_folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_priors.controlnet(tmp_path_factory.mktemp("tile") / "controlnet")


@pytest.fixture(scope="module")
def prior(folder, base):
    return TileControl.load(folder, base=base)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs():
    noisy = torch.randn(2, 4, 8, 8, generator=rng(1))
    return noisy, torch.tensor([100, 900]), torch.rand(2, 3, 16, 16, generator=rng(2))


def test_shares_its_base(prior, base):
    assert prior.vae is base.vae and prior.text is base.text and prior.image_size == 16
    assert not prior.controlnet.training
    assert not any(parameter.requires_grad for parameter in prior.controlnet.parameters())


def test_pair_by_hand(prior, base):
    """Text to the UNet, control text to the ControlNet, the negative text to both."""
    noisy, t, condition = inputs()
    cond, uncond = prior.predict_pair(noisy, t, "panda", "c", condition, "b d")
    for found, words, control_words in ((cond, "panda", "b d"), (uncond, "c", "c")):
        text, control = base.encode_text([words]), base.encode_text([control_words])
        with torch.no_grad():
            added = prior.controlnet(noisy, t, control.expand(2, -1, -1), condition)
            by_hand = base.unet(
                noisy,
                t,
                text.expand(2, -1, -1),
                down_block_additional_residuals=added.down_block_res_samples,
                mid_block_additional_residual=added.mid_block_res_sample,
            ).sample
        assert torch.allclose(found, by_hand, atol=1e-5)
    without = prior.predict_pair(noisy, t, "panda", "c", condition)[0]
    same = prior.predict_pair(noisy, t, "panda", "c", condition, "panda")[0]
    assert torch.allclose(without, same) and not torch.allclose(without, cond, atol=1e-5)


def test_control_weight_zero_is_the_base(folder, base):
    prior = TileControl.load(folder, base=base)
    noisy, t, condition = inputs()
    steered = prior.predict_pair(noisy, t, "panda", "", condition)[0]
    prior.control_scale = 0.0
    plain = prior.predict_pair(noisy, t, "panda", "", condition)[0]
    assert torch.allclose(plain, base.predict(noisy, t, "panda"), atol=1e-5)
    assert not torch.allclose(steered, plain, atol=1e-3)


def test_condition_takes_the_latents_own_size(prior):
    """Latents of 12×8 are 24×16 pixels: a condition of any size is brought there."""
    noisy, t = torch.randn(1, 4, 12, 8, generator=rng()), torch.tensor([300])
    constant = torch.full((1, 3, 5, 7), 0.7)
    fitting = torch.full((1, 3, 24, 16), 0.7)
    a = prior.predict_pair(noisy, t, "panda", "", constant)[0]
    assert torch.allclose(a, prior.predict_pair(noisy, t, "panda", "", fitting)[0], atol=1e-5)


def test_another_image_size(folder, base):
    prior = TileControl.load(folder, base=base)
    prior.image_size = 32
    images = torch.rand(1, 3, 16, 16, generator=rng())
    assert prior.encode_images(images).shape == (1, 4, 16, 16)
    assert prior.sample(images, "panda", steps=1, generator=rng()).shape == (1, 3, 32, 32)
    assert base.image_size == 16


def test_sampling_is_the_pipeline_of_diffusers(prior, base):
    pipeline = StableDiffusionControlNetPipeline(
        base.vae,
        base.text.model,
        base.text.tokenizer,
        base.unet,
        prior.controlnet,
        tiny_priors.trailing(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    condition = inputs()[2][:1]
    theirs = pipeline(
        "panda",
        image=condition,
        negative_prompt="c",
        height=16,
        width=16,
        num_inference_steps=3,
        guidance_scale=3.0,
        latents=sampling.noise([1, 4, 8, 8], rng(3), "cpu"),
        output_type="pt",
    ).images
    ours = prior.sample(condition, "panda", "c", 3.0, 3, rng(3))
    assert torch.allclose(ours, theirs, atol=2e-3)


def test_incomplete_models_are_named(tmp_path, folder, base):
    with pytest.raises(UserError, match="no model folder"):
        TileControl.load(tmp_path / "nothing", base=base)
    with pytest.raises(UserError, match=r"config\.json is missing"):
        TileControl.load(tmp_path, base=base)
    with pytest.raises(UserError, match="unet is missing"):
        TileControl.load(folder, base=tmp_path)


def test_the_size_of_its_pictures_is_known_without_loading(tmp_path, prior, folder, base_folder):
    path = tmp_path / "mine.yaml"
    entry = "source: folder, licence: none, allow_patterns: ['*']"
    path.write_text(
        f"about: tiny\nroles:\n  text-to-image: {{model: {base_folder}, {entry}}}\n"
        f"  tile-control: {{model: {folder}, {entry}, components: {{base: text-to-image}}}}\n"
    )
    mine = load_profile(path)
    assert image_size(mine, "tile-control") == prior.image_size == 16
    assert image_size(load_profile("nano"), "tile-control") == 64  # its autoencoder lies elsewhere
    assert image_size(mine, "novel-view") is None
    path.write_text(path.read_text().replace(str(base_folder), str(tmp_path / "nothing")))
    assert image_size(load_profile(path), "tile-control") is None
