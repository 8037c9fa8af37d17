"""Training MV-VDM on a dataset on disk: what learns, what is seen, what counts, and going on."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny_mvvdm
import tiny_mvvdm_training
import torch
from accelerate.state import AcceleratorState, PartialState
from safetensors.torch import load_file
from tiny_mvvdm_training import STEPS, F, N, build, run, settings, watched
from transformers import CLIPImageProcessor
from typer.testing import CliRunner

from animate124.cli import app
from animate124.errors import UserError
from animate124.media.images import read_image
from animate124.priors.mvvdm import weights
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.priors.profiles import load_profile
from animate124.settings.base import parse
from animate124.settings.mvvideo import MvVideoTrainSettings
from animate124.stages import mvvideo_train
from animate124.stages.models import Models
from animate124.zoo import mvvideo
from animate124.zoo.accelerated import Accelerated
from animate124.zoo.mvvdm_training import MvVdmTask, trainable
from animate124.zoo.mvvideo_data import MultiViewClips


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return build(tmp_path_factory.mktemp("mvvdm"))


@pytest.fixture
def fresh_state():
    """Accelerate settles the precision once a process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)
    PartialState._reset_state()


def make(place, wanted=None):
    wanted = wanted or settings()
    processes = Accelerated(wanted.precision, cpu=True)
    model = Models(place / "tiny.yaml").multi_view_video
    model = trainable(model, wanted.size, processes.device, processes.precision)
    clips = MultiViewClips(place / "data", wanted.views, wanted.frames, wanted.size)
    return MvVdmTask(model, clips, wanted, processes)


def motion(place, folder):
    """The network of the tiny profile with the motion tensors of `folder`."""
    below = place / "mvdream", place / "ip-adapter"
    return weights.load_published(folder, *below, torch.float32)[0]


class Spy:
    """The network in between: keeps what it is told, and can say something else."""

    def __init__(self, task, change=lambda output: output):
        self.network, self.change, self.told = task.wrapped, change, []
        task.wrapped = self

    def __call__(self, noisy, t, text, camera, image):
        output = self.change(self.network(noisy, t, text, camera, image))
        self.told.append((noisy, t, text, camera, image, output.detach()))
        return output


def test_what_is_learnt_and_what_is_written(place, tmp_path):
    record = run(place, tmp_path / "out")
    before = motion(place, place / "animate3d").state_dict()
    after = motion(place, tmp_path / "out").state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "i2v." in name or "motion_modules." in name}
    published = tiny_mvvdm.parts(tiny_mvvdm.network())[2]
    written = load_file(tmp_path / "out" / weights.MOTION)
    assert {k: v.shape for k, v in written.items()} == {k: v.shape for k, v in published.items()}
    codes = [key for key in written if key.endswith("time_pos_embed.pe")]
    assert codes and all(torch.allclose(written[k], published[k], atol=1e-5) for k in codes)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [weights.MOTION, "stage.json"]
    assert record["steps"] == STEPS and record["dataset"] == "data" and record["clips"] == 2
    learnt = sum(before[name].numel() for name in moved)
    assert record["trained_parameters"] == learnt and str(tmp_path) not in json.dumps(record)


def test_the_whole_model_but_what_learns_stays(place):
    task = make(place, settings(recompute=False))
    model = task.model
    parts = {"unet": task.network, "vae": model.vae, "text": model.text.model}
    parts["image"] = model.image_encoder
    learning = {
        f"{part}.{name}"
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    assert learning == {f"unet.{name}" for name in task.learnt}
    assert all("i2v." in name or "motion_modules." in name for name in learning)
    sum(task.loss(0).values()).backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in task.learnt.values())
    (adam,) = task.optimizer().param_groups
    assert adam["betas"] == (0.9, 0.999) and adam["weight_decay"] == 1e-2


