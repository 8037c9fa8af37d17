"""How a video model hears which motion it is told: moments, one text a frame, its weight file."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from zoo_models import models  # noqa: F401

from animate124.errors import UserError
from animate124.priors.text_to_image import TextToImage
from animate124.priors.text_to_video import TextToVideo
from animate124.priors.told import HEARING, Hearing, MomentEmbedding, with_sentences


@pytest.fixture
def places(models):  # noqa: F811
    return {"base": models / "text-to-image", "vae": models / "autoencoder"}


def test_moments_by_hand():
    """Of the last token alone; the phase runs around once over the frames, however many."""
    torch.manual_seed(0)
    told = MomentEmbedding(6, 10, 5)
    text = torch.randn(2, 3, 6)
    found = told(text, 8)
    assert found.shape == (2, 8, 5)
    other = text.clone()
    other[:, :2] += 1.0
    assert torch.equal(told(other, 8), found)
    assert torch.allclose(told(text, 4), found[:, ::2], atol=1e-6)
    phase = 2 * torch.pi * 3 / 8 * torch.arange(1, 5)
    moment = told.moment(torch.cat([phase.sin(), phase.cos()]))
    hidden = torch.nn.functional.silu(told.said(text[1, -1]) + moment)
    expected = told.outer(torch.nn.functional.silu(told.inner(hidden)))
    assert torch.allclose(found[1, 3], expected, atol=1e-5)
    assert not torch.allclose(found[:, 1], found[:, 3], atol=1e-3)


def test_every_frame_has_a_text_of_its_own(models, places):  # noqa: F811
    model = TextToVideo.load(models / "text-to-video", **places)
    width = model.unet.config.cross_attention_dim
    hearing = Hearing(model.unet, MomentEmbedding(width, 4, width))
    text = torch.randn(2, 5, width)
    found = hearing.texts(text, 3)
    assert found.shape == (6, 5, width)
    for row in range(6):
        assert torch.equal(found[row, :-1], text[row // 3, :-1])
        said = hearing.moments(text, 3)[row // 3, row % 3]
        assert torch.allclose(found[row, -1], text[row // 3, -1] + said, atol=1e-6)


def test_cross_attention_comes_from_the_file(models, places, tmp_path):  # noqa: F811
    """And stays what it was in the text-to-image model that is loaded beside it."""
    base = TextToImage.load(places["base"], vae=places["vae"])
    before = {key: value.clone() for key, value in base.unet.state_dict().items()}
    folder = tmp_path / "model"
    folder.symlink_to(models / "text-to-video")
    model = TextToVideo.load(folder, base=base)
    stored = load_file(models / "text-to-video" / HEARING)
    assert len(stored) == 5 * len(model.hearing.attention) + 8 and len(model.hearing.attention) == 7
    for name, module in model.hearing.attention.items():
        key = name.replace(".", "/") + ".to_k.weight"
        assert torch.equal(module.to_k.weight, stored[key].float())
    assert all(torch.equal(before[key], value) for key, value in base.unet.state_dict().items())
    assert not any(p.requires_grad for p in model.hearing.moments.parameters())


@pytest.mark.parametrize("how", ["missing", "spare", "misshapen", "damaged", "absent"])
def test_a_file_that_does_not_fit_is_refused(how, models, places, tmp_path):  # noqa: F811
    folder = tmp_path / "model"
    folder.mkdir()
    for path in (models / "text-to-video").iterdir():
        (folder / path.name).symlink_to(path)
    tensors = load_file(folder / HEARING)
    (folder / HEARING).unlink()
    if how == "missing":
        tensors.pop("moments.outer.bias")
    elif how == "spare":
        tensors["moments.other"] = torch.zeros(1)
    elif how == "misshapen":
        tensors["moments.said.weight"] = torch.zeros(3, 3)
    if how == "damaged":
        (folder / HEARING).write_bytes(b"{")
    elif how != "absent":
        save_file(tensors, folder / HEARING)
    with pytest.raises(UserError, match=r"does not fit|is damaged|is missing") as error:
        TextToVideo.load(folder, **places)
    assert "fetch" in str(error.value)


def test_a_released_encoder_cannot_be_given_another_token(models, places):  # noqa: F811
    base = TextToImage.load(places["base"], vae=places["vae"])
    assert with_sentences(base.text, models / "text-to-image", torch.float32) is base.text
    base.text.release()
    with pytest.raises(RuntimeError, match="released before text-to-video was loaded"):
        TextToVideo.load(models / "text-to-video", base=base)
