"""The static stage's optimisation at tiny size: an egg that is red before and blue behind."""

import math

import pytest
import tiny_priors
import torch
from egg import SIZE, Knowing, egg, picture, white

from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, orbit
from animate124.priors.novel_view import NovelView
from animate124.render.volume import render_images
from animate124.settings.base import parse
from animate124.settings.static import StaticSettings
from animate124.stages.static_task import StaticTask, _roughness
from animate124.training import run

TINY = (
    "coarse_share=0",
    *("field.levels=4", "field.hidden=8", "field.coarsest=4", "field.finest=16"),
    *("field.log2_size=12", "field.occupancy_side=16", "field.step=0.05"),
    "field.blob=5",
    *("rays=256", "subsamples=1", f"size={SIZE}", "warmup=2", "lr=0.03"),
    *("train.preview_every=0", "coarse_levels=2"),
)


def settings(*more):
    return parse(StaticSettings, [*TINY, *more])


class Reading:
    """A text-to-image prior that notes which sentences it is shown, as shares of three."""

    vae, image_size, schedule = None, SIZE, Knowing.schedule
    encode_images = Knowing.encode_images

    def __init__(self):
        self.images, self.texts = [], []

    def encode_text(self, texts):
        self.texts.append(texts)
        return torch.eye(3)[: len(texts), None]

    def predict_pair(self, noisy, t, text, negative):
        self.shares = text[:, 0]
        return torch.zeros_like(noisy), torch.zeros_like(noisy)


def seen(task, azimuth):
    field, occupancy = task.trained()
    camera = Cameras(orbit(float(azimuth))[None], DEFAULT_FOV_Y, SIZE, SIZE)
    images = render_images(field, occupancy, torch.zeros(1), camera, task.settings.field.step)
    return images["rgb"][0], images["alpha"][0]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Tasks after the same steps: the picture alone, and with the prior that knows."""
    tasks = []
    late = ("t_low=0.5", "t_high=0.9", "t_low_end=0.5", "t_high_end=0.9")
    for weight in (0.0, 2.0):
        chosen = settings("train.steps=120", f"novel_view={weight}", *late)
        task = StaticTask(picture(), chosen, novel_view=Knowing())
        tasks.append((task, run(task, chosen.train, tmp_path_factory.mktemp("work"), "egg")))
    return tasks


def test_the_picture_is_reproduced(two):
    for task, _ in two:
        rgb, alpha = seen(task, 0)
        assert (rgb - white(egg(0))).square().mean() < 0.01  # 20 dB; white alone: 8 dB
        assert (alpha - egg(0)[..., 3]).abs().mean() < 0.08


def test_the_prior_decides_what_the_picture_does_not_show(two):
    (alone, _), (guided, report) = two
    for azimuth in (90, 180):
        errors = [
            (seen(task, azimuth)[0] - white(egg(azimuth))).square().mean().item()
            for task in (alone, guided)
        ]
        assert errors[1] < 0.5 * errors[0], (azimuth, errors)
    red, _, blue = seen(guided, 180)[0][6:10, 6:10].mean((0, 1))
    assert blue > red + 0.3
    assert seen(guided, 90)[1].mean() < 0.75 * seen(alone, 90)[1].mean()  # it is flat
    assert report.losses["novel_view"] >= 0


def test_every_term_reaches_the_field_and_no_prior(tmp_path):
    prior = NovelView.load(tiny_priors.novel_view(tmp_path / "tiny"))
    chosen = settings("smoothness=0.1", "train.steps=10")
    task = StaticTask(picture(), chosen, novel_view=prior)
    task.before_step(5)
    terms = task.loss(5)
    names = {"rgb", "alpha", "spread", "entropy", "sparsity", "novel_view", "smoothness"}
    assert set(terms) == names
    for name, term in terms.items():
        parameters = [task.field.head.w2, *task.field.grid.parameters()]
        found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        assert any(g is not None and g.abs().max() > 0 for g in found), name
    sum(terms.values()).backward()
    assert all(p.grad is None for p in (*prior.vae.parameters(), *prior.unet.parameters()))


def test_poses_are_relative_to_the_picture():
    chosen = settings("elevation=10", "lowest=30", "highest=30", "views=1", "warmup=0")
    prior = Knowing(10.0)
    task = StaticTask(picture(10), chosen, novel_view=prior)
    task.before_step(0)
    task.loss(0)
    down, sine, cosine, radius = prior.poses[0][0].tolist()
    assert down == pytest.approx(math.radians(-20), abs=1e-5) and radius == 0
    assert math.hypot(sine, cosine) == pytest.approx(1)
    camera = task._new_views(0).c2w[0, :3, 3]
    turn = math.atan2(camera[0], camera[2])
    assert (sine, cosine) == pytest.approx((math.sin(turn), math.cos(turn)), abs=1e-5)
    shown = prior.images[0]
    assert shown.shape == (1, 3, SIZE, SIZE) and shown.requires_grad


def test_sentences_follow_the_view_and_autoencoders_are_shared():
    novel_view, reading = Knowing(), Reading()
    chosen = settings("text=1", "views=2", "warmup=0", "negative=blurry")
    task = StaticTask(
        picture(), chosen, novel_view=novel_view, text_to_image=reading, prompt="an egg"
    )
    assert reading.texts == [
        ["an egg, front view", "an egg, side view", "an egg, back view"],
        ["blurry"],
    ]
    novel_view.predict_pair = lambda noisy, *_: (noisy, noisy)
    task.before_step(0)
    assert {"text", "novel_view"} <= set(task.loss(0))
    position = task._new_views(0).c2w[:, :3, 3]
    turn = torch.rad2deg(torch.atan2(position[:, 0], position[:, 2])).abs()
    front, back = (1 - turn / 90).clamp(min=0), (turn / 90 - 1).clamp(min=0)
    expected = torch.stack([front, 1 - front - back, back], 1)
    torch.testing.assert_close(reading.shares, expected, atol=1e-4, rtol=0)
    assert len(novel_view.images) == 1 and not reading.images


def test_the_weight_of_the_prior_grows_with_the_angle():
    """Of a prior that finds a residual r everywhere the surrogate is ½·(weight·r)²."""
    for elevation in (60.0, 0.0):
        chosen = settings(
            *(f"lowest={elevation}", f"highest={elevation}", "novel_view=2", "warmup=0"),
            *("near=0.25", "objective=csd", "t_low=0", "t_high=0"),
        )
        prior = Knowing()
        prior.predict_pair = lambda noisy, *_: (torch.ones_like(noisy), torch.zeros_like(noisy))
        task = StaticTask(picture(), chosen, novel_view=prior)
        task.before_step(0)
        value = task.loss(0)["novel_view"].item()
        z = task._new_views(0).c2w[0, 2, 3] / 2.2
        share = math.acos(float(z)) / math.pi
        variance = 1 - 0.999  # the schedule's at t = 0
        weight = 2 * (0.25 + 0.75 * share)
        assert value == pytest.approx(0.5 * (weight * variance) ** 2, rel=1e-3)


def test_first_the_picture_then_finer_levels():
    chosen = settings("warmup=3", "coarse_share=0.5", "train.steps=8")
    task = StaticTask(picture(), chosen, novel_view=Knowing())
    active = []
    for step in (0, 2, 3, 4, 7):
        task.before_step(step)
        active.append(task.field.active)
        assert ("novel_view" in task.loss(step)) == (step >= 3)
    assert active == [2, 3, 3, 4, 4]


def test_roughness_of_a_plane_and_of_a_ball():
    """Density that depends on one axis has one normal; a ball's turn by one angle a pixel."""

    class Analytic:
        bound = 1.0

        def __init__(self, density):
            self.density = density

        def query(self, points, times, starts):
            return self.density(points * 2 - 1), None

    angle = torch.linspace(-0.3, 0.3, 5)
    points = torch.stack([angle.sin(), torch.zeros(5), angle.cos()], -1)[None, None] * 0.5
    seen_there = torch.ones(1, 1, 5, dtype=torch.bool)
    plane = Analytic(lambda x: 2 - x[:, 1])
    assert _roughness(plane, points, seen_there) < 1e-9
    ball = Analytic(lambda x: 2 - x.square().sum(-1))
    turn = 0.15
    expected = 2 - 2 * math.cos(turn)
    assert _roughness(ball, points, seen_there).item() == pytest.approx(expected, rel=1e-2)
    seen_there[..., 1::2] = False
    assert _roughness(ball, points, seen_there) == 0


