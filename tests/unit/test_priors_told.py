"""How a video model hears which motion it is told."""

import pytest
import torch
from zoo_models import models  # noqa: F401

from animate124.errors import UserError
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.text_to_image import TextToImage
from animate124.priors.told import SENTENCES, MomentEmbedding, with_sentences


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


def test_a_released_encoder_cannot_be_given_another_token(models):  # noqa: F811
    base = TextToImage.load(models / "text-to-image", vae=models / "autoencoder")
    assert with_sentences(base.text, models / "text-to-image", torch.float32) is base.text
    base.text.release()
    with pytest.raises(RuntimeError, match="released before multi-view-video was loaded"):
        MultiViewVideo.load(models / "multi-view-video", base=base)


def test_an_encoder_that_is_not_whole_is_refused(models, tmp_path):  # noqa: F811
    base = TextToImage.load(models / "text-to-image", vae=models / "autoencoder")
    (tmp_path / SENTENCES).mkdir()
    with pytest.raises(UserError, match="is incomplete"):
        with_sentences(base.text, tmp_path, torch.float32)