@torch.no_grad()
def test_the_loss_by_hand(place):
    task = make(place)
    spy = Spy(task)
    found = float(task.loss(5)["denoise"])
    ((noisy, t, text, camera, image, output),) = spy.told
    # What it was shown: the clip named by its sentence, over grey, with its own cameras.
    entries = {entry.caption: entry for entry in mvvideo.read_manifest(place / "data")}
    captions = {k: task.model.text.encode([k])[0] for k in entries}
    (caption,) = [k for k, states in captions.items() if torch.equal(states, text[0])]
    entry = entries[caption]
    pairs = [
        camera_vectors(torch.tensor(entry.azimuth)[k::2], torch.tensor(entry.elevation)[k::2])
        for k in (0, 1)
    ]
    (first,) = [k for k in (0, 1) if torch.allclose(pairs[k], camera[0], atol=1e-6)]
    chosen = [first, first + 2]
    folder = place / "data" / entry.name
    pictures = np.stack(
        [[read_image(folder / mvvideo.frame_file(v, k)) for k in (0, 2, 3, 5)] for v in chosen]
    )
    rgb = pictures[..., :3] * pictures[..., 3:] + (1 - pictures[..., 3:]) * 128 / 255
    videos = torch.from_numpy(rgb).permute(0, 1, 4, 2, 3).float()
    # Latents are a sample of the posterior: within it, but not its mean.
    posterior = task.model.vae.encode(videos[:, 0] * 2 - 1).latent_dist
    away = (noisy[0, :, 0] / 0.5 - posterior.mean) / posterior.std
    assert 0.8 < float(away.std()) < 1.2 and float(away.abs().max()) < 5
    # Noise that the noisy latents stand for, up to that sample: so the network is made to tell it.
    alphas = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000), 0)
    assert t.shape == (1,) and torch.allclose(task.model.schedule.alphas_cumprod, alphas, atol=1e-6)
    generator = torch.Generator().manual_seed(1)
    wrong = torch.randn(noisy.shape, generator=generator)
    spy.change = lambda output: noise + wrong
    a, s = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
    latents = exact_latents(task, 5, videos)
    assert torch.allclose(noisy[0, :, 0], latents[:, 0], atol=1e-5)  # clean
    noise = (noisy - a * latents[None]) / s
    assert float(noise[:, :, 1:].std()) == pytest.approx(1.0, abs=0.05)
    assert found == pytest.approx(float((output - noise)[:, :, 1:].square().mean()), rel=1e-4)
    again = float(task.loss(5)["denoise"])
    assert again == pytest.approx(float(wrong[:, :, 1:].square().mean()), rel=1e-3)
    # Frame 0 as the image encoder's own preprocessing of 8-bit pictures has it.
    eight = (videos[:, 0] * 255).round().byte()
    pixels = CLIPImageProcessor()(list(eight.numpy()), return_tensors="pt").pixel_values
    expected = task.model.image_encoder(pixels).image_embeds
    assert torch.allclose(image[0], expected, atol=0.05 * float(expected.abs().max()))


def exact_latents(task, step, videos):
    """The sample of the posterior that was drawn for this step's clip."""
    generator = task._generator(step, 0)
    torch.rand(2, generator=generator)
    return task._encoded(videos, generator)


@torch.no_grad()
def test_frame_0_counts_only_where_it_is_not_given(place):
    def shouting(output):
        output = output.clone()
        output[:, :, 0] += 1e3
        return output

    given, noisy = make(place), make(place, settings(drop_first=0.5))
    quiet = [float(given.loss(step)["denoise"]) for step in range(12)]
    loud_task = make(place)
    Spy(loud_task, shouting)
    assert [float(loud_task.loss(step)["denoise"]) for step in range(12)] == quiet
    spy = Spy(noisy, shouting)
    reference = Spy(given)
    shared = []
    for step in range(12):
        loss = float(noisy.loss(step)["denoise"])
        given.loss(step)
        clean, seen = reference.told[-1][0], spy.told[-1][0]
        assert torch.equal(clean[:, :, 1:], seen[:, :, 1:])
        shared.append(torch.equal(clean[:, :, 0], seen[:, :, 0]))
        assert (loss < 1e3) == shared[-1]
    assert 0 < sum(shared) < 12


@torch.no_grad()
def test_conditions_are_dropped(place):
    shares = {"drop_text": 0.2, "drop_image": 0.1, "drop_both": 0.3, "drop_first": 0.4}
    task = make(place, settings(**shares))
    spy = Spy(task, lambda output: output)
    empty = task.model.text.encode([""])
    for step in range(40):
        drops = task.dropped(task._generator(step, 0))
        task.loss(step)
        _, _, text, _, image, _ = spy.told[-1]
        assert (torch.equal(text, empty), bool((image == 0).all())) == drops[:2]
    drawn = np.array([task.dropped(task._generator(step, 0)) for step in range(4000)])
    text, image, first = drawn.T
    assert np.mean(text & ~image) == pytest.approx(0.2, abs=0.03)
    assert np.mean(image & ~text) == pytest.approx(0.1, abs=0.03)
    assert np.mean(image & text) == pytest.approx(0.3, abs=0.03)
    assert np.mean(first) == pytest.approx(0.4, abs=0.03)
    assert np.mean(first & text) == pytest.approx(0.2, abs=0.03)  # of the others independent


