"""Stage `generate`, on tiny models: files, choice, mattes, and going on after a kill."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_priors
import torch
import yaml
from typer.testing import CliRunner

from animate124.cli import app
from animate124.errors import UserError
from animate124.media.files import write_json
from animate124.media.images import read_image, write_png
from animate124.media.tensors import save_tensors
from animate124.priors.multiview_video import MultiViewVideo
from animate124.priors.mvvdm.network import MultiViewUNet
from animate124.priors.mvvdm.weights import WEIGHTS
from animate124.settings.generate import GenerateSettings
from animate124.stages import generate as stage
from animate124.stages import multiview_clips
from animate124.stages.generate_choice import Merit
from animate124.stages.generate_matte import mattes
from animate124.stages.models import Models
from animate124.stages.multiview import read_clips, read_views
from animate124.stages.multiview_clips import Stills, best_clips, judged

SETTINGS = GenerateSettings(frames=3, steps=2, candidates=2, guidance=2.0)
PROMPT = "panda"


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A profile with our own layout's model alone: no matting, no embedder."""
    folder = tmp_path_factory.mktemp("profile")
    tiny_priors.text_to_image(folder / "base", "v_prediction", zero=True)
    torch.manual_seed(3)
    net = MultiViewUNet(8, 4, (8, 16), 1, (1,), (1,), 2, 2, tiny_priors.WIDTH, 0, 4, 4)
    place = folder / "model" / "unet"
    place.mkdir(parents=True)
    net.save_config(place)
    save_tensors(place / WEIGHTS, net.state_dict(), kind="multi-view-video", version=1)
    tiny_priors.scheduler("v_prediction", zero=True).save_pretrained(folder / "model/scheduler")
    common = {"source": "folder", "licence": "MIT", "allow_patterns": ["*.safetensors"]}
    roles = {
        "text-to-image": {"model": str(folder / "base"), **common},
        "multi-view-video": {
            "model": str(folder / "model"), **common, "components": {"base": "text-to-image"},
        },
    }  # fmt: skip
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({"about": "tiny", "roles": roles}))
    return path


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """Discs of other colours from two sides."""
    folder = tmp_path_factory.mktemp("scene") / "views"
    folder.mkdir()
    x = np.linspace(-1, 1, 32)
    alpha = (x[:, None] ** 2 + x[None] ** 2 < 0.4).astype(np.float32)
    for k, colour in enumerate(((0.8, 0.2, 0.2), (0.2, 0.2, 0.8))):
        image = np.concatenate([np.broadcast_to(colour, (32, 32, 3)), alpha[..., None]], -1)
        write_png(folder / f"view_{k}.png", image.astype(np.float32))
    angles = {"azimuth": [0.0, 90.0], "elevation": [15.0, 15.0], "radius": 2.2, "fov_y": 40.0}
    write_json(folder / "cameras.json", angles | {"version": 1, "size": 32, "background": 1.0})
    write_json(folder / "stage.json", {"stage": "views"})
    return folder