def test_killed_and_resumed_ends_the_same(tmp_path):
    chosen = settings("train.steps=6", "train.checkpoint_seconds=0", "refresh_every=4")

    def go(work, until=None):
        task = StaticTask(picture(), chosen, novel_view=Knowing())
        if until is not None:
            whole = task.loss

            def loss(step):
                if step == until:
                    raise KeyboardInterrupt
                return whole(step)

            task.loss = loss
        report = run(task, chosen.train, tmp_path / work, "egg")
        return report, {n: p.detach() for n, p in task.field.named_parameters()}, task.occupancy

    _, whole, grid = go("whole")
    with pytest.raises(KeyboardInterrupt):
        go("parts", until=3)
    report, parts, resumed_grid = go("parts")
    assert report.resumed_from == 3
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert torch.equal(grid.density, resumed_grid.density)
    start = StaticTask(picture(), chosen, novel_view=Knowing()).field.state_dict()
    assert not torch.equal(start["head.w2"], whole["head.w2"])


def test_a_large_picture_is_reduced_with_its_colours_kept():
    large = egg(0).repeat_interleave(4, 0).repeat_interleave(4, 1)
    large[..., :3][large[..., 3] == 0] = 0.7  # what transparent pixels hold must not show
    known = picture(image=large, largest=16)
    assert known.camera.width == 16 and known.pixels.shape == (256, 4)
    middle = known.pixels.reshape(16, 16, 4)[8, 8]
    torch.testing.assert_close(middle, torch.tensor([0.9, 0.1, 0.1, 1.0]), atol=1e-4, rtol=0)
    assert known.pixels.reshape(16, 16, 4)[0, 0].abs().max() < 1e-5
    task = StaticTask(known, settings("novel_view=0"))
    assert task.preview(0).shape == (SIZE, 5 * SIZE, 3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="square"):
        picture(image=torch.zeros(8, 16, 4))
    with pytest.raises(ValueError, match="novel_view"):
        StaticTask(picture(), settings())
    with pytest.raises(ValueError, match="text"):
        StaticTask(picture(), settings("novel_view=0", "text=1"))
