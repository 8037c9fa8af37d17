"""Time slices that learn a carried scene, and the motion that is found for it, at tiny size."""

from pathlib import Path

import pytest
import torch
import yaml
from egg import SIZE, picture

from animate124 import training
from animate124.fields.build import build_field, with_time
from animate124.fields.store import load_field
from animate124.media.images import read_image, write_png
from animate124.priors.multiview_video import MultiViewVideo
from animate124.settings.base import parse
from animate124.settings.dynamic import DynamicSettings
from animate124.settings.field import FieldSettings
from animate124.settings.static import StaticSettings
from animate124.stages import carried_motion
from animate124.stages.carry_task import CarryTask, _apart
from animate124.stages.dynamic import dynamic
from animate124.stages.finished_field import open_field
from animate124.stages.models import Models
from animate124.stages.static import static as make_static

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config" / "presets" / "smoke.yaml").read_text())
FIELD = FieldSettings(
    levels=4, hidden=32, coarsest=4, finest=32, log2_size=14, occupancy_side=16, step=0.05
)
PROMPT = "a panda is dancing"


class Rising:
    """A red ball of radius 0.4, at moment k of 4 at the height 0.2·k."""

    def __len__(self):
        return 4

    def places(self, k, count, generator):
        anywhere = torch.rand(count, 3, generator=generator) * 2 - 1
        about = 0.3 * torch.randn(count, 3, generator=generator) + torch.tensor([0, 0.2 * k, 0])
        return torch.cat([anywhere, about]).clamp(-1, 1)

    def query(self, k, points):
        inside = (points - torch.tensor([0, 0.2 * k, 0])).norm(dim=1) < 0.4
        return inside * 50.0, torch.tensor([0.9, 0.1, 0.1]).expand(len(points), 3)