def made(profile, views, out, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return stage.generate(views, out, settings, Models(profile), PROMPT)


def test_what_it_writes_can_be_taken_up(profile, views, tmp_path):
    out = tmp_path / "generate"
    record = made(profile, views, out)
    assert sorted(p.name for p in out.iterdir()) == sorted(stage.OUTPUTS)
    assert len(list((out / "frames").iterdir())) == 2 * 3
    assert (record["views"], record["frames"], record["loop"]) == (2, 3, True)
    scores = [c["score"] for c in record["candidates"]]
    assert len(scores) == 2 and record["chosen"] == scores.index(max(scores))
    assert {p["role"] for p in record["priors"]} >= {"multi-view-video"}
    clips, loop = read_clips(out, read_views(views), 16)
    assert clips.shape == (2, 3, 4, 16, 16) and loop
    first = read_image(out / "frames/view_1_frame_00.png")
    assert first.shape == (16, 16, 4)
    assert first[8, 8] == pytest.approx([0.2, 0.2, 0.8, 1.0], abs=0.01)  # the view itself
    assert first[0, 0, 3] == 0.0
    assert not (tmp_path / ".generate.work").exists()
    again = made(profile, views, out)  # over its own results
    assert again["candidates"] == record["candidates"]


def test_a_killed_run_goes_on_to_the_same_files(profile, views, tmp_path, monkeypatch):
    made(profile, views, tmp_path / "whole")
    calls, real = [], MultiViewVideo.sketch

    def dies(self, condition, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, condition, **options)

    monkeypatch.setattr(MultiViewVideo, "sketch", dies)
    with pytest.raises(KeyboardInterrupt):
        made(profile, views, tmp_path / "killed")
    assert not (tmp_path / "killed").exists() or not list((tmp_path / "killed").iterdir())
    made(profile, views, tmp_path / "killed")
    assert len(calls) == 3  # the first candidate was not made again
    for path in (tmp_path / "whole" / "frames").iterdir():
        assert path.read_bytes() == (tmp_path / "killed" / "frames" / path.name).read_bytes()


def test_only_the_best_of_several_sketches_is_finished(profile, views, tmp_path, monkeypatch):
    """With the clips that it would have had if all had been finished."""
    finished, real = [], MultiViewVideo.finish

    def counted(self, condition, sketch, *given, **options):
        finished.append(sketch)
        return real(self, condition, sketch, *given, **options)

    monkeypatch.setattr(MultiViewVideo, "finish", counted)
    changes = {"steps": 4, "candidates": 3, "unguided": 0.7}
    early = made(profile, views, tmp_path / "early", judged_at=0.65, **changes)
    assert [len(sketch.left) for sketch in finished] == [2] and len(early["candidates"]) == 3
    late = made(profile, views, tmp_path / "late", **changes)
    assert [len(sketch.left) for sketch in finished] == [2, 0]
    assert early["candidates"] != late["candidates"]
    monkeypatch.setattr(multiview_clips, "judged", lambda made, *_: (early["chosen"], []))
    made(profile, views, tmp_path / "same", **changes)
    for path in (tmp_path / "early" / "frames").iterdir():
        assert path.read_bytes() == (tmp_path / "same" / "frames" / path.name).read_bytes()


def test_another_sentence_does_not_go_on_from_it(profile, views, tmp_path):
    work = tmp_path / "work"
    condition_of = []

    def counted(calls, real, *given, **options):
        calls.append(1)
        return real(*given, **options)

    settings = SETTINGS.model_copy(update={"candidates": 1})
    for mark in ("a", "b", "b"):
        models = Models(profile)
        model = models.multi_view_video
        found = read_views(views)
        stills = Stills(
            torch.rand(2, 4, 16, 16, generator=torch.Generator().manual_seed(0)),
            found.azimuth, found.elevation, found.cameras(16), found.background,
        )  # fmt: skip
        calls = []
        model.sketch = partial(counted, calls, model.sketch)
        best_clips(models, stills, PROMPT, settings, 3, 0, work, mark)
        condition_of.append(len(calls))
    assert condition_of == [1, 1, 0]


def test_strange_files_in_the_folder_are_not_touched(profile, views, tmp_path):
    out = tmp_path / "generate"
    (out / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds other files \('mine'\)"):
        made(profile, views, out)


def test_merit():
    moving, still = Merit(0.5, 0.5, 0.04, 0.9), Merit(0.9, 1.0, 0.0, 1.0)
    assert moving.score == pytest.approx(0.009) and still.score == 0.0
    assert Merit(None, None, 0.04, 0.9).score == pytest.approx(0.036)
    assert Merit(-0.3, 1.0, 0.04, 1.0).score == pytest.approx(0.0004)
    assert Merit(1.0, 0.0, 0.04, 1.0).score == pytest.approx(0.0004)
    assert moving.record() == {
        "likeness": 0.5, "performed": 0.5, "amplitude": 0.04, "agreement": 0.9, "score": 0.009,
    }  # fmt: skip


class Actions:
    """Takes dark clips for dancing and bright ones for nodding."""

    def probabilities(self, clips, among):
        bright = clips.flatten(1).mean(1)
        shares = {"dancing": 1 - bright, "nodding": bright}
        return torch.stack([shares.get(name, 0 * bright) for name in among], 1)


@pytest.mark.parametrize(("sentence", "best"), [("a panda is dancing", 1), ("a cat is nodding", 0)])
def test_the_clips_that_do_as_told_are_chosen(sentence, best, views):
    """Of two candidates that differ in nothing else."""
    found = read_views(views)
    stills = Stills(found.pictures(16), found.azimuth, found.elevation, found.cameras(16), 0.5)
    bright = torch.full((2, 4, 3, 16, 16), 0.7)
    bright[:, 1::2] += 0.1
    models = SimpleNamespace(
        language="toybox", has=lambda role: role != "embedding", action_recognition=Actions()
    )
    chosen, merits = judged([bright, 1.0 - bright], stills, sentence, models)
    assert chosen == best and merits[0].amplitude == pytest.approx(merits[1].amplitude)
    assert sorted(m.performed for m in merits) == pytest.approx([0.25, 0.75], abs=0.01)
    models.language = "photo"  # whose sentences no closed list of actions fits
    assert all(m.performed is None for m in judged([bright], stills, sentence, models)[1])


def test_mattes_before_a_plain_backdrop():
    y, x = np.mgrid[0:24, 0:24]
    clip, truth = np.ones((4, 24, 24, 3), np.float32), np.zeros((4, 24, 24), np.float32)
    for k in range(4):
        inside = (x - 8 - 2 * k) ** 2 + (y - 12) ** 2 < 30
        clip[k][inside], truth[k] = (0.9, 0.3, 0.2), inside
    for steady in (0.0, 0.04):
        found = mattes(clip, truth[0], None, steady)
        assert np.array_equal(found[0], truth[0])
        assert np.abs(found - truth).mean() < 0.01
    # Where nothing changed, what is known of frame 0 counts most.
    clip[:] = clip[0]
    wrong = truth[0].copy()
    wrong[0, 0] = 1.0
    assert mattes(clip, wrong, None, 0.04)[2, 0, 0] == pytest.approx(4 / 7, abs=1e-3)


def test_command(profile, views, tmp_path):
    out = tmp_path / "generate"
    changes = ("frames=3", "steps=1", "candidates=1", "loop=false")
    wanted = [x for change in changes for x in ("--set", change)]
    command = ["generate", views, "--prompt", PROMPT, "--out", out, "--profile", profile]
    done = CliRunner().invoke(app, [*map(str, command), "--device", "cpu", *wanted])
    assert done.exit_code == 0, done.output
    assert "2 views of 3 frames, candidate 1 of 1" in done.output
    assert json.loads((out / "stage.json").read_text())["loop"] is False
    listed = CliRunner().invoke(app, ["generate", "--list-settings"])
    assert "candidates" in listed.output
