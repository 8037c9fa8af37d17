"""Stage reconstruct: a known motion is found again (acceptance check 10), to the byte."""

import json
import math
import shutil

import pytest
import torch
from gaussian_samples import motion_of, sphere
from motion_scene import cameras, truth, write_scene
from toybox_samples import ball, clip_of, sliding

from animate124 import training
from animate124.errors import UserError
from animate124.gaussians import store
from animate124.media.images import read_image
from animate124.render.splat import render_images, splat_images
from animate124.settings.base import parse
from animate124.settings.reconstruct import ReconstructSettings
from animate124.stages.motion_stage import OUTPUTS
from animate124.stages.multiview import read_clips, read_views
from animate124.stages.reconstruct import reconstruct
from animate124.stages.reconstruct_task import ReconstructTask, joining_order
from animate124.toybox.rig import Paint

SIZE, FRAMES = 32, 3
TINY = (
    *("gaussians=500", f"size={SIZE}", "appearance=15", "frames_per_step=2", "motion.nodes=16"),
    *("train.steps=75", "lr=0.03", "train.log_every=1"),
)
SHIFT = (0.18, 0.12, -0.1)


def slide():
    """A spotted ball that slides by SHIFT and does not come back."""
    spots = Paint((0.9, 0.8, 0.2), (0.2, 0.3, 0.8), "checks", scale=0.2)
    return clip_of(ball((0.25, 0.3, 0.2), paint=spots), pose=sliding(*SHIFT), loop=False)


def settings(*more):
    return parse(ReconstructSettings, [*TINY, *more])


def run(folder, out, *more, **options):
    places = (folder / name for name in ("intake", "views", "generate"))
    return reconstruct(*places, out, settings(*more), **options)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = write_scene(tmp_path_factory.mktemp("scene"), slide(), FRAMES, SIZE)
    run(folder, folder / "reconstruct")
    return folder


def test_a_known_motion_is_found(scene):
    cloud, motion = store.load(scene / "reconstruct" / "gaussians.safetensors")
    with torch.no_grad():
        moved = motion.frames(cloud, torch.tensor([0.0, 0.5, 1.0]))[0]
    assert torch.equal(moved[0], cloud.positions)
    way = (moved - cloud.positions).mean(1)
    torch.testing.assert_close(way[2], torch.tensor(SHIFT), atol=0.012, rtol=0)
    torch.testing.assert_close(way[1], torch.tensor(SHIFT) / 2, atol=0.012, rtol=0)
    # The ball keeps its shape: no point is far from the common shift.
    assert (moved[2] - cloud.positions - way[2]).norm(dim=1).quantile(0.9) < 0.05


def test_sides_that_no_clip_shows_are_right_too(scene):
    cloud, motion = store.load(scene / "reconstruct" / "gaussians.safetensors")
    unseen = truth(slide(), FRAMES, SIZE, (45.0,))[0, -1]
    camera = cameras(SIZE, (45.0,))
    errors = {}
    for name, time in (("result", 1.0), ("rest", 0.0)):
        seen = render_images(cloud, motion, torch.tensor([time]), camera, background=0.0)
        errors[name] = (seen["rgb"][0].permute(2, 0, 1) - unseen[:3]).square().mean().item()
    assert errors["result"] < 0.15 * errors["rest"]


def test_the_folder_holds_the_cloud_a_sheet_and_the_record(scene):
    folder = scene / "reconstruct"
    assert {p.name for p in folder.iterdir()} == set(OUTPUTS)
    found = json.loads((folder / "stage.json").read_text())
    assert found["stage"] == "reconstruct" and found["frames"] == FRAMES and not found["loop"]
    assert set(found["losses"]) == {"rgb", "mask", "arap", "growth", "smooth"}
    assert set(found["inputs"]) == {"asset", "cameras", "clips"}
    # Rest, half way and the whole way: the root mean square of 0, |SHIFT|/2 and |SHIFT|.
    length = torch.tensor(SHIFT).norm().item()
    assert found["amplitude"] == pytest.approx(length * (1.25 / 3) ** 0.5, abs=0.015)
    assert found["gaussians"] == pytest.approx(500, rel=0.1) and found["arap"] < 0.02
    assert read_image(folder / "sheet.png").shape[1] > FRAMES * SIZE
    assert not any((scene / ".reconstruct.work").glob("*.safetensors"))


@pytest.mark.parametrize("kind", ["keys", "planes"])
def test_killed_and_run_again_it_ends_with_the_same_bytes(scene, tmp_path, monkeypatch, kind):
    changes = "train.steps=8", "appearance=3", "train.checkpoint_seconds=0", f"motion.kind={kind}"
    run(scene, tmp_path / "whole", *changes)
    step = training._Loop._step

    def killed(loop, number):
        if number == 5:
            raise KeyboardInterrupt
        return step(loop, number)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(scene, tmp_path / "broken", *changes)
    assert not (tmp_path / "broken").exists()
    record = run(scene, tmp_path / "broken", *changes)
    assert record["resumed_from"] == 5
    one, two = (tmp_path / n / "gaussians.safetensors" for n in ("whole", "broken"))
    assert one.read_bytes() == two.read_bytes()


