"""The nano multi-view video training: where it starts, what it sees, what its loss counts."""

import numpy as np
import pytest
import torch
import zoo_models
from zoo_models import models  # noqa: F401

from animate124.errors import UserError
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.priors.text_to_image import TextToImage
from animate124.priors.text_to_video import TextToVideo
from animate124.zoo import data, multiview_video, roles
from animate124.zoo.first_frame import error_beyond_first, where_moving
from animate124.zoo.text_to_image import view_word

TEXT = "a red fox is jumping"


@pytest.fixture(scope="module")
def task(models):  # noqa: F811
    wanted = zoo_models.settings("multi-view-video", batch=1)
    return multiview_video.make_task(wanted, "cpu", models)


def test_it_starts_as_the_text_to_image_model_on_every_frame(models, task):  # noqa: F811
    places = {"folder": models / "text-to-image", "vae": models / "autoencoder"}
    base = TextToImage.load(**places)
    generator = torch.Generator().manual_seed(0)
    x, t = torch.randn(1, 1, 5, 4, 16, 16, generator=generator), torch.tensor([400])
    text = base.encode_text([TEXT])
    # Its attention would look at one more token; what that says of moments is nothing yet.
    assert task.text.embed([TEXT], 1).shape[1] == text.shape[1] + 1
    assert not task.network.moment_embedding(text, 5).any()
    camera, first = torch.randn(1, 1, 16), torch.randn(1, 1, 4, 16, 16)
    with torch.no_grad():
        found = task.network(x, t, text, camera, first=first)[0, 0]
        expected = base._output(x[0, 0], t.expand(5), text.expand(5, -1, -1))
    assert torch.allclose(found, expected, atol=2e-4 * float(expected.abs().max()))
    assert all(name.startswith("unet.") for name in task.trained)
    still = {name for name, _ in task.network.named_parameters()} - {
        name.removeprefix("unet.") for name in task.trained
    }
    assert still and all(name.startswith(multiview_video.FROZEN) for name in still)


def test_what_is_new_learns_faster(task):
    rates = {}
    for group in task.parameters():
        for name, _ in group["params"]:
            rates[name] = group["lr"]
    assert rates.keys() == task.trained.keys()
    usual = task.settings.lr
    assert rates["unet.conv_out.weight"] == usual
    fast = {name for name, rate in rates.items() if rate == 5 * usual}
    assert "unet.camera_embedding.linear_1.weight" in fast and "unet.conv_in.weight" in fast
    assert any("to_q_i2v" in name for name in fast) and any("mix_factor" in name for name in fast)


