"""The multi-view video prior: conditions, pairs and sampling, and what published weights do."""

import numpy as np
import pytest
import tiny_mvvdm
import tiny_priors
import torch

from animate124.errors import UserError
from animate124.media.tensors import save_tensors
from animate124.priors.guidance import Guidance
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.mvvdm.free_init import low_pass, renoised
from animate124.priors.mvvdm.network import MultiViewUNet
from animate124.priors.mvvdm.weights import WEIGHTS
from animate124.priors.text_to_image import TextToImage

N, F = 3, 4
ANGLES = torch.tensor([0.0, 90.0, 180.0]), torch.tensor([15.0, 15.0, 15.0])


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    tiny_mvvdm.published(folder)
    return MultiViewVideo.load(
        folder / "animate3d", base=folder / "mvdream", image_prompt=folder / "ip-adapter"
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A model in our own layout: v-prediction, frame 0 beside every frame, no image tokens."""
    folder = tmp_path_factory.mktemp("own")
    tiny_priors.text_to_image(folder / "base", "v_prediction", zero=True)
    base = TextToImage.load(folder / "base")
    torch.manual_seed(3)
    net = MultiViewUNet(8, 4, (8, 16), 1, (1,), (1,), 2, 2, tiny_priors.WIDTH, 0, 4, 4)
    state = net.state_dict()
    kept = {k: v for k, v in state.items() if not k.startswith("mid_block.resnets")}
    place = folder / "model" / "unet"
    place.mkdir(parents=True)
    net.save_config(place)
    save_tensors(place / WEIGHTS, kept, kind="multi-view-video", version=1)
    tiny_priors.scheduler("v_prediction", zero=True).save_pretrained(folder / "model/scheduler")
    model = MultiViewVideo.load(folder / "model", base=base)
    assert model.text is base.text and model.vae is base.vae
    return model


def conditioned(model, seed=0, text="panda", negative=""):
    views = torch.rand(N, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return model.condition(views, *ANGLES, text, negative)


def noisy(seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(N, F, 4, 8, 8, generator=g), torch.full((N,), 700)


def test_conditions(published, own):
    condition = conditioned(published)
    assert condition.camera.shape == (N, 16) and condition.image.shape == (N, tiny_mvvdm.IMAGE)
    # A camera a quarter turn on stands on their +y, where ours stands on +x.
    assert condition.camera[1].view(4, 4)[:3, 3].tolist() == pytest.approx(
        [0.0, np.cos(np.pi / 12), np.sin(np.pi / 12)], abs=1e-6
    )
    views = torch.rand(N, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(condition.first, published.encode_images(views))
    assert conditioned(own).image is None


def test_schedule_and_timesteps_of_the_published_sampling(published):
    power = published.schedule.alphas_cumprod
    found = [float(power[t]) for t in (20, 200, 500, 961, 999)]
    assert found == pytest.approx([0.980, 0.673, 0.161, 0.00248, 0.00158], rel=4e-3)
    at = published.timesteps(25)
    assert at[:2] == [961, 921] and at[-2:] == [41, 1] and len(at) == 25


def test_our_own_is_sampled_from_the_very_end(own):
    assert own.timesteps(4) == [999, 749, 499, 249]
    assert own.timesteps(4, 0.6) == [499, 249] and own.timesteps(4, 0.1) == [249]


@pytest.mark.parametrize("kind", ["published", "own"])
def test_pairs_are_what_the_network_says(kind, request):
    model = request.getfixturevalue(kind)
    condition, (x, t) = conditioned(model), noisy()
    pair = model.predict_pair(x, t, condition)
    apart = model.predict_pair(x, t, condition, together=False)
    given = torch.cat([condition.first[:, None], x[:, 1:]], dim=1)[None]
    power = model.schedule.alphas_cumprod[700]
    a, s = power.sqrt(), (1.0 - power).sqrt()
    for k, (text, scale) in enumerate(((condition.text, 1.0), (condition.negative, 0.0))):
        image = None if condition.image is None else scale * condition.image[None]
        output = model.unet(
            given, t[:1], text, condition.camera[None], image, condition.first[None]
        )
        noise = output if kind == "published" else a * output + s * given
        assert torch.allclose(pair[k][:, 1:], noise[0, :, 1:], atol=1e-5)
        assert torch.allclose(pair[k], apart[k], atol=1e-5)
        # Frame 0 is led to where it has to be.
        assert torch.allclose((x[:, 0] - s * pair[k][:, 0]) / a, condition.first, atol=1e-4)
    assert (pair[0] - pair[1])[:, 1:].abs().max() > 1e-4


def test_pairs_of_one_object_as_distillation_asks_for_them(published):
    condition, (x, t) = conditioned(published), noisy()
    flat, boxed = (published.predict_pair(*args, condition) for args in ((x, t), (x[None], t[:1])))
    assert boxed[0].shape == (1, N, F, 4, 8, 8) and torch.equal(boxed[1][0], flat[1])
    with pytest.raises(ValueError, match="share one timestep"):
        published.predict_pair(x, torch.tensor([1, 2, 3]), condition)


@pytest.mark.parametrize("kind", ["published", "own"])
def test_sampling_keeps_frame_0_bit_by_bit(kind, request):
    model = request.getfixturevalue(kind)
    condition = conditioned(model)
    steps = []

    def sampled(seed, passes=1):
        return model.sample_latents(
            condition,
            frames=F,
            guidance=Guidance(2.0, rescale=0.5),
            steps=3,
            generator=torch.Generator().manual_seed(seed),
            passes=passes,
            on_step=lambda: steps.append(1),
        )

    once = sampled(0)
    assert len(steps) == 3 and once.shape == (N, F, 4, 8, 8)
    assert torch.equal(once[:, 0], condition.first)
    assert torch.equal(once, sampled(0)) and not torch.equal(once, sampled(1))
    if kind == "published":  # a schedule without signal at its end hands nothing on
        again = sampled(0, passes=2)
        assert torch.equal(again[:, 0], condition.first) and not torch.allclose(again, once)
    frames = model.sample(condition, frames=2, steps=1, generator=torch.Generator().manual_seed(0))
    assert frames.shape == (N, 2, 3, 16, 16) and 0 <= frames.min() <= frames.max() <= 1
    assert torch.allclose(frames[:, 0], model.decode_latents(condition.first), atol=1e-5)


@pytest.mark.parametrize("kind", ["published", "own"])
def test_a_sketch_that_is_finished_is_the_whole(kind, request):
    model = request.getfixturevalue(kind)
    condition, steps = conditioned(model), []
    how = {"guidance": Guidance(2.0), "unguided": 0.6, "on_step": lambda: steps.append(1)}
    drawn = {"frames": F, "steps": 4}

    def begun(down_to):
        rng = torch.Generator().manual_seed(3)
        return model.sketch(condition, generator=rng, down_to=down_to, **drawn, **how)

    whole = begun(0.0)
    assert whole.left == () and len(steps) == 4
    assert model.finish(condition, whole, **how) is whole.clean
    at = model.timesteps(4)  # 751, 501, 251, 1 and 999, 749, 499, 249
    counts = {"published": (1, 1, 2), "own": (1, 2, 3)}[kind]
    for down_to, count in zip((1.0, 0.6, 0.3), counts, strict=True):
        steps.clear()
        sketch = begun(down_to)
        assert sketch.left == tuple(at[count:]) and len(steps) == count
        assert not torch.allclose(sketch.clean[:, 1:], whole.clean[:, 1:], atol=1e-4)
        assert torch.equal(sketch.clean[:, 0], condition.first)
        assert torch.equal(model.finish(condition, sketch, **how), whole.clean)


def test_below_a_noise_level_nothing_guides(own, monkeypatch):
    condition, seen = conditioned(own), []
    real = own._output

    def counted(noisy, t, condition, rows):
        seen.append((int(t[0]), rows.stop - rows.start))
        return real(noisy, t, condition, rows)

    monkeypatch.setattr(own, "_output", counted)
    drawn = {"frames": F, "steps": 4, "guidance": Guidance(3.0)}
    found = own.sample_latents(
        condition, unguided=0.6, generator=torch.Generator().manual_seed(0), **drawn
    )
    assert seen == [(999, 2), (749, 2), (499, 1), (249, 1)]
    everywhere = own.sample_latents(
        condition, unguided=1.1, generator=torch.Generator().manual_seed(0), **drawn
    )
    plain = own.sample_latents(
        condition, generator=torch.Generator().manual_seed(0), **drawn | {"guidance": Guidance(1.0)}
    )
    assert torch.allclose(everywhere, plain, atol=1e-4)
    assert not torch.allclose(everywhere, found, atol=1e-3)


def test_one_ddim_step_by_hand(published):
    condition = conditioned(published)
    found = published.sample_latents(
        condition, frames=F, guidance=Guidance(7.5), steps=1,
        generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    start = torch.randn(N, F - 1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    t = torch.ones(N, dtype=torch.long)  # one step of 1000 timesteps is at 1
    joined = torch.cat([condition.first[:, None], start], dim=1)
    cond, uncond = (e[:, 1:] for e in published.predict_pair(joined, t, condition))
    power = published.schedule.alphas_cumprod[1]
    noise = uncond + 7.5 * (cond - uncond)
    expected = (start - (1 - power).sqrt() * noise) / power.sqrt()
    assert torch.allclose(found[:, 1:], expected, atol=1e-4)


def test_less_than_the_whole_schedule_starts_from_frame_0(own):
    condition = conditioned(own)
    found = own.sample_latents(
        condition, frames=F, guidance=Guidance(1.0), steps=4, strength=0.3,
        generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    noise = torch.randn(N, F - 1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    power = own.schedule.alphas_cumprod[249]
    a, s = power.sqrt(), (1 - power).sqrt()
    start = a * condition.first[:, None] + s * noise
    joined = torch.cat([condition.first[:, None], start], dim=1)
    cond = own.predict_pair(joined, torch.tensor([249]), condition)[0][:, 1:]
    assert torch.allclose(found[:, 1:], (start - s * cond) / a, atol=1e-4)


def test_what_is_missing_is_told(tmp_path):
    tiny_mvvdm.published(tmp_path)
    with pytest.raises(UserError, match="name its base"):
        MultiViewVideo.load(tmp_path / "animate3d")
    with pytest.raises(UserError, match="needs IP-Adapter"):
        MultiViewVideo.load(tmp_path / "animate3d", base=tmp_path / "mvdream")
    (tmp_path / "animate3d" / "animate3d_motion_modules.ckpt").write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match=r"animate3d_motion_modules\.ckpt is damaged"):
        MultiViewVideo.load(
            tmp_path / "animate3d", base=tmp_path / "mvdream", image_prompt=tmp_path / "ip-adapter"
        )


def test_the_filter_is_the_librarys_loop():
    shape = (5, 4, 6)
    expected = np.zeros(shape)
    for t in range(5):
        for h in range(4):
            for w in range(6):
                d = ((0.25 / 0.25) * (2 * t / 5 - 1)) ** 2 + (2 * h / 4 - 1) ** 2
                d += (2 * w / 6 - 1) ** 2
                expected[t, h, w] = 1 / (1 + (d / 0.25**2) ** 4)
    assert np.allclose(low_pass(*shape).numpy(), expected, atol=1e-6)
    assert low_pass(*shape) is low_pass(*shape)  # kept


def test_low_frequencies_come_from_the_earlier_result():
    g = torch.Generator().manual_seed(0)
    old, fresh = (torch.randn(1, 2, 8, 4, 8, 8, generator=g) for _ in range(2))
    mixed = renoised(old, fresh)
    assert torch.allclose(renoised(old, old), old, atol=1e-5)
    mean = mixed.mean(dim=(2, 4, 5))
    assert torch.allclose(mean, old.mean(dim=(2, 4, 5)), atol=1e-5)
    signs = torch.tensor([1.0, -1.0])[torch.arange(8) % 2]  # the highest frequency along a row
    high = (mixed * signs).mean(dim=(2, 4, 5)), (fresh * signs).mean(dim=(2, 4, 5))
    assert torch.allclose(*high, atol=1e-3)
