"""The dynamic stage's optimisation at tiny size: an egg that has to rise and sink."""

import math

import pytest
import torch
from egg import SIZE, Knowing, egg, picture, white

from animate124 import runtime
from animate124.fields.build import with_time
from animate124.geometry.cameras import DEFAULT_FOV_Y, Cameras, azimuth_elevation_radius, orbit
from animate124.priors.guidance import Guidance
from animate124.render.volume import render_images
from animate124.settings.base import parse
from animate124.settings.dynamic import DynamicSettings
from animate124.settings.field import FieldSettings
from animate124.settings.static import StaticSettings
from animate124.stages.clip_bank import Aim, ClipBank, reimagine
from animate124.stages.dynamic_task import DynamicTask
from animate124.stages.static_task import StaticTask
from animate124.training import run

FIELD = FieldSettings(
    levels=4, hidden=8, coarsest=4, finest=16, log2_size=12, occupancy_side=16, step=0.05, blob=5
)
LIFT = 0.2


def lift(time):
    """Of the egg at `time`: a loop that begins at rest height."""
    return LIFT * math.sin(2 * math.pi * float(time))


class Rising:
    """A video prior that knows how the egg moves; it is told times and cameras by the test."""

    vae, image_size, schedule = None, SIZE, Knowing.schedule

    def __init__(self, first=180.0):
        self.prompts, self.first = [], first

    def encode_text(self, texts):
        self.prompts.append(texts)
        return torch.eye(3)[: len(texts), None]

    def encode_images(self, images):
        return images * 2 - 1

    def decode_latents(self, latents):
        return latents / 2 + 0.5

    def predict_pair(self, noisy, t, text, negative):
        widest = self.task.settings.spread_azimuth if self.step else self.first
        azimuth, elevation, _ = azimuth_elevation_radius(self.task._cameras(self.step, widest).c2w)
        times = self.task._times(self.step)
        frames = [
            white(egg(a, e, lift(time))).permute(2, 0, 1)
            for a, e, time in zip(azimuth, elevation, times, strict=True)
        ]
        clean = self.encode_images(torch.stack(frames))[None]
        signal, noise = self.schedule.signal_and_noise(t, clean)
        return ((noisy - signal * clean) / noise,) * 2


def settings(*more):
    tiny = (
        *("slices=8", "frames=4", f"size={SIZE}", "rays=128", "subsamples=1", "novel_view=0"),
        *("t_low=0.5", "t_high=0.9", "t_low_end=0.5", "t_high_end=0.9", "lr=0.03"),
        *(
            "video=40",
            "denoising=0",
            "spread_by=0.001",
            "smooth=0",
            "still=0",
            "entropy=0",
            "train.preview_every=0",
        ),
    )
    return parse(DynamicSettings, [*tiny, *more])


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """The egg at rest, from all sides."""
    chosen = parse(
        StaticSettings,
        {
            "field": FIELD.model_dump(),
            "rays": 256,
            "subsamples": 1,
            "size": SIZE,
            "warmup": 2,
            "lr": 0.03,
            "t_low": 0.5,
            "t_high": 0.9,
            "t_low_end": 0.5,
            "t_high_end": 0.9,
            "train.steps": 120,
            "train.preview_every": 0,
        },
    )
    task = StaticTask(picture(), chosen, novel_view=Knowing())
    run(task, chosen.train, tmp_path_factory.mktemp("static"), "egg")
    return task.trained()


def moving(static, chosen, **priors):
    field, occupancy = with_time(static[0], FIELD, chosen.slices, chosen.loop)
    return DynamicTask(picture(), field, occupancy, FIELD.step, chosen, **priors)


def trained(static, chosen, work, **priors):
    task = moving(static, chosen, **priors)
    prior = priors.get("video")
    if prior is not None:
        prior.task = task
        before = task.before_step

        def note(step):
            prior.step = step
            before(step)

        task.before_step = note
    run(task, chosen.train, work, "egg")
    return task


