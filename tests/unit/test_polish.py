"""Stage polish with a prior that knows the right motion, and with one that wants stillness."""

import json
from types import SimpleNamespace

import pytest
import tiny_mvvdm
import torch
from diffusers import DDIMScheduler
from gaussian_samples import motion_of, sphere
from motion_scene import write_scene
from test_reconstruct import slide

from animate124 import training
from animate124.gaussians import store
from animate124.gaussians.motion import amplitude
from animate124.geometry.cameras import Cameras, orbit
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.schedule import Schedule
from animate124.render.splat import splat_images
from animate124.settings.base import parse
from animate124.settings.polish import PolishSettings
from animate124.stages.motion_stage import OUTPUTS
from animate124.stages.multiview import ViewSet
from animate124.stages.passing import passed_on
from animate124.stages.polish import polish
from animate124.stages.polish_task import PolishTask

SIZE, FRAMES = 16, 3
TINY = (
    *("train.steps=30", "lr=0.02", "follow_size=16", "sds_scale=1", "sds_rescale=0"),
    *("fit.arap=0.001", "fit.smooth=0", "train.log_every=1", "guard=0"),
)


def settings(*more):
    return parse(PolishSettings, [*TINY, *more])


def views():
    azimuth = torch.tensor([0.0, 90.0, 180.0, 270.0])
    return ViewSet(None, azimuth, torch.full((4,), 15.0), 2.2, 40.0, 0.5)


class Prior:
    """Denoises to what `motion` shows from the cameras of the condition; latents are pictures."""

    schedule = Schedule.from_scheduler(DDIMScheduler(beta_schedule="scaled_linear"))
    image_size, vae = SIZE, None

    def __init__(self, cloud, motion):
        self.cloud, self.motion, self.asked = cloud, motion, []

    def encode_images(self, images):
        return torch.cat([images, images[..., :1, :, :]], -3) * 2 - 1

    def condition(self, first, azimuth, elevation, text, negative):
        self.asked.append((first, azimuth, elevation, text))
        times = self.motion.times()
        poses = orbit(azimuth, elevation).repeat_interleave(len(times), 0)
        cameras = Cameras(poses, 40.0, SIZE, SIZE)
        state = self.motion.frames(self.cloud, times)
        seen = splat_images(self.cloud, state, torch.arange(len(times)).repeat(4), cameras)
        grey = seen[..., :3] + (1 - seen[..., 3:4]) * 0.5
        right = self.encode_images(grey.permute(0, 3, 1, 2)).unflatten(0, (4, -1))
        told = torch.zeros(1, 1, 1)
        return SimpleNamespace(right=right.detach(), text=told, negative=told)

    def predict_pair(self, noisy, t, condition):
        a, s = self.schedule.signal_and_noise(t, noisy)
        noise = (noisy - a * condition.right) / s
        return noise, noise


def pushed(cloud, *way):
    """A motion whose last frame is shifted as a whole."""
    motion = motion_of(cloud, FRAMES, loop=False)
    with torch.no_grad():
        for k in (1, 2):
            motion.shift.keys[k - 1][0] = torch.tensor(way) * k / 2
    return motion


def run(task, folder):
    return training.run(task, task.train, folder, "test")


def test_the_prior_moves_the_cloud_where_it_expects_it(tmp_path):
    cloud = sphere(150)
    prior = Prior(cloud, pushed(cloud, 0.15, 0.1, 0.0))
    motion = pushed(cloud, 0.1, 0.0, 0.0)
    task = PolishTask(cloud, motion, views(), None, prior, "a ball slides", settings())
    run(task, tmp_path)
    with torch.no_grad():
        way = (motion.frames(cloud, torch.ones(1))[0][0] - cloud.positions).mean(0)
    torch.testing.assert_close(way, torch.tensor([0.15, 0.1, 0.0]), atol=0.03, rtol=0)
    # The sentence is encoded once; the cameras stand evenly around, from another start every step.
    texts = [asked[3] for asked in prior.asked]
    assert texts[0] == "a ball slides" and all(isinstance(t, torch.Tensor) for t in texts[1:])
    starts = set()
    for first, azimuth, elevation, _ in prior.asked:
        turned = (azimuth - azimuth[0]) % 360
        torch.testing.assert_close(turned, torch.tensor([0.0, 90, 180, 270]), atol=1e-3, rtol=0)
        assert 0 <= elevation[0] <= 30 and (elevation == elevation[0]).all()
        assert first.shape == (4, 3, SIZE, SIZE)
        starts.add(round(float(azimuth[0]), 3))
    assert len(starts) == len(prior.asked)


def test_a_prior_that_wants_stillness_cannot_freeze_the_motion(tmp_path):
    cloud = sphere(100)
    still = motion_of(cloud, FRAMES, loop=False)
    kept = {}
    for guard in (0.0, 100.0):
        motion = pushed(cloud, 0.2, 0.0, 0.0)
        chosen = settings(f"guard={guard}", "amplitude=0.9")
        task = PolishTask(cloud, motion, views(), None, Prior(cloud, still), "", chosen)
        before = float(task.amplitude)
        run(task, tmp_path / str(guard))
        with torch.no_grad():
            moved = motion.frames(cloud, motion.times())[0]
        kept[guard] = float(amplitude(cloud.positions, moved)) / before
    assert kept[0.0] < 0.6
    assert kept[100.0] > 0.8


