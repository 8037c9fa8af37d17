"""Textual inversion on a tiny model folder: one new row, exact resume, the right range."""

import copy
import json
import os
import signal

import numpy as np
import pytest
import tiny_priors
import torch

from animate124.errors import UserError
from animate124.media.images import read_image
from animate124.priors.inversion import TEMPLATES, NewWord, denoising_loss, initial_vector
from animate124.priors.schedule import Schedule
from animate124.priors.subject import draw_backgrounds, draw_images, over, prepare_subject
from animate124.priors.text_to_image import TextToImage
from animate124.settings.invert import InversionSettings
from animate124.settings.training import TrainSettings
from animate124.stages.invert_task import InvertTask
from animate124.toybox.captions import vocabulary, words_of
from animate124.training import run

SENTENCES = ("a {}", "{}", "b c {}")  # the tiny tokenizer knows letters; "panda" takes two tokens
STILL = {"white": 0.0, "scale_jitter": 0.0, "rotation": 0.0, "shift": 0.0}
SIZE = 16


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tiny_priors.text_to_image(tmp_path_factory.mktemp("text-to-image"))


@pytest.fixture(scope="module")
def shared(folder):
    """The tiny prior, for tests that leave it as it is."""
    return TextToImage.load(folder)


@pytest.fixture
def prior(shared):
    return copy.deepcopy(shared)


def picture():
    """A square subject in the middle: black at its left, white at its right; clear around."""
    image = np.zeros((SIZE, SIZE, 4), np.float32)
    image[4:12, 4:12, 3] = 1.0
    image[4:12, 8:12, :3] = 1.0
    return image


def settings(steps=3, train=(), **values):
    values = {"token": "<fox>", "batch": 2, "lr": 0.01, **values}
    loop = {"steps": steps, "checkpoint_seconds": 1e9, "log_every": 1, **dict(train)}
    return InversionSettings(**values, train=TrainSettings(**loop)).for_language("photo")


def task(prior, **values):
    return InvertTask(prior, picture(), "f", settings(**values), SENTENCES)


def weights(prior):
    parts = {"vae": prior.vae, "unet": prior.unet, "text": prior.text.model}
    return {
        f"{part}.{name}": value.clone()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }


def test_only_the_new_row_is_trained(prior, tmp_path):
    before, words = weights(prior), len(prior.text.tokenizer)
    one = task(prior)
    start = one.vector.detach().clone()
    assert torch.equal(start, initial_vector(prior.text, "f"))
    report = run(one, one.settings.train, tmp_path, "x")
    after = weights(prior)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(prior.text.tokenizer) == words
    assert (one.vector - start).abs().min() > 1e-3 and report.losses["denoise"] > 0
    assert [n for g in one.parameters() for n, _ in g["params"]] == ["vector"]
    # Added for use, the word means what it meant in training, and all others what they meant.
    inside = one.word.encode(torch.tensor([0]), one.vector.detach())
    other = prior.encode_text(["a f"])
    prior.add_token("<fox>", one.vector.detach())
    torch.testing.assert_close(prior.encode_text(["a <fox>"]), inside, rtol=1e-6, atol=1e-6)
    assert torch.equal(prior.encode_text(["a f"]), other)
    table = prior.text.model.get_input_embeddings().weight
    assert torch.equal(table[:-1], before["text.embeddings.token_embedding.weight"])


def test_the_gradient_is_that_of_a_row_of_a_larger_table(prior):
    """Against the textbook way: the table grown by a row, all of it wanting a gradient."""
    vector = torch.nn.Parameter(initial_vector(prior.text, "c"))
    word = NewWord(prior.text, "<fox>", SENTENCES)
    g = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 2, 4, 8, 8, generator=g)
    t = torch.tensor([100, 700])
    denoising_loss(prior, latents, t, noise, word.encode(torch.tensor([0, 2]), vector)).backward()
    grown = copy.deepcopy(prior.text)
    index = grown.add_token("<fox>", vector.detach())
    table = grown.model.get_input_embeddings().weight.requires_grad_()
    ids = grown.tokenize(["a <fox>", "b c <fox>"])
    a, s = prior.schedule.signal_and_noise(t, latents)
    output = prior.unet(a * latents + s * noise, t, grown.model(ids).last_hidden_state).sample
    (output - noise).square().mean().backward()
    assert table.grad[index].abs().max() > 1e-5
    torch.testing.assert_close(vector.grad, table.grad[index], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_the_loss_asks_for_what_the_model_puts_out(prior, prediction):
    prior.schedule = Schedule(prior.schedule.alphas_cumprod, prediction)
    g = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 2, 4, 8, 8, generator=g)
    t, text = torch.tensor([5, 900]), torch.randn(2, 12, 32, generator=g)
    loss = denoising_loss(prior, latents, t, noise, text)
    power = prior.schedule.alphas_cumprod[t].view(2, 1, 1, 1)
    a, s = power.sqrt(), (1 - power).sqrt()
    wanted = a * noise - s * latents if prediction == "v_prediction" else latents
    output = prior.unet(a * latents + s * noise, t, text).sample
    assert loss.item() == pytest.approx((output - wanted).square().mean().item(), rel=1e-5)