def seen(task, azimuth, time):
    return rendered(*task.trained(), azimuth, time)


def rendered(field, occupancy, azimuth, time):
    camera = Cameras(orbit(float(azimuth))[None], DEFAULT_FOV_Y, SIZE, SIZE)
    return render_images(field, occupancy, torch.tensor([time]), camera, FIELD.step)["rgb"][0]


def error(task, azimuth, time):
    truth = white(egg(azimuth, lift=lift(time)))
    return (seen(task, azimuth, time) - truth).square().mean().item()


def test_it_starts_as_the_static_scene_at_all_times(static):
    task = moving(static, settings("video=0"))
    rest = rendered(*static, 90, 0.0)
    assert rest.amin() < 0.5  # there is something to see
    for time in (0.0, 0.2, 0.5, 0.9):
        # Cells at the rim are asked at other random points, so a few count as empty.
        assert (seen(task, 90, time) - rest).abs().mean() < 0.01, time


def test_the_video_prior_moves_it_and_the_picture_holds_its_start(static, tmp_path):
    chosen = settings("train.steps=160", "appearance=1", "slices=4")
    rest = moving(static, chosen, video=Rising())
    task = trained(static, chosen, tmp_path, video=Rising(), prompt="an egg is rising")
    assert task.video.prompts[0] == [
        f"an egg is rising, {v} view" for v in ("front", "side", "back")
    ]
    for azimuth in (0, 90, 180):
        for time in (0.25, 0.75):
            assert error(task, azimuth, time) < 0.5 * error(rest, azimuth, time), (azimuth, time)
    assert error(task, 0, 0.0) < 0.01


def test_it_follows_the_clips_that_the_prior_makes_of_it(static, tmp_path):
    chosen = settings(
        *("train.steps=200", "appearance=0", "slices=4", "denoising=2", "aim_every=5", "video=20")
    )
    rest = moving(static, chosen, video=Rising())
    task = trained(static, chosen, tmp_path, video=Rising(first=0.0))
    assert len(task.bank) == chosen.aims == 8
    for azimuth in (0, 90, 180):
        for time in (0.25, 0.75):
            assert error(task, azimuth, time) < 0.6 * error(rest, azimuth, time), (azimuth, time)


def test_the_first_clips_are_seen_from_the_front(static):
    task = moving(static, settings("video=0", "spread_azimuth=100", "spread_by=0.5"))
    azimuth, _, _ = azimuth_elevation_radius(task._cameras(3, 0.0).c2w)
    torch.testing.assert_close(azimuth, torch.zeros(4), atol=1e-4, rtol=0)
    found = torch.cat([azimuth_elevation_radius(task._cameras(s, 40.0).c2w)[0] for s in range(40)])
    assert 30 < found.abs().max() <= 40 and found.min() < 0 < found.max()


def test_the_bank_keeps_the_latest_clips_and_survives_a_checkpoint():
    bank = ClipBank(2, 3, 4, "cpu")
    assert len(bank) == 0
    aims = [
        Aim(torch.full((3,), k / 4), torch.full((3, 4, 4), float(k)), torch.rand(3, 3, 4, 4))
        for k in range(3)
    ]
    for aim in aims:
        bank.add(aim)
    other = ClipBank(2, 3, 4, "cpu")
    other.load_state({name: tensor.clone() for name, tensor in bank.state().items()})
    for kept in (bank, other):
        assert len(kept) == 2
        assert torch.equal(kept[0].frames, aims[2].frames)  # took the oldest one's place
        assert torch.equal(kept[1].poses, aims[1].poses)
        assert torch.equal(kept[1].times, aims[1].times)