def shared():
    """A static field that learnt moment 0, as a scene's own."""
    field, _ = build_field(FIELD, 1, False, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(field.parameters(), lr=0.03)
    generator, scene = torch.Generator().manual_seed(1), Rising()
    for _ in range(200):
        points = scene.places(0, 1000, generator)
        density, colour = scene.query(0, points)
        truth = 1 - torch.exp(-0.04 * density)
        alpha, shown = hides(field, 0, points)
        loss = (alpha - truth).square().mean() + (truth[:, None] * (shown - colour).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return field


def task(*more):
    chosen = parse(
        DynamicSettings,
        {"slices": 4, "rays": 16, "subsamples": 1, "size": SIZE, "rgb": 0, "alpha": 0, "spread": 0},
        ["carry.steps=400", "carry.points=1000", "carry.lr=0.05", *more],
    )
    field, occupancy = with_time(shared(), FIELD, 4, chosen.loop)
    return CarryTask(picture(), field, occupancy, FIELD.step, chosen, Rising())


def test_the_slice_that_is_right_already_learns_slowly():
    first, others = task().parameters()
    assert [name for name, _ in first["params"]] == ["grid.slices.0"]
    assert [name for name, _ in others["params"]] == [f"grid.slices.{k}" for k in (1, 2, 3)]
    assert (first["lr"], others["lr"]) == (pytest.approx(0.005), 0.05)


def test_what_is_asked_is_looked_up_once_for_every_slice():
    some, again, other = (
        task("carry.pool=2500", f"train.seed={seed}", "train.steps=1").pools for seed in (0, 0, 1)
    )
    assert len(some) == 4
    for k, (points, density, colour) in enumerate(some):
        # Two draws of a thousand, of which `Rising` makes twice as many.
        assert points.shape == (4000, 3) and not torch.equal(points[:2000], points[2000:])
        inside = (points - torch.tensor([0, 0.2 * k, 0])).norm(dim=1) < 0.4
        assert torch.equal(density, inside * 50.0) and inside.float().mean() > 0.1
        assert torch.equal(colour, torch.tensor([0.9, 0.1, 0.1]).expand(4000, 3))
        assert torch.equal(points, again[k][0]) and not torch.equal(points, other[k][0])


def hides(field, k, points):
    """How much 0.04 of the field's density hides at moment k of 4, and its colours."""
    time = torch.tensor([k / (4 if field.grid.loop else 3)])
    starts = torch.tensor([0, len(points)])
    density, colour = field.query(points / 2 + 0.5, time, starts)
    return 1 - torch.exp(-0.04 * density), colour


@torch.no_grad()
def error(field, k):
    """Mean squared difference of what 0.04 hides, around moment k's ball and anywhere."""
    points = Rising().places(k, 2000, torch.Generator().manual_seed(9))
    truth = 1 - torch.exp(-0.04 * Rising().query(k, points)[0])
    return (hides(field, k, points)[0] - truth).square().mean().item()


@pytest.mark.parametrize("loop", [True, False])
def test_every_slice_learns_its_own_moment(tmp_path, loop):
    made = task(f"loop={loop}")
    unmoved = [error(made.field, k) for k in range(4)]
    assert unmoved[0] < 0.01 < 0.04 < unmoved[1]
    before = {n: p.detach().clone() for n, p in made.field.named_parameters()}
    assert made.settings.train.steps == 400 and made.settings.lr == made.settings.carry.lr
    training.run(made, made.settings.train, tmp_path, "x")
    after = [error(made.field, k) for k in range(4)]
    assert all(after[k] < 0.6 * unmoved[k] for k in (2, 3)) and max(after) < 0.1
    for name, parameter in made.field.named_parameters():
        assert torch.equal(parameter, before[name]) == (not name.startswith("grid.slices")), name


def test_differences_of_densities_by_hand():
    # On the logarithm from 0.5 to 200, of 1/400 = e^-5.99: 10 lies at a half.
    ours = torch.tensor([0.5, 0.1, 200.0, 999.0, 10.0, 10.0, 0.0])
    truth = torch.tensor([0.0, 0.0, 300.0, 200.0, 0.5, 200.0, 10.0])
    found = _apart(ours, truth)
    assert found[:6].tolist() == pytest.approx([0, 0, 0, 0, 0.5, -0.5], abs=1e-6)
    assert found[6] < -10  # however clear: it has to become dense, and has a gradient


def test_as_many_moments_as_slices():
    with pytest.raises(ValueError, match="4 moments for 5 slices"):
        chosen = parse(DynamicSettings, {"slices": 5})
        static, _ = build_field(FIELD, 1, False)
        CarryTask(picture(), *with_time(static, FIELD, 5, True), 0.05, chosen, Rising())


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A picture's folder with a static field that shows something."""
    folder = tmp_path_factory.mktemp("scene")
    image = read_image(ROOT / "config" / "inputs" / "panda.png")[::4, ::4]
    write_png(folder / "preprocess" / "rgba.png", image)
    chosen = parse(
        StaticSettings, SMOKE["static"], ["train.steps=60", "novel_view=0", "field.blob=5"]
    )
    make_static(folder / "preprocess", folder / "static", chosen, Models("nano"), "a panda")
    return folder


def settings(*more):
    return parse(DynamicSettings, SMOKE["dynamic"], ["train.checkpoint_seconds=0", *more])


def move(scene, out, *more):
    return dynamic(
        scene / "static", scene / "preprocess", out, settings(*more), Models("nano"), PROMPT
    )


def test_motion_found_in_clips_is_carried_and_a_stopped_run_ends_the_same(
    scene, tmp_path, monkeypatch
):
    whole = move(scene, tmp_path / "whole")
    assert whole["source"] == "multi-view" and len(whole["candidates"]) == 1
    assert whole["steps"] == settings().carry.steps
    assert whole["amplitude"] > 0 and {"amplitude", "agreement"} <= set(whole["candidates"][0])
    roles = {use["role"] for use in whole["priors"]}
    assert {"multi-view-video", "matting", "embedding"} <= roles and "text-to-video" not in roles
    field, _ = load_field(tmp_path / "whole" / "field.safetensors")
    assert len(field.grid.slices) == 4
    left = {p.suffix for p in (tmp_path / ".whole.work").rglob("*") if p.is_file()}
    assert left <= {".jsonl"}  # nothing to resume

    original, steps, sampled = training._Loop._step, [], []
    sample = MultiViewVideo.sketch
    monkeypatch.setattr(
        MultiViewVideo,
        "sketch",
        lambda self, *a, **k: sampled.append(1) or sample(self, *a, **k),
    )

    def stopped(self, step):
        steps.append((self.task.name, step))
        if len(steps) in (3, 9):
            raise KeyboardInterrupt
        return original(self, step)

    monkeypatch.setattr(training._Loop, "_step", stopped)
    for _ in range(2):  # while the motion is searched for, and while the slices learn
        with pytest.raises(KeyboardInterrupt):
            move(scene, tmp_path / "parts")
        assert not (tmp_path / "parts").exists()
    assert move(scene, tmp_path / "parts")["resumed_from"] == 3
    tracking = [("reconstruct", k) for k in (0, 1, 2, 2, 3)]
    assert steps == tracking + [("dynamic", k) for k in (0, 1, 2, 3, 3)]
    assert len(sampled) == 1
    one, other = (tmp_path / n / "field.safetensors" for n in ("whole", "parts"))
    assert one.read_bytes() == other.read_bytes()


def test_who_moves_it(scene):
    nano = Models("nano")
    bare = Models("animate124")  # names no multi-view video model
    assert carried_motion.wanted(settings(), nano)
    assert not carried_motion.wanted(settings(), bare)
    assert not carried_motion.wanted(settings("source=video"), nano)
    assert carried_motion.wanted(settings("source=multi-view"), bare)


def test_the_stills_are_what_the_scene_shows_the_first_as_the_picture(scene):
    opened = open_field(scene / "static")
    stills = carried_motion.surroundings(opened, settings(), 32)
    assert stills.pictures.shape == (4, 4, 32, 32)
    assert stills.azimuth.tolist() == [0, 90, 180, 270]
    white = opened.images(stills.cameras.c2w[:1], torch.zeros(1), 32, supersample=2)["rgb"][0]
    shown = stills.shown()[0].permute(1, 2, 0)
    torch.testing.assert_close(shown, white, atol=1e-4, rtol=0)