class Killed(InvertTask):
    """Gets SIGTERM in the middle of its third step."""

    def loss(self, step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(step)


@pytest.mark.parametrize("cached", [0, 5])
def test_killed_and_resumed_it_ends_with_the_same_bytes(shared, tmp_path, cached):
    loop = settings(steps=6, cached=cached, train={"preview_every": 3}, preview_steps=2)
    arguments = (picture(), "f", loop, SENTENCES)
    whole = InvertTask(shared, *arguments)
    run(whole, loop.train, tmp_path / "whole", "x")
    with pytest.raises(SystemExit):
        run(Killed(shared, *arguments), loop.train, tmp_path / "cut", "x")
    rest = InvertTask(shared, *arguments)
    assert run(rest, loop.train, tmp_path / "cut", "x").resumed_from == 3
    assert torch.equal(whole.vector, rest.vector)
    terms = [
        [(r["step"], r["loss"]) for r in map(json.loads, (tmp_path / f / "log.jsonl").open())]
        for f in ("whole", "cut")
    ]
    assert terms[0] == terms[1] and len(terms[0]) == 6
    previews = [tmp_path / f / "previews" / "000006.png" for f in ("whole", "cut")]
    assert previews[0].read_bytes() == previews[1].read_bytes()
    assert read_image(previews[0]).shape == (SIZE, 5 * SIZE, 3)  # the subject and four samples


def test_the_autoencoder_gets_the_range_it_was_trained_on(prior):
    """[−1, 1]: black is −1 and white is 1 (the published code gave it 0 and 1)."""
    seen = []
    prior.vae.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    task(prior, **STILL).loss(0)
    assert seen[0].shape == (2, 3, SIZE, SIZE)
    middle = seen[0][:, :, 4:12]
    for half, value in ((middle[..., 4:8], -1.0), (middle[..., 8:12], 1.0)):
        torch.testing.assert_close(half, torch.full_like(half, value), rtol=0, atol=1e-5)
    around = seen[0][..., :3]
    assert around.min() >= -1.0 and around.max() <= 1.0 and around.min() < -0.05


def test_cached_latents_are_all_that_is_encoded(prior):
    calls = []
    prior.vae.encoder.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    one = task(prior, cached=10)
    assert calls == [8, 2] and one._cache.shape == (10, 4, 8, 8)
    first, again, other = one.loss(0)["denoise"], one.loss(0)["denoise"], one.loss(1)["denoise"]
    assert calls == [8, 2] and first == again and first != other


def test_training_lowers_the_loss_on_what_was_not_drawn(prior, tmp_path):
    one = task(prior, steps=20, lr=0.3, batch=4)

    def held_out():
        with torch.no_grad():
            return float(np.mean([one.loss(10_000 + k)["denoise"].item() for k in range(8)]))

    before = held_out()
    run(one, one.settings.train, tmp_path, "x")
    assert held_out() < before - 1e-3


def test_a_word_to_start_from_must_be_one_the_encoder_knows(prior):
    table = prior.text.model.get_input_embeddings().weight
    index = prior.text.tokenizer.convert_tokens_to_ids("c</w>")
    assert torch.equal(initial_vector(prior.text, "c"), table[index])
    for word in ("panda", "a b", "", "ß"):
        with pytest.raises(UserError, match="does not know"):
            initial_vector(prior.text, word)


def test_names_and_templates_that_cannot_be_used(prior):
    for name in ("", "two words", "f", "f</w>", "nda", "<|endoftext|>"):
        with pytest.raises(UserError, match="token"):
            NewWord(prior.text, name, SENTENCES)
    for templates in ((), ("a toy",), ("{} {}",)):
        with pytest.raises(ValueError, match="templates"):
            NewWord(prior.text, "<fox>", templates)
    prior.release_text_encoder()
    with pytest.raises(RuntimeError, match="released"):
        NewWord(prior.text, "<fox>", SENTENCES)


def test_half_precision_weights_are_refused(folder):
    with pytest.raises(ValueError, match="bfloat16"):
        task(TextToImage.load(folder, dtype=torch.float16))
    low = task(TextToImage.load(folder, dtype=torch.bfloat16))
    low.loss(0)["denoise"].backward()
    assert low.vector.dtype == torch.float32 and low.vector.grad.abs().max() > 0


def test_templates_are_in_their_language():
    known = set(vocabulary())
    assert {w for t in TEMPLATES["toybox"] for w in words_of(t.replace("{}", ""))} <= known
    for templates in TEMPLATES.values():
        assert len(set(templates)) == len(templates)
        assert all(template.count("{}") == 1 for template in templates)


def test_an_image_without_a_matte_is_refused():
    opaque, empty = np.ones((8, 8, 4), np.float32), np.zeros((8, 8, 4), np.float32)
    for image, words in ((opaque[..., :3], "no alpha"), (opaque, "opaque"), (empty, "nothing")):
        with pytest.raises(UserError, match=words):
            prepare_subject(image, 8)


def test_the_subject_is_padded_and_premultiplied():
    image = np.zeros((4, 8, 4), np.float32)
    image[:, 2:4] = (1.0, 0.5, 0.0, 0.5)
    image[:, 4:6] = (1.0, 1.0, 1.0, 0.75)
    subject = prepare_subject(image, 4)
    assert subject.shape == (4, 4, 4)
    expected = torch.zeros(4, 4, 4)
    expected[:, 1:3, 1] = torch.tensor([0.5, 0.25, 0.0, 0.5])[:, None]
    expected[:, 1:3, 2] = 0.75
    torch.testing.assert_close(subject, expected)


LARGE = 32


def large_picture():
    return picture().repeat(2, 0).repeat(2, 1)


def draw(count=64, seed=0, **values):
    subject = prepare_subject(large_picture(), LARGE)
    g = torch.Generator().manual_seed(seed)
    return draw_images(subject, count, settings(**values), g)


def test_pictures_are_the_subject_over_other_backgrounds():
    made = draw(**STILL)
    subject = torch.from_numpy(large_picture()).permute(2, 0, 1)
    inside = subject[3] > 0
    for image in made:
        torch.testing.assert_close(image[:, inside], subject[:3, inside], atol=1e-5, rtol=0)
    corners = made[:, :, 0, 0]
    assert corners.std(0).min() > 0.15  # backgrounds differ
    plain = [float(image[:, ~inside].std(-1).max()) < 1e-6 for image in made]
    assert 4 < sum(plain) < 32  # a quarter of one colour
    assert (draw(**{**STILL, "white": 1.0})[:, :, ~inside] == 1.0).all()
    assert torch.equal(made, draw(**STILL)) and not torch.equal(made, draw(seed=1, **STILL))


def test_flips_come_only_when_asked_for():
    """Left and right are part of the subject: never mirrored by default."""
    for values, mirrored in (({}, False), ({"flip": 1.0}, True)):
        made = draw(**values)
        left, right = (
            made[..., 12:20, 10:14].mean((1, 2, 3)),
            made[..., 12:20, 18:22].mean((1, 2, 3)),
        )
        assert ((left > right) == mirrored).all()


def test_moves_stay_within_their_limits():
    def edges(**values):
        """Left edge, right edge and area of the subject in pixels, per picture."""
        square = torch.zeros(4, LARGE, LARGE)
        square[3, 8:24, 8:24] = 1.0
        g = torch.Generator().manual_seed(0)
        made = draw_images(square, 64, settings(**{**STILL, "white": 1.0, **values}), g)
        alpha = 1.0 - made[:, 0]
        assert (alpha >= 0).all() and (alpha <= 1).all()
        columns = alpha.amax(1)
        middle = (alpha.sum(1) * torch.arange(LARGE)).sum(1) / alpha.sum((1, 2))
        return columns.sum(1), middle, alpha.sum((1, 2))

    width, middle, area = edges(shift=0.05)
    assert (middle - 15.5).abs().max() <= 0.05 * LARGE + 0.01
    assert (middle - 15.5).abs().max() > 0.03 * LARGE
    torch.testing.assert_close(area, torch.full((64,), 256.0), rtol=0.01, atol=0)
    width, middle, area = edges(scale_jitter=0.2)
    ratio = (area / 256).sqrt()
    assert 0.8 - 0.01 <= ratio.min() < 0.85 and 1.15 < ratio.max() <= 1.2 + 0.01
    assert (middle - 15.5).abs().max() < 0.01
    width, middle, area = edges(rotation=45.0)
    assert 16 * 2**0.5 - 2.5 < width.max() <= 16 * 2**0.5 + 1.5 and width.min() < 17.5
    torch.testing.assert_close(area, torch.full((64,), 256.0), rtol=0.02, atol=0)


def test_backgrounds_and_composition():
    made = draw_backgrounds(200, 16, torch.Generator().manual_seed(0))
    assert made.shape == (200, 3, 16, 16) and made.min() >= 0 and made.max() <= 1
    rgba = torch.tensor([0.2, 0.1, 0.0, 0.25]).view(4, 1, 1)
    assert over(rgba, 1.0).flatten().tolist() == pytest.approx([0.95, 0.85, 0.75])