def test_a_resumed_run_ends_as_an_undisturbed_one(static, tmp_path):
    chosen = settings("train.steps=12", "denoising=1", "aim_every=4", "train.checkpoint_seconds=0")
    whole = trained(static, chosen, tmp_path / "whole", video=Rising())
    part = moving(static, chosen, video=Rising())
    part.video.task = part
    before = part.before_step

    def stop(step):
        part.video.step = step
        if step == 6:
            raise RuntimeError("killed")
        before(step)

    part.before_step = stop
    with pytest.raises(RuntimeError, match="killed"):
        run(part, chosen.train, tmp_path / "part", "egg")
    again = trained(static, chosen, tmp_path / "part", video=Rising())
    for one, other in zip(whole.field.parameters(), again.field.parameters(), strict=True):
        assert torch.equal(one, other)


def test_reimagining_whitens_the_background_again():
    class Tinted(Rising):
        def predict_pair(self, noisy, t, text, negative):
            clean = torch.full_like(noisy, 0.8 * 2 - 1)
            clean[..., 6:10, 6:10] = -1.0
            signal, noise = self.schedule.signal_and_noise(t, clean)
            return ((noisy - signal * clean) / noise,) * 2

    made = reimagine(
        Tinted(), torch.rand(4, 3, SIZE, SIZE), torch.zeros(1, 1, 3), torch.zeros(1, 1, 3),
        Guidance(2.0), 80, 3, runtime.generator(0, "test"), torch.zeros(4, dtype=torch.bool),
    )  # fmt: skip
    expected = torch.ones(4, 3, SIZE, SIZE)
    expected[..., 6:10, 6:10] = 0.2  # brightened as much as the background
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)


def test_without_strength_nothing_moves(static, tmp_path):
    chosen = settings("train.steps=10", "motion=0", "appearance=0", "static_rate=0", "spread=0")
    task = trained(static, chosen, tmp_path, video=Rising())
    still = moving(static, chosen, video=Rising())
    # A gradient of zero leaves the slices where they are.
    torch.testing.assert_close(seen(task, 90, 0.5), seen(still, 90, 0.5), atol=2e-3, rtol=0)


def test_gradient_is_split_into_looks_and_motion(static):
    chosen = settings("motion=3", "appearance=0.5", "video=2")
    prior = Rising()
    task = moving(static, chosen, video=prior)
    prior.task, prior.step = task, 0
    latents = torch.randn(4, 3, 16, 16, requires_grad=True)
    task._moved(latents, torch.zeros(4), 0).backward()
    plain = moving(static, settings("motion=1", "appearance=1", "video=2"), video=prior)
    other = latents.detach().clone().requires_grad_(True)
    plain._moved(other, torch.zeros(4), 0).backward()
    mean = other.grad.mean(0, keepdim=True)
    torch.testing.assert_close(latents.grad, 3 * (other.grad - mean) + 0.5 * mean)


def test_times_lie_on_slices_in_a_loop_and_span_the_window(static):
    task = moving(static, settings("video=0"))
    for step in range(20):
        times = task._times(step)
        assert times.shape == (4,) and ((times * 8) % 1 == 0).all()
        torch.testing.assert_close(sorted(times.tolist())[-1] - times.min().item(), 0.75)
    half = moving(static, settings("video=0", "loop=false", "window=0.5"))
    times = half._times(3)
    torch.testing.assert_close((times[-1] - times[0]).item(), 0.5)
    assert times.min() >= 0 and times.max() <= 1


class Asked(Knowing):
    """Notes what reference it was shown."""

    def reference(self, image):
        self.shown = image
        return image


def test_the_novel_view_prior_is_shown_the_front_at_the_frames_own_time(static):
    prior = Asked()
    task = moving(static, settings("video=0", "novel_view=1"), novel_view=prior)
    with torch.no_grad():
        task.field.grid.slices[4].normal_(generator=torch.Generator().manual_seed(0))
    task.occupancy.rebuild(task.field, runtime.generator(0, "test"))
    latents = torch.zeros(1, 3, 8, 8, requires_grad=True)
    at = (torch.tensor(90.0), torch.tensor(10.0), 0)
    task._agreed(latents, torch.tensor(0.0), *at)
    torch.testing.assert_close(prior.shown, task.picture.over_white())
    task._agreed(latents, torch.tensor(0.5), *at)
    camera = Cameras(orbit(0.0)[None], DEFAULT_FOV_Y, SIZE, SIZE)
    rest = render_images(task.field, task.occupancy, torch.tensor([0.5]), camera, FIELD.step)
    torch.testing.assert_close(prior.shown, rest["rgb"].permute(0, 3, 1, 2))
    # The pose token holds the turn and the camera's rise (downwards positive, radians).
    down, sine, cosine, _ = prior.poses[-1][0].tolist()
    assert math.isclose(down, -math.radians(10), abs_tol=1e-5)
    assert math.isclose(sine, 1.0, abs_tol=1e-5) and abs(cosine) < 1e-5


