"""The encoder of whole sentences: what it learns, and how video models hear it."""

import pytest
import torch
from zoo_models import models  # noqa: F401

from animate124.priors.text import TextEncoder
from animate124.zoo import sentences
from animate124.zoo.diffusion import load_base
from animate124.zoo.language import MAX_TOKENS, build_tokenizer
from animate124.zoo.text_to_image import TEXT_WIDTH


@pytest.fixture(scope="module")
def encoder():
    return sentences.trained(build_tokenizer(), TEXT_WIDTH, seed=0, steps=100)


def test_examples_name_what_they_say():
    texts, truth = sentences.examples(0, 3)
    assert len(texts) == len(truth) and texts == sentences.examples(0, 3)[0]
    said = 0
    for text, (kind, action) in zip(texts, truth.tolist(), strict=True):
        if text == "":
            assert (kind, action) == (len(sentences.KINDS), len(sentences.ACTIONS))
            continue
        assert sentences.KINDS[kind] in text
        said += action < len(sentences.ACTIONS)
        assert (" is " in text) == (action < len(sentences.ACTIONS))
    assert said > 30


def test_it_learns_to_tell_motions_apart(encoder):
    """Sentences that differ in the verb alone are further apart than those that differ in form."""
    tokenizer = build_tokenizer()
    told = ["a fox is dancing", "a fox that is dancing", "a fox is waving", "a fox is walking"]
    with torch.no_grad():
        one, same, *others = sentences.pooled(tokenizer, encoder, told)
    for other in others:
        assert (one - other).norm() > 2 * (one - same).norm()
    assert not any(p.requires_grad for p in encoder.parameters())
    again = sentences.trained(tokenizer, 32, seed=0, steps=2)
    other = sentences.trained(tokenizer, 32, seed=0, steps=2)
    pairs = zip(again.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_sentence_is_one_more_token(models):  # noqa: F811
    _, encoder, tokenizer = load_base(models)
    whole = sentences.build(tokenizer, TEXT_WIDTH).eval()
    plain, more = TextEncoder(tokenizer, encoder), TextEncoder(tokenizer, encoder, whole)
    texts = ["a fox is dancing", ""]
    found = more.encode(texts)
    assert found.shape == (2, MAX_TOKENS + 1, TEXT_WIDTH)
    assert torch.equal(found[:, :-1], plain.encode(texts))
    with torch.no_grad():
        assert torch.allclose(found[:, -1], sentences.pooled(tokenizer, whole, texts), atol=1e-5)
    more.release()
    assert torch.equal(more.encode(texts), found) and more.sentence is None