def test_the_background_is_drawn_for_every_clip(place):
    task = make(place, settings(background="drawn"))
    for step in range(3):
        video = task.sample(step, 0)[0]
        grey = make(place).sample(step, 0)[0]
        behind = (video - grey).amax(dim=(0, 1, 3, 4)).abs()
        assert float(behind.max()) > 1e-3 and float(video.min()) >= 0 and float(video.max()) <= 1
    assert not torch.equal(task.sample(0, 0)[0], task.sample(0, 1)[0])
    assert torch.equal(task.sample(0, 1)[0], task.sample(0, 1)[0])


@torch.no_grad()
def test_the_output_is_loaded_by_its_profile_and_is_what_was_trained(place, tmp_path, monkeypatch):
    monkeypatch.setattr(mvvideo_train, "MvVdmTask", watched(kept := []))
    with torch.enable_grad():
        run(place, tmp_path / "out")
    text = mvvideo_train.profile_text(
        tmp_path / "out", str(place / "tiny.yaml"), Models(place / "tiny.yaml")
    )
    (tmp_path / "own.yaml").write_text(text)
    found, before = (
        Models(path).multi_view_video for path in (tmp_path / "own.yaml", place / "tiny.yaml")
    )
    generator = torch.Generator().manual_seed(2)
    noisy = torch.randn(1, N, F, 4, 8, 8, generator=generator)
    told = (
        torch.tensor([300]),
        torch.randn(1, 12, 32, generator=generator),
        torch.randn(1, N, 16, generator=generator),
        torch.randn(1, N, tiny_mvvdm.IMAGE, generator=generator),
    )
    expected = kept[0].network.eval()(noisy, *told)
    assert torch.equal(found.unet(noisy, *told), expected)
    assert not torch.allclose(before.unet(noisy, *told), expected, atol=1e-2)


class Killed(BaseException):
    pass


def test_killed_and_run_again_it_ends_with_the_same_bytes(place, tmp_path, monkeypatch):
    wanted = settings(accumulate=2, drop_text=0.2, drop_first=0.3)
    run(place, tmp_path / "a", wanted)
    right = MvVdmTask.error

    def failing(self, step, index):
        if step == 2:
            raise Killed
        return right(self, step, index)

    monkeypatch.setattr(MvVdmTask, "error", failing)
    with pytest.raises(Killed):
        run(place, tmp_path / "b", wanted)
    assert not (tmp_path / "b").exists() or not list((tmp_path / "b").iterdir())
    monkeypatch.setattr(MvVdmTask, "error", right)
    assert run(place, tmp_path / "b", wanted)["resumed_from"] == 2
    one, other = ((tmp_path / name / weights.MOTION).read_bytes() for name in "ab")
    assert one == other
    assert not list(tmp_path.glob(".*.work/checkpoint*"))


def test_recomputed_layers_teach_the_same(place):
    grads = []
    for again in (True, False):
        task = make(place, settings(recompute=again))
        sum(task.loss(0).values()).backward()
        grads.append([p.grad for p in task.learnt.values()])
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_accumulated_gradients_are_the_mean_over_the_clips(place):
    alone, both = make(place), make(place, settings(accumulate=2))
    told = []
    for index in (0, 1):  # their gradients add up
        error = alone.error(0, index)
        error.backward()
        told.append(float(error.detach()))
    terms = both.loss(0)
    sum(terms.values()).backward()
    assert told[0] != told[1] and float(terms["denoise"].detach()) == pytest.approx(sum(told) / 2)
    for name, parameter in both.learnt.items():
        expected = alone.learnt[name].grad / 2
        assert torch.allclose(parameter.grad, expected, atol=1e-5 * float(expected.abs().max()))


def test_in_bfloat16_only_what_is_frozen_loses_digits(place, fresh_state):
    whole = make(place)
    expected = whole.loss(0)["denoise"]
    AcceleratorState._reset_state(True)
    half = make(place, settings(precision="bf16"))
    start = motion(place, place / "animate3d").state_dict()
    for name, parameter in half.network.named_parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16)
        assert not parameter.requires_grad or torch.equal(parameter, start[name])
    found = half.loss(0)["denoise"]
    assert 0 < abs(float((found - expected).detach())) < 0.05 * float(expected.detach())
    found.backward()
    grads = [p.grad for p in half.learnt.values()]
    assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in grads)