def test_all_terms_have_a_share_and_stiffness_is_of_all_moments():
    cloud = sphere(60)
    motion = pushed(cloud, 0.1, 0.0, 0.0)
    with torch.no_grad():  # the last frame alone is torn
        motion.local.keys[-1][::2, :3] += 0.1
    clips = torch.zeros(4, FRAMES, 4, SIZE, SIZE)
    chosen = settings("fit.arap=1", "fit.smooth=0.1", "guard=1")
    task = PolishTask(cloud, motion, views(), clips, Prior(cloud, motion), "", chosen)
    terms = task.loss(0)
    assert set(terms) == {"sds", "guard", "arap", "growth", "smooth", "rgb", "mask"}
    assert terms["sds"].item() == pytest.approx(0, abs=1e-8)  # it is what the prior expects
    last = task.stiffness(motion.parts(torch.ones(1)))
    assert terms["arap"].item() == pytest.approx(last.item() / FRAMES, rel=1e-4)
    assert terms["guard"].item() == 0


def test_a_real_multi_view_video_model_can_be_asked(tmp_path):
    tiny_mvvdm.published(tmp_path)
    prior = MultiViewVideo.load(
        tmp_path / "animate3d",
        base=tmp_path / "mvdream",
        image_prompt=tmp_path / "ip-adapter",
    )
    cloud = sphere(60)
    motion = pushed(cloud, 0.1, 0.0, 0.0)
    chosen = settings("train.steps=2", "sds_scale=6", "sds_rescale=0.5")
    task = PolishTask(cloud, motion, views(), None, prior, "a ball", chosen)
    before = [key.detach().clone() for key in motion.local.keys]
    run(task, tmp_path / "work")
    for key, old in zip(motion.local.keys, before, strict=True):
        assert key.isfinite().all() and not torch.equal(key, old)


class FakeModels:
    """As `stages.models.Models`, with the prior above."""

    device, language, used = "cpu", "photo", []
    profile = SimpleNamespace(name="double")

    def __init__(self, prior):
        self.multi_view_video = prior

    def digest(self, *roles):
        return "".join(roles)


def test_the_stage_from_folder_to_folder(tmp_path):
    folder = write_scene(tmp_path, slide(), FRAMES, SIZE)
    cloud = sphere(80)
    store.save(folder / "reconstruct" / "gaussians.safetensors", cloud, pushed(cloud, 0.1, 0, 0))
    (folder / "reconstruct" / "stage.json").write_text(
        '{"stage": "reconstruct", "amplitude": 0.0645}'
    )
    models = FakeModels(Prior(cloud, pushed(cloud, 0.15, 0.1, 0.0)))
    places = folder / "reconstruct", folder / "views", folder / "polish"
    chosen = settings("train.steps=3", "follow=0.1")
    polish(*places, chosen, models, "a ball slides", videos=folder / "generate")
    assert {p.name for p in places[-1].iterdir()} == set(OUTPUTS)
    found = json.loads((places[-1] / "stage.json").read_text())
    assert found["stage"] == "polish" and found["amplitude_before"] == 0.0645
    assert found["told"] == found["prompt"] == "a ball slides"
    assert {"sds", "guard", "rgb", "mask"} <= set(found["losses"])
    assert set(found["inputs"]) == {"gaussians", "cameras", "clips"}
    _, motion = store.load(places[-1] / "gaussians.safetensors")
    before = store.load(folder / "reconstruct" / "gaussians.safetensors")[1]
    assert not torch.equal(motion.local.keys[0], before.local.keys[0])


def test_a_motion_can_be_passed_on_as_it_is(tmp_path):
    folder = write_scene(tmp_path, slide(), FRAMES, SIZE)
    cloud, start = sphere(80), folder / "reconstruct"
    store.save(start / "gaussians.safetensors", cloud, pushed(cloud, 0.1, 0, 0))
    (start / "sheet.png").write_bytes(b"a sheet")
    (start / "stage.json").write_text(
        '{"stage": "reconstruct", "amplitude": 0.0645, "frames": 3, "loop": false}'
    )
    models = FakeModels(None)
    del models.multi_view_video  # asking for it would raise
    out = folder / "polish"
    made = polish(start, folder / "views", out, settings("when=never"), models, "a ball slides")
    for name in ("gaussians.safetensors", "sheet.png"):
        assert (out / name).read_bytes() == (start / name).read_bytes()
    assert passed_on(out) and not passed_on(start)
    assert made == json.loads((out / "stage.json").read_text())
    assert (made["steps"], made["amplitude"], made["amplitude_before"]) == (0, 0.0645, 0.0645)
    assert (made["frames"], made["loop"]) == (3, False) and made["left_out"] == "settings say so"