def test_neighbours_and_rest_are_direct_differences(static):
    task = moving(static, settings("video=0", "smooth=2", "still=3", "slices=2"))
    with torch.no_grad():
        task.field.grid.slices[0].fill_(0.5)
        task.field.grid.slices[1].fill_(0.1)
    terms = task._regular(0)
    assert math.isclose(terms["smooth"].item(), 2 * 0.4**2, rel_tol=1e-5)
    assert min(abs(terms["still"].item() - 3 * v**2) for v in (0.5, 0.1)) < 1e-6


def test_a_missing_prior_is_named(static):
    with pytest.raises(ValueError, match="video"):
        moving(static, settings())
    with pytest.raises(ValueError, match="novel_view"):
        moving(static, settings("video=0", "novel_view=1"))


def test_known_frames_stay_and_are_seen_at_every_step():
    class Watching(Rising):
        def __init__(self):
            super().__init__()
            self.noisy = []

        def predict_pair(self, noisy, t, text, negative):
            self.noisy.append(noisy.clone())
            return (torch.zeros_like(noisy),) * 2

    prior, frames = Watching(), torch.rand(4, 3, SIZE, SIZE)
    frames[..., 0, :] = 1.0  # the border is white, so nothing is brightened
    known = torch.tensor([True, False, False, False])
    made = reimagine(
        prior, frames, torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), Guidance(1.0), 90, 3,
        runtime.generator(0, "test"), known,
    )  # fmt: skip
    assert torch.equal(made[0], frames[0])
    given = prior.encode_images(frames)
    signal, sigma = prior.schedule.signal_and_noise(torch.tensor([90]), given)
    noise = (prior.noisy[0][0] - signal * given) / sigma
    for t, noisy in zip((90, 60, 30), prior.noisy, strict=True):
        signal, sigma = prior.schedule.signal_and_noise(torch.tensor([t]), given)
        torch.testing.assert_close(
            noisy[0, 0], (signal * given + sigma * noise)[0], atol=1e-4, rtol=1e-3
        )


def test_of_a_clip_its_differences_are_followed_and_its_look_is_that_of_the_start(static):
    task = moving(static, settings("motion=2", "appearance=0.5", "video=0"))
    frames = torch.tensor([0.5, 0.6, 0.4, 0.8]).view(4, 1, 1, 1).expand(4, 3, SIZE, SIZE)
    aim = torch.tensor([0.5, 0.9, 0.9, 0.3]).view(4, 1, 1, 1).expand(4, 3, SIZE, SIZE)
    times = torch.tensor([0.0, 0.25, 0.5, 0.75])
    # Away: -0.3, -0.5, 0.5, mean -0.1. Shared: mean(0.6, 0.4, 0.8) - 0.5 = 0.1.
    expected = [0.0, 2 * -0.2 + 0.05, 2 * -0.4 + 0.05, 2 * 0.6 + 0.05]
    found = task._residual(frames, aim, times)
    torch.testing.assert_close(found[:, 0, 0, 0], torch.tensor(expected))
    # A clip without t = 0 has nothing to draw its look to.
    found = task._residual(frames, aim, times + 0.1)
    away = torch.tensor([0.0, -0.3, -0.5, 0.5])
    torch.testing.assert_close(found[:, 0, 0, 0], 2 * (away - away.mean()))