def launched(place, out, *more, status=0):
    """A training in two processes, as `accelerate launch` starts them for GPUs (on a CPU it starts
    one alone)."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    done = subprocess.run(
        [*command, tiny_mvvdm_training.__file__, str(place), str(out), *more],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert (done.returncode == 0) == (status == 0), done.stderr
    return done


def norm(tensors):
    return float(torch.stack([value.double().square().sum() for value in tensors]).sum().sqrt())


def test_two_processes_are_one_that_accumulates(place, tmp_path):
    done = launched(place, tmp_path / "two")
    assert done.stderr.count("3 steps in") == 1  # one of them speaks
    ranks = [load_file(tmp_path / f"two-{k}.safetensors") for k in range(2)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in ranks[0])
    record = json.loads((tmp_path / "two" / "stage.json").read_text())
    assert record["processes"] == 2 and record["objects_per_step"] == 2
    alone = run(place, tmp_path / "one", settings(accumulate=2))
    assert alone["losses"]["denoise"] == pytest.approx(record["losses"]["denoise"], rel=1e-4)
    run(place, tmp_path / "half", settings())
    two, one, half = (
        load_file(tmp_path / name / weights.MOTION) for name in ("two", "one", "half")
    )
    start = torch.load(place / "animate3d" / weights.CHECKPOINT, weights_only=True)
    moved = norm(one[key] - start[key] for key in one)
    # Adam makes much of the rounding of the smallest gradients.
    assert norm(two[key] - one[key] for key in one) < 2e-3 * moved
    assert norm(half[key] - one[key] for key in one) > 0.2 * moved


@pytest.mark.slow
def test_two_processes_killed_and_run_again(place, tmp_path):
    launched(place, tmp_path / "a")
    done = launched(place, tmp_path / "b", "kill", status=1)
    assert "SIGKILL" in done.stderr and not (tmp_path / "b-0.safetensors").exists()
    again = launched(place, tmp_path / "b")
    assert again.stderr.count("resuming after step 2 of 3") == 1
    one, other = ((tmp_path / name / weights.MOTION).read_bytes() for name in "ab")
    assert one == other
    # Asked to stop, one of them is enough: both leave after the same step, which is saved.
    done = launched(place, tmp_path / "c", "stop", status=1)
    assert done.stderr.count("stopped by SIGTERM after step 2 of 3; the checkpoint is saved") == 1
    again = launched(place, tmp_path / "c")
    assert again.stderr.count("resuming after step 2 of 3") == 1
    assert (tmp_path / "c" / weights.MOTION).read_bytes() == one


def test_command(place, tmp_path):
    out = tmp_path / "out"
    command = ["mvvideo", "train", str(place / "data"), "--out", str(out), "--cpu"]
    command += ["--profile", str(place / "tiny.yaml")]
    command += ["--settings-json", settings().model_dump_json(), "--set", "train.steps=1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert f"{out}: 1 steps of 1 clips" in done.stdout
    (tmp_path / "own.yaml").write_text(done.stdout.partition("\n\n")[2])
    profile = load_profile(tmp_path / "own.yaml")
    assert profile.entry("multi-view-video").model == str(out)
    assert profile.locations("multi-view-video").keys() == {"folder", "base", "image_prompt"}
    listed = CliRunner().invoke(app, ["mvvideo", "train", "--list-settings"])
    assert "drop_both=0.05" in listed.stdout and "train.steps=" in listed.stdout


def test_what_cannot_be_is_told_in_a_sentence(place, tmp_path):
    def told(data="data", out="out", profile=place / "tiny.yaml", **values):
        with pytest.raises(UserError) as error:
            mvvideo_train.train(
                place / data, tmp_path / out, settings(**values), Models(profile), cpu=True
            )
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "build a dataset with `animate124 mvvideo build`" in told("nothing")
    (place / "empty").mkdir(exist_ok=True)
    (place / "empty" / mvvideo.MANIFEST).write_text("")
    assert "has no clips" in told("empty")
    assert "has 4 views, or a multiple, and 7 frames" in told(views=4, frames=7)
    assert "has 3 views" in told(views=3)
    assert "size 15 is no multiple of 2" in told(size=15)
    (tmp_path / "file").write_text("")
    assert "is a file" in told(out="file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    assert "holds other files" in told(out="full")
    text = (place / "tiny.yaml").read_text()
    (tmp_path / "absent.yaml").write_text(text.replace("/mvdream", "/nowhere"))
    assert "is absent" in told(profile=tmp_path / "absent.yaml")
    assert "`animate124 zoo train multi-view-video`" in told(profile="nano")
    with pytest.raises(UserError, match="drop_text"):
        parse(MvVideoTrainSettings, ["drop_text=0.9"])
    assert not list(tmp_path.glob("out*"))