def test_frame_0_of_the_clips_is_the_view_itself(scene):
    views = read_views(scene / "views")
    clips, loop = read_clips(scene / "generate", views, 16)
    assert clips.shape == (4, FRAMES, 4, 16, 16) and not loop
    torch.testing.assert_close(clips[:, 0], views.pictures(16))
    assert (clips[:, :, :3] <= clips[:, :, 3:] + 1e-6).all()  # premultiplied


def test_frames_join_outwards_from_rest():
    assert joining_order(4, loop=False) == [1, 2, 3]
    assert joining_order(5, loop=True) == [1, 4, 2, 3]
    assert joining_order(4, loop=True) == [1, 3, 2]


def shown(cloud, motion):
    """What a motion shows at its frames: clips [4, F, 4, S, S]."""
    count = motion.keyframes
    views = cameras(SIZE)
    every = views[torch.arange(4).repeat_interleave(count)]
    state = motion.frames(cloud, motion.times())
    seen = splat_images(cloud, state, torch.arange(count).repeat(4), every)[..., :4]
    return seen.detach().permute(0, 3, 1, 2).unflatten(0, (4, count))


def test_a_frame_that_joins_starts_from_the_best_pose_there_is():
    chosen = settings("train.steps=100", "appearance=20", "reveal=0.5")
    cloud = sphere(80)
    right = motion_of(cloud, 5, loop=True)
    with torch.no_grad():  # frames 1 and 2 to one side, frames 3 and 4 to the other
        for k, way in ((1, 0.2), (2, 0.2), (3, -0.2), (4, -0.2)):
            right.shift.keys[k - 1][0, 0] = way
    task = ReconstructTask(cloud, shown(cloud, right), cameras(SIZE), True, chosen)
    # 40 of 80 steps for four frames: one at once, the others 40/3 steps apart.
    assert [task.joined(s) for s in (19, 20, 33, 34, 46, 47, 59, 60, 99)] == [
        0, 1, 1, 2, 2, 3, 3, 4, 4,
    ]  # fmt: skip
    with torch.no_grad():
        task.motion.shift.keys[0][0, 0] = 0.2
    task.before_step(34)  # frame 4: the reverse of frame 1
    assert task.motion.shift.keys[3].tolist() == [[pytest.approx(-0.2), 0.0, 0.0]]
    task.before_step(47)  # frame 2: as frame 1
    assert task.motion.shift.keys[1].tolist() == [[pytest.approx(0.2), 0.0, 0.0]]
    assert 2 in task._chosen(47) and 3 not in task._chosen(47)
    with torch.no_grad():
        task.motion.shift.keys[0].zero_()  # frame 1 was lost again
    task.before_step(60)  # all have joined: it finds its way back
    assert task.motion.shift.keys[0][0, 0].item() == pytest.approx(0.2)


def test_a_turn_that_is_too_far_for_a_gradient_is_searched_for():
    cloud = sphere(300)
    right = motion_of(cloud, 3, loop=False)
    half = math.radians(135) / 2
    with torch.no_grad():
        right.turn.keys[0][0] = torch.tensor([math.cos(half) - 1, 0.0, math.sin(half), 0.0])
        right.shift.keys[0][0] = torch.tensor([0.1, -0.15, 0.05])
    task = ReconstructTask(cloud, shown(cloud, right), cameras(SIZE), False, settings())
    task.search_turn(1)
    torch.testing.assert_close(task.motion.turn.keys[0], right.turn.keys[0].detach())
    torch.testing.assert_close(
        task.motion.shift.keys[0], right.shift.keys[0].detach(), atol=0.01, rtol=0
    )
    task.search_turn(2)  # frame 2 rests: nothing to turn
    assert (task.motion.turn.keys[1] == 0).all()


def test_wrong_folders_are_one_sentence(scene, tmp_path):
    def broken(name, change):
        folder = tmp_path / name
        shutil.copytree(scene, folder)
        change(folder)
        with pytest.raises(UserError) as error:
            run(folder, folder / "out")
        assert not (folder / "out").exists()
        return str(error.value)

    assert "stage.json is missing" in broken(
        "a", lambda f: (f / "generate" / "stage.json").unlink()
    )
    assert "tells of no clips" in broken(
        "b", lambda f: shutil.copy(f / "views" / "stage.json", f / "generate" / "stage.json")
    )
    assert "is damaged" in broken("c", lambda f: (f / "views" / "cameras.json").write_text("{}"))
    missing = "frames/view_1_frame_01.png"
    assert missing in broken("d", lambda f: (f / "generate" / missing).unlink())
    record = {"stage": "generate", "views": 3, "frames": 3, "loop": False}
    assert "have 3 views" in broken(
        "e", lambda f: (f / "generate" / "stage.json").write_text(json.dumps(record))
    )