def test_frame_0_is_clean_and_does_not_count(task, monkeypatch):
    latents = torch.randn(1, 4, 8, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    camera = torch.ones(1, 4, 16)
    monkeypatch.setattr(task, "drawn", lambda step: (latents, [TEXT], camera))
    seen = {}

    def network(noisy, t, text, camera, *, first):
        seen.update(noisy=noisy, first=first)
        output = torch.zeros_like(noisy)
        output[:, :, 0] = 1e3
        return output

    monkeypatch.setattr(task, "network", network)
    target = task.noised(latents, 0)[2]
    drops = []
    for step in range(60):
        loss = float(task.loss(step)["denoise"])
        drops.append(bool((seen["first"] == 0).all()))
        if not drops[-1]:
            assert torch.equal(seen["noisy"][:, :, 0], latents[:, :, 0])
            assert torch.equal(seen["first"], latents[:, :, 0])
            if step == 0:
                assert loss == pytest.approx(counted(target[:, :, 1:], latents), rel=1e-5)
        else:  # then frame 0 is one like the others
            assert loss > 1e4
            assert torch.equal(seen["noisy"], task.noised(latents, step)[0])
    assert 0 < sum(drops) < 12


def test_views_cameras_and_sentences(task, monkeypatch):
    asked = []

    def look(clip, azimuth, elevation, times):
        asked.append((azimuth, elevation, times, clip))
        return zoo_models.painted(clip, azimuth, elevation, times)

    monkeypatch.setattr(data, "look", look)
    starts, counts, told = [], [], []
    for step in range(60):
        videos, texts, cameras = task.batch(step)
        assert videos.shape[0] * videos.shape[1] == 4 and len(texts) == len(videos)
        told.append(not cameras.any())
        if told[-1]:  # text-to-video: the view is told in words
            assert videos.shape[1] == 1
            for text, (azimuth, *_) in zip(texts, asked, strict=True):
                words = text.rpartition(", ")[2]
                assert not text.endswith("view") or words == f"{view_word(azimuth[0])} view"
            asked.clear()
            continue
        for k, (azimuth, elevation, times, _) in enumerate(asked):
            gaps = np.diff(azimuth)
            quarters = gaps / 90.0
            assert np.allclose(quarters, quarters.round()) and quarters.sum() < 3.1
            assert len(azimuth) == 1 or quarters.sum() > 0.9
            counts.append(len(azimuth))
            assert len(set(elevation)) == 1 and -5 <= elevation[0] <= 35
            expected = camera_vectors(torch.from_numpy(azimuth), torch.from_numpy(elevation))
            assert torch.allclose(cameras[k], expected, atol=1e-6)
            assert np.allclose(times, np.arange(8) / 8)
            starts.append(bool(np.isclose(azimuth / 90.0, (azimuth / 90.0).round()).any()))
        asked.clear()
    assert 0.1 < np.mean(told) < 0.45
    assert set(counts) == {1, 2, 4}
    assert 0.3 < np.mean(starts) < 0.7


def test_without_a_camera_frame_0_is_not_given(task, monkeypatch):
    latents = torch.randn(4, 1, 8, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(task, "drawn", lambda step: (latents, [TEXT] * 4, torch.zeros(4, 1, 16)))
    seen = {}

    def network(noisy, t, text, camera, *, first):
        seen.update(noisy=noisy, first=first)
        return torch.zeros_like(noisy)

    monkeypatch.setattr(task, "network", network)
    noisy, _, target = task.noised(latents, 0)
    loss = float(task.loss(0)["denoise"])
    assert torch.equal(seen["noisy"], noisy) and not seen["first"].any()
    assert loss == pytest.approx(counted(target, latents), rel=1e-5)


def counted(target, latents):
    """The loss of a network that answers 0: half of it lies where a view's latents change."""
    change = latents.numpy().std(axis=2, keepdims=True).mean(axis=3, keepdims=True)
    weight = 0.5 + 0.5 * change / change.mean(axis=(-1, -2), keepdims=True)
    return float((target.numpy() ** 2 * weight).mean())


def test_what_moves_counts_more():
    clip = torch.zeros(1, 2, 3, 1, 2, 2)
    clip[0, 0, 1, 0, 0, 1] = 6.0  # one place of the first view; the second stands still
    weight = where_moving(clip, 0.5)
    assert weight.shape == (1, 2, 1, 1, 2, 2)
    assert torch.allclose(weight[0, 0, 0, 0], torch.tensor([[0.5, 2.5], [0.5, 0.5]]))
    assert torch.equal(weight[0, 1], torch.ones(1, 1, 2, 2))
    output, target = torch.zeros_like(clip), torch.zeros_like(clip)
    output[0, :, 1:, 0, 0, 1] = 2.0
    # Errors of 4 at weights 2.5 and 1, the same in both frames that count, of 4 places a view.
    error = error_beyond_first(output, target, torch.ones(1), weight)
    assert float(error) == pytest.approx((4 * 2.5 + 4 * 1.0) / (4 + 4))


def test_what_happens_is_heard_the_same_from_every_side(task):
    plain, side, other = task.text.states(["a fox is waving", "a fox is waving, side view", TEXT])
    assert torch.equal(plain[-1], side[-1]) and not torch.equal(plain[-1], other[-1])
    assert not torch.equal(plain[:-1], side[:-1])


def test_the_text_to_video_prior_is_the_network_without_camera_and_frame_0(models):  # noqa: F811
    places = {"base": models / "text-to-image", "vae": models / "autoencoder"}
    model = TextToVideo.load(models / "multi-view-video", **places)
    generator = torch.Generator().manual_seed(2)
    x, t = torch.randn(2, 8, 4, 16, 16, generator=generator), torch.tensor([300, 700])
    states = model.encode_text([TEXT, ""])
    with torch.no_grad():
        rows = [
            model.unet(x[k][None, None], t[k : k + 1], states[k][None], torch.zeros(1, 1, 16))
            for k in range(2)
        ]
    found = model._output(x, t, states)
    assert torch.allclose(found, torch.cat(rows)[:, 0], atol=1e-5)
    with pytest.raises(UserError, match="name its base"):
        TextToVideo.load(models / "multi-view-video")


def test_export_goes_through_the_prior(models, task, tmp_path):  # noqa: F811
    task = zoo_models.shuffled(
        multiview_video.make_task(zoo_models.settings("multi-view-video", batch=1), "cpu", models)
    )
    roles.module_of("multi-view-video").export(task, tmp_path)
    base = TextToImage.load(models / "text-to-image", vae=models / "autoencoder")
    model = MultiViewVideo.load(tmp_path, base=base)
    network = task.averaged()["unet"]
    generator = torch.Generator().manual_seed(2)
    views = torch.rand(4, 3, 64, 64, generator=generator)
    angles = 90.0 * torch.arange(4), torch.full((4,), 15.0)
    x, t = torch.randn(4, 8, 4, 16, 16, generator=generator), torch.tensor([700])
    condition = model.condition(views, *angles, TEXT)
    found = model.predict_pair(x, t, condition)[0]
    first = task.encode(views)
    given = torch.cat([first[:, None], x[:, 1:]], dim=1)[None]
    with torch.no_grad():
        states = task.text.embed([TEXT], 1)
        output = network(given, t, states, camera_vectors(*angles)[None], first=first[None])
    power = model.schedule.alphas_cumprod[700]
    expected = power.sqrt() * output + (1 - power).sqrt() * given
    near = (found - expected[0])[:, 1:].abs().max()
    assert near < 2e-3 * expected.abs().max()  # written in half precision
    # Frame 0 and the cameras matter once weights are not fresh.
    other = model.condition(1.0 - views, *angles, TEXT)
    assert not torch.allclose(model.predict_pair(x, t, other)[0][:, 1:], found[:, 1:], atol=1e-3)
