"""The latent diffusion trainings: noising, batches, what is trained, and export to the loaders."""

import numpy as np
import pytest
import torch
import zoo_models
from test_zoo_data import HANDS
from zoo_models import models  # noqa: F401

from animate124.priors.novel_view import NovelView
from animate124.priors.text_to_image import TextToImage
from animate124.priors.tile_control import TileControl
from animate124.zoo import data, diffusion, roles

TEXT = "a red fox is jumping, side view"


@pytest.fixture(scope="module")
def tasks(models):  # noqa: F811
    """One task per role; their averages stand for what a training has reached."""
    made = {}
    for role in zoo_models.BUILT_ON_OTHERS:
        task = roles.module_of(role).make_task(zoo_models.settings(role, batch=4), "cpu", models)
        made[role] = zoo_models.shuffled(task)
    return made


def noisy(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, *shape, 4, 16, 16, generator=generator), torch.tensor([80, 730])


def noise_of(output, x, t):
    """ε of a v-prediction, from the cosine schedule of arXiv 2102.09672, equation 17."""

    def power(step):
        return np.cos((step / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2

    def cumulative(step):  # β is cut at 0.999, which touches the last steps alone
        return power(step + 1) / power(0)

    found = []
    for value, own, step in zip(output, x, t.tolist(), strict=True):
        a, s = cumulative(step) ** 0.5, (1.0 - cumulative(step)) ** 0.5
        found.append(a * value + s * own)
    return torch.stack(found)


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 2e-4 * expected.abs().max().clamp(min=1.0)


def test_noising(tasks):
    task = tasks["text-to-image"]
    latents = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    x, t, v = task.noised(latents, 6)
    # One in every eighth of the squares: noisy timesteps are seen more often.
    assert [int((step / 1000) ** 2 * 8 + 1e-2) for step in t] == list(range(8))
    noise = torch.randn(latents.shape, generator=task.generator("noise", 6))
    power = task.schedule.alphas_cumprod[t].view(8, 1, 1, 1)
    assert torch.allclose(x, power.sqrt() * latents + (1 - power).sqrt() * noise, atol=1e-6)
    assert torch.allclose(power.sqrt() * x - (1 - power).sqrt() * v, latents, atol=1e-5)
    assert torch.equal(task.noised(latents, 6)[1], t)
    assert not torch.equal(task.noised(latents, 7)[0], x)


def test_the_largest_draw_stays_on_the_schedule(tasks, monkeypatch):
    task = tasks["text-to-image"]
    largest = torch.tensor([1.0 - 2.0**-24])
    monkeypatch.setattr(torch, "rand", lambda *_, **__: largest)
    t = task.noised(torch.zeros(48, 4, 2, 2), 0)[1]
    assert t[-1] == 999 and t[0] == 144  # the root of a 48th


def test_pictures_used_again_meet_other_timesteps(tasks, monkeypatch):
    task, drawn = tasks["tile-control"], []
    assert task.settings.echo == 3
    monkeypatch.setattr(task, "draw", lambda key: drawn.append(key) or key)
    monkeypatch.setattr(task, "_drawn", None)
    assert [task.drawn(step) for step in (0, 1, 2, 3, 4, 7)] == [0, 0, 0, 1, 1, 2]
    assert drawn == [0, 1, 2]
    latents = torch.zeros(6, 4, 2, 2)
    sixths = [[int(t) * 6 // 1000 for t in task.noised(latents, step)[1]] for step in (3, 4, 5)]
    assert sixths == [[0, 1, 2, 3, 4, 5], [4, 5, 0, 1, 2, 3], [2, 3, 4, 5, 0, 1]]


def test_latents_are_the_modes_of_the_posterior(tasks):
    task = tasks["multi-view-video"]
    clips = torch.rand(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    latents = task.encode(clips)
    assert latents.shape == (2, 3, 4, 16, 16) and not latents.requires_grad
    one = task.vae.encode(clips[1, 2][None] * 2.0 - 1.0).latent_dist.mode()
    assert torch.allclose(latents[1, 2], one[0], atol=1e-5)


def test_text_to_image(models, tasks, tmp_path):  # noqa: F811
    task, place = tasks["text-to-image"], tmp_path / "out"
    roles.module_of("text-to-image").export(task, place)
    model = TextToImage.load(place, vae=models / "autoencoder")
    networks, (x, t) = task.averaged(), noisy()
    with torch.no_grad():
        for found, text in zip(model.predict_pair(x, t, TEXT, ""), (TEXT, ""), strict=True):
            states = diffusion.embed(task.tokenizer, networks["text_encoder"], [text] * 2)
            output = networks["unet"](x, t, states).sample
            assert_close(found, noise_of(output, x, t))
    assert model.image_size == 64 and model.vae.config.scaling_factor == 1.0


def test_novel_view(models, tasks, tmp_path):  # noqa: F811
    task, place = tasks["novel-view"], tmp_path / "out"
    roles.module_of("novel-view").export(task, place)
    model = NovelView.load(place, vae=models / "autoencoder")
    networks, (x, t) = task.averaged(), noisy()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    pose = torch.tensor([[0.1, 1.0, 0.0, 0.0], [-0.2, 0.0, -1.0, 0.0]])
    with torch.no_grad():
        seen = networks["image_encoder"](pixel_values=image * 2.0 - 1.0).image_embeds
        token = networks["projection"](torch.cat([seen.expand(2, -1), pose], dim=1))[:, None]
        known = task.encode(image).expand(2, -1, -1, -1)
        pair = model.predict_pair(x, t, model.reference(image), pose)
        for found, keep in zip(pair, (1.0, 0.0), strict=True):
            joined = torch.cat([x, keep * known], dim=1)
            output = networks["unet"](joined, t, keep * token, keep * pose).sample
            assert_close(found, noise_of(output, x, t))
    assert not torch.allclose(*pair, atol=1e-3)


def test_tile_control(models, tasks, tmp_path):  # noqa: F811
    task, place = tasks["tile-control"], tmp_path / "out"
    assert all(name.startswith("controlnet.") for name in task.trained)
    roles.module_of("tile-control").export(task, place)
    base = TextToImage.load(models / "text-to-image", vae=models / "autoencoder")
    model = TileControl.load(place, base=base)
    control, (x, t) = task.averaged()["controlnet"], noisy()
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        states = diffusion.embed(task.tokenizer, task.text_encoder, [TEXT] * 2)
        down, middle = control(x, t, states, image, return_dict=False)
        output = task.unet(
            x,
            t,
            states,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        found = model.predict_pair(x, t, TEXT, "", image)[0]
        assert_close(found, noise_of(output, x, t))
        assert not torch.allclose(found, base.predict(x, t, TEXT), atol=1e-3)  # it takes part


def test_every_weight_file_is_small_enough(models):  # noqa: F811
    sizes = {path: path.stat().st_size for path in models.rglob("*.safetensors")}
    assert len(sizes) == 11  # 1 + 1 + 1 + 2 + 3 + 1 + 2
    assert max(sizes.values()) < 16 << 20 and sum(sizes.values()) < 52_000_000


def test_batches_are_functions_of_the_step(tasks, monkeypatch):
    monkeypatch.setattr(data, "look", zoo_models.painted)

    def flat(batch):
        return [
            part.flatten().tolist() if isinstance(part, torch.Tensor) else part for part in batch
        ]

    shapes = {
        "text-to-image": [(4, 3, 64, 64)],
        "novel-view": [(1, 3, 64, 64), (4, 3, 64, 64), (4, 4)],
        "tile-control": [(4, 3, 64, 64), (4, 3, 64, 64)],
    }
    for role, task in tasks.items():
        batch = task.batch(2)
        assert flat(batch) == flat(task.batch(2)) and flat(batch) != flat(task.batch(3))
        found = [tuple(part.shape) for part in batch if isinstance(part, torch.Tensor)]
        if role == "multi-view-video":
            counts = {tuple(task.batch(step)[0].shape[:3]) for step in range(12)}
            assert counts == {(4, 4, 8), (8, 2, 8), (16, 1, 8)}
        else:
            assert found == shapes[role]
        texts = [part for part in batch if isinstance(part, list)]
        assert all(len(part) == len(batch[0]) for part in texts)


def test_losses_are_finite_and_reach_all_that_is_trained(tasks, monkeypatch):
    monkeypatch.setattr(data, "look", zoo_models.painted)
    for task in tasks.values():
        sum(task.loss(0).values()).backward()
        missing = [name for name, p in task.trained.items() if p.grad is None]
        assert not missing
        assert all(p.grad.isfinite().all() for p in task.trained.values())
        frozen = [task.vae, *(getattr(task, n, None) for n in ("teacher",))]
        assert all(p.grad is None for p in frozen[0].parameters())
        for p in task.trained.values():
            p.grad = None


def test_pose_tokens_and_directions_of_novel_views(tasks, monkeypatch):
    look = data.look

    def arranged(clip, azimuth, elevation, times):
        azimuth[:] = (10.0, 100.0, -80.0, 10.0, 190.0)
        elevation[:] = (5.0, 5.0, 5.0, 35.0, -10.0)
        return look(clip, azimuth, elevation, times)

    monkeypatch.setattr(data, "look", arranged)
    monkeypatch.setattr(data, "draw_clips", lambda rng, count: [HANDS] * count)
    references, targets, pose = tasks["novel-view"].batch(0)
    # [polar angle downwards, sine and cosine of the turn to the right, distance]
    up, down = -np.pi / 6, np.pi / 12
    expected = [[0, 1, 0, 0], [0, -1, 0, 0], [up, 0, 1, 0], [down, 0, -1, 0]]
    assert pose.flatten().tolist() == pytest.approx(np.ravel(expected).tolist(), abs=1e-6)

    def colored(image):  # pixels that are clearly red, clearly green
        return [int((image[a] > image[b] + 0.3).sum()) for a, b in ((0, 1), (1, 0))]

    right, left = colored(targets[0]), colored(targets[1])
    # From the camera's right the subject's left hand is in front and hides the other.
    assert right[1] > 2 * right[0] and left[0] > 2 * left[1]
    assert min(colored(references[0])) > 10  # from the front both are seen
    assert references[0, :, 0, 0].tolist() == [1.0] * 3  # on white


def test_later_legs_begin_where_the_shipped_models_are(models, tasks):  # noqa: F811
    for role in zoo_models.BUILT_ON_OTHERS:
        wanted = zoo_models.settings(role, start="shipped")
        task = roles.module_of(role).make_task(wanted, "cpu", models)
        assert task.trained.keys() == tasks[role].trained.keys()
        for name, p in task.trained.items():  # written in half precision from the same seed
            near = tasks[role].trained[name].half().float()
            assert torch.allclose(p, near, atol=1e-3), (role, name)
