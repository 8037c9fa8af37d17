"""Motions: bounds, period, smoothness, size, and a few poses worked out by hand."""

import numpy as np
import pytest

from animate124.toybox.bounds import bounding_points
from animate124.toybox.characters import SPECIES, motions_of, perform, sample_character, sample_clip
from animate124.toybox.figure import PLANS, Body, bump, hold, late, swell, wave
from animate124.toybox.motions import MOTIONS, PLAN_MOTIONS, Motion, Style, sample_style
from animate124.toybox.rig import pose_matrices

ONE_OF_EACH_PLAN = {species.plan: name for name, species in SPECIES.items()}
FRAMES = tuple(k / 8 for k in range(8))


def _moved(clip, times) -> np.ndarray:
    """Surface points [T, P, K, 3] at times."""
    points, joints = bounding_points(clip.rig)
    world = pose_matrices(clip.rig, [clip.pose(float(t)) for t in times])[:, joints]
    return points @ world[..., :3, :3].swapaxes(-1, -2) + world[..., None, :3, 3]


def _posed(species: str, motion: str, t: float, **style):
    return perform(sample_character(1, species), motion, Style(**style)).pose(t).joints


def test_there_are_enough_motions_and_all_are_used():
    assert len(MOTIONS) >= 12
    assert set(PLAN_MOTIONS) == set(PLANS) == set(ONE_OF_EACH_PLAN)
    used = {motion for species in SPECIES for motion in motions_of(species)}
    assert used == set(MOTIONS)
    for species in SPECIES:
        names = motions_of(species)
        assert len(names) >= 8 and len(set(names)) == len(names)


@pytest.mark.parametrize("species", SPECIES)
def test_every_motion_stays_in_frame_loops_and_moves_visibly(species):
    for motion in motions_of(species):
        for seed in range(3):
            clip = sample_clip(seed, species, motion)
            assert clip.loop and clip.pose(0.0) == clip.pose(1.0)
            moved = _moved(clip, (np.arange(17) + 0.3) / 17.3)  # not the times that perform() tries
            assert np.linalg.norm(moved, axis=-1).max() <= 0.68
            travel = np.linalg.norm(moved - moved[:1], axis=-1).max()
            # 0.08 is more than three pixels of a 64 x 64 picture.
            assert travel > 0.08, f"{species} {motion} seed {seed} moves only {travel:.3f}"


@pytest.mark.parametrize("plan", PLANS)
def test_motions_are_smooth_and_pass_through_rest(plan):
    species = ONE_OF_EACH_PLAN[plan]
    character = sample_character(2, species)
    step = 1e-4
    grid = np.arange(100) / 100  # holds every start and end of a bump
    for motion in motions_of(species):
        clip = perform(character, motion, Style(1.15))
        points, _ = bounding_points(clip.rig)
        assert _moved(clip, (0.0,))[0] == pytest.approx(points, abs=1e-9), motion
        before, here, after = (_moved(clip, (grid + d) % 1.0) for d in (-step, 0.0, step))
        # A kink would leave a jump of velocity here that does not shrink with the step.
        kink = np.linalg.norm(after - 2 * here + before, axis=-1).max() / step
        assert kink < 0.05, f"{species} {motion}: velocity jumps by {kink:.3f}"


@pytest.mark.parametrize("species", ["panda", "fox", "penguin", "octopus", "cactus"])
def test_motions_differ_from_one_another_in_eight_frames(species):
    character = sample_character(4, species)
    names = motions_of(species)
    clips = [perform(character, name, Style()) for name in names]
    tracks = [_moved(clip, FRAMES) for clip in clips]
    for i, a in enumerate(tracks):
        for j in range(i):
            apart = np.sqrt(((a - tracks[j]) ** 2).sum(-1).mean())
            assert apart > 0.02, f"{species}: {names[i]} looks like {names[j]} ({apart:.3f})"


def test_easing_curves_by_hand():
    assert (wave(0.25), swell(0.5), hold(0.5)) == pytest.approx((1.0, 1.0, 1.0))
    assert (wave(0.125, 2), swell(0.25), hold(0.25)) == pytest.approx((1.0, 0.5, 1 - 0.5**4))
    assert late(0.0, 0.2) == pytest.approx(0.0)
    assert late(0.5, 0.25) == pytest.approx(1.0)  # sin(2π(0.5 − 0.25)), eased only near u = 0
    assert [bump(u, 0.2, 0.6) for u in (0.1, 0.4, 0.3, 0.7)] == pytest.approx([0, 1, 0.5, 0])


def test_waving_lifts_the_left_arm_and_mirrored_the_right():
    left = _posed("panda", "waving", 0.5)
    assert left["arm.l"].rotation == pytest.approx((0.0, 0.0, 128.0))
    assert left["arm.r"].rotation == pytest.approx((0.0, 0.0, -8.0))
    right = _posed("panda", "waving", 0.5, mirror=True)
    assert right["arm.r"].rotation == pytest.approx((0.0, 0.0, -128.0))
    clip = perform(sample_character(1, "panda"), "waving", Style())
    names = [part.name for part in clip.rig.parts]
    hand = _moved(clip, (0.5,))[0, names.index("hand.l")].mean(axis=0)
    head = clip.rig.parts[names.index("head")]
    assert hand[0] > 0.1 and hand[1] > head.position[1]


def test_four_legs_walk_in_diagonal_pairs():
    pose = _posed("fox", "walking", 0.25)
    ahead = [pose[name].rotation[0] for name in ("foreleg.l", "hindleg.r")]
    back = [pose[name].rotation[0] for name in ("foreleg.r", "hindleg.l")]
    # −x swings a hanging leg towards +z, the way the fox faces.
    assert ahead == pytest.approx([-46.0, -46.0]) and back == pytest.approx([46.0, 46.0])


def test_spinning_and_driving_turn_evenly():
    assert _posed("robot", "spinning", 0.25)["root"].rotation[1] == pytest.approx(90.0)
    assert _posed("car", "driving", 0.75)["wheel.l"].rotation[0] == pytest.approx(270.0)


def test_jumping_keeps_the_volume_and_rises_when_stretched():
    for t in FRAMES:
        sx, sy, sz = _posed("bear", "jumping", t)["root"].scale
        assert sx * sy * sz == pytest.approx(1.0)
    top = _posed("bear", "jumping", 0.51)["root"]
    low = _posed("bear", "jumping", 0.17)["root"]
    assert top.translation[1] > 0.1 > 0.0 > low.translation[1]
    assert top.scale[1] > 1.05 > 0.9 > low.scale[1]


def test_cycles_and_phase_are_the_clips_clock():
    body = Body("upright", frozenset({"root", "head"}))
    seen = []
    clock = Motion("clock", "ticks", lambda figure, u, a: seen.append((u, a)))
    clock.pose(body, 0.3, Style(0.9, cycles=2, phase=0.75))
    assert seen[0] == pytest.approx((0.35, 0.9))
    with pytest.raises(ValueError, match="unknown body plan 'snake'"):
        Body.of(sample_character(0, "bear").rig, "snake")


def test_sampled_styles_stay_in_their_ranges():
    rng = np.random.default_rng(1)
    styles = [sample_style(rng, MOTIONS["walking"]) for _ in range(400)]
    assert all(0.85 <= s.amplitude <= 1.15 and 0.0 <= s.phase < 1.0 for s in styles)
    assert {s.cycles for s in styles} == {1, 2}
    # Half of all clips start at rest: 200 of 400, standard deviation 10.
    assert 160 <= sum(s.phase == 0.0 for s in styles) <= 240
    assert 160 <= sum(s.mirror for s in styles) <= 240
