"""Truth images against analytic spheres, projections and box filters."""

import numpy as np
import pytest
import torch
from toybox_samples import GREEN, RED, ball, cameras, clip_of, doll, sliding

from animate124.geometry.cameras import forward, project, rays
from animate124.toybox.clip import Clip
from animate124.toybox.meshes import FINE
from animate124.toybox.render import render
from animate124.toybox.rig import JointPose, Paint, Part, Pose
from animate124.toybox.shade import GROUND, LAMP, LAMP_DIRECTION, SKY
from animate124.toybox.tracks import tracks

START = np.zeros(1)


def sphere_hits(views, radius, scale=(1.0, 1.0, 1.0)):
    """What pixel rays meet on an ellipsoid radius · scale at the origin, float64.

    Returns planar depth [V, H, W] (NaN where missed), points and unit normals [V, H, W, 3], and
    where the surface is less than 72° oblique to the ray [V, H, W]: at the rim chords are far off.
    """
    origin, direction = (x.double().numpy() for x in rays(views))
    axes = radius * np.asarray(scale)
    o, d = origin / axes, direction / axes
    a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
    with np.errstate(invalid="ignore"):
        s = (-b - np.sqrt(b * b - a * c)) / a
    points = origin + s[..., None] * direction
    normals = points / axes**2
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    along = (direction * forward(views.c2w).double().numpy()[:, None, None]).sum(-1)
    return s * along, points, normals, -(normals * direction).sum(-1) > 0.3


def angle(a, b):
    """Degrees between unit vectors [..., 3]."""
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


def test_sphere_depth_area_and_normals():
    views = cameras(0.0, 130.0, elevation=20.0, size=129)
    truth = render(clip_of(ball(0.4)), START, views)
    depth, _, normals, frontal = sphere_hits(views, 0.4)
    # The centre pixel's ray passes through the sphere's centre.
    assert truth.depth[0, 0, 64, 64, 0] == pytest.approx(2.2 - 0.4, abs=1e-3)
    # A sphere of radius r at distance D shows a disc of radius tan(asin(r / D)) at depth 1.
    pixel = 2 * np.tan(np.radians(20)) / 129
    area = np.pi * np.tan(np.arcsin(0.4 / 2.2)) ** 2 / pixel**2
    np.testing.assert_allclose(truth.alpha.sum(axis=(1, 2, 3, 4)), area, rtol=0.01)
    both = (truth.depth[:, 0, ..., 0] > 0) & ~np.isnan(depth)
    assert both.sum() > 0.98 * (~np.isnan(depth)).sum()
    inner = both & frontal
    off = truth.depth[:, 0, ..., 0][inner] - depth[inner]
    # Two crossing chords of at most FINE each, seen at up to 72° from the normal.
    assert off.min() > -1e-5 and off.max() < 2 * FINE / 0.3 and np.median(off) < 2 * FINE
    # A point that lies δ too deep on a ball of radius r has its normal turned by δ / r.
    wrong = angle(truth.normal[:, 0][inner], normals[inner])
    assert wrong.max() < np.degrees(2 * FINE / 0.3 / 0.4) and np.median(wrong) < 0.2
    np.testing.assert_allclose(np.linalg.norm(truth.normal[:, 0][both], axis=-1), 1, atol=1e-6)
    outside = truth.alpha[:, 0, ..., 0] == 0
    assert (truth.normal[:, 0][outside] == 0).all() and (truth.rgb[:, 0][outside] == 1).all()


@pytest.mark.parametrize("way", ["pose", "deform"])
def test_stretched_sphere_has_the_ellipsoids_normals(way):
    scale = (0.5, 1.2, 1.0)
    if way == "pose":
        clip = clip_of(ball(0.4), pose=lambda t: Pose({"root": JointPose(scale=scale)}))
    else:
        clip = clip_of(ball(0.4), deform=lambda v, t: v * scale)
    views = cameras(30.0, size=128)
    truth = render(clip, START, views)
    depth, _, normals, frontal = sphere_hits(views, 0.4, scale)
    inner = (truth.depth[:, 0, ..., 0] > 0) & frontal
    assert inner.sum() > 1000
    off = truth.depth[:, 0, ..., 0][inner] - depth[inner]
    assert off.min() > -1e-5 and off.max() < 1.2 * 2 * FINE / 0.3 and np.median(off) < 2 * FINE
    wrong = angle(truth.normal[:, 0][inner], normals[inner])
    assert wrong.max() < (1.5 if way == "pose" else 3) and np.median(wrong) < 0.6


def test_deformation_moves_paint_with_the_surface():
    stripes = Paint((0, 0, 1), (1, 1, 0), "two_tone", axis=(0, 1, 0), extent=0.5)
    clip = clip_of(ball(0.3, paint=stripes), deform=lambda v, t: v + np.array([0, 0.2 * t, 0]))
    low, high = render(clip, np.array([0.0, 1.0]), cameras(0.0, size=128), channels=("rgb",)).rgb[0]

    def first_blue_row(image):
        return np.flatnonzero((image[:, 64, 2] > 0.3) & (image[:, 64, 0] < 0.3))[0]

    # The border between the colours lies at height 0, then 0.2, at depth 2.2 − 0.3.
    rise = 0.2 / (2.2 - 0.3) * 64 / np.tan(np.radians(20))
    assert first_blue_row(low) == pytest.approx(64, abs=1)
    assert first_blue_row(low) - first_blue_row(high) == pytest.approx(rise, abs=1.6)


def test_own_left_hand_is_on_the_right_of_the_front_view():
    truth = render(doll(), START, cameras(0.0, 180.0, 90.0), channels=("rgb",))
    image = truth.rgb[:, 0]
    green = (image[..., 1] > 0.4) & (image[..., 0] < 0.3) & (image[..., 2] < 0.3)
    red = (image[..., 0] > 0.4) & (image[..., 1] < 0.3) & (image[..., 2] < 0.3)
    columns = np.arange(96)
    front, back, left = range(3)
    for view, side in ((front, 1), (back, -1)):
        g = (green[view].sum(0) @ columns) / green[view].sum() - 47.5
        r = (red[view].sum(0) @ columns) / red[view].sum() - 47.5
        assert side * g > 15 and side * r < -15
    # From +x (azimuth 90) the left hand is in front and the right hand behind the body.
    assert green[left].any() and not red[left].any()


def test_shading_of_a_front_face_is_the_formula_and_the_same_from_two_views():
    orange = (0.9, 0.5, 0.2)
    box = Part("box", "root", "box", (0.3, 0.3, 0.2), (0, 0, 0), Paint(orange))
    truth = render(clip_of(box), START, cameras(0.0, 25.0), channels=("rgb",))
    # Normal (0, 0, 1): half sky, half ground, and the lamp at its z component.
    z = LAMP_DIRECTION[2] / np.linalg.norm(LAMP_DIRECTION)
    light = (np.array(SKY) + GROUND) / 2 + ((1 + z) / 2) ** 2 * np.array(LAMP)
    linear = ((np.array(orange) + 0.055) / 1.055) ** 2.4 * light
    expected = 1.055 * linear ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(truth.rgb[:, 0, 48, 48], [expected, expected], atol=1e-4)


def test_flow_of_a_translation_is_the_projected_translation():
    offset = np.array([0.12, -0.05, 0.2])
    views = cameras(20.0, size=128)
    truth = render(clip_of(ball(0.3), pose=sliding(*offset), loop=False), np.array([0, 1.0]), views)
    _, points, _, frontal = sphere_hits(views, 0.3)
    inner = (truth.depth[:, 0, ..., 0] > 0) & frontal
    start = torch.from_numpy(points[inner]).float()
    moved = project(start + torch.from_numpy(offset).float(), views)[0][0]
    expected = (moved - project(start, views)[0][0]).numpy()
    np.testing.assert_allclose(truth.flow[:, 0][inner], expected, atol=0.03)
    assert truth.flow_visible[:, 0, ..., 0][inner].all()
    # The last frame of a clip that does not loop points nowhere.
    assert truth.next_frame.tolist() == [1, -1]
    assert (truth.flow[:, 1] == 0).all() and (truth.flow_visible[:, 1] == 0).all()
    assert (truth.flow[:, 0][truth.alpha[:, 0, ..., 0] == 0] == 0).all()


def test_flow_lands_on_the_same_paint():
    views, times = cameras(10.0, elevation=10.0, size=256), np.array([0.0, 0.06])
    truth = render(doll(), times, views, channels=("rgb", "flow", "normal", "depth"))
    y, x = np.nonzero(truth.flow_visible[0, 0, ..., 0])
    end = np.stack([x, y], 1) + truth.flow[0, 0, y, x]
    near = np.rint(end).astype(int)
    # Hues survive the change of light: compare chromaticities, except at borders of paint.
    first, second = truth.rgb[0, 0, y, x], truth.rgb[0, 1, near[:, 1], near[:, 0]]
    change = np.abs(
        first / first.sum(1, keepdims=True) - second / second.sum(1, keepdims=True)
    ).max(axis=1)
    assert (change < 0.06).mean() > 0.95
    assert np.abs(truth.flow[0, 0]).max() > 5


def test_flow_is_invisible_behind_an_occluder_and_outside_the_image():
    wall = Part("wall", "root", "box", (0.12, 0.5, 0.02), (0.35, 0, 0.4), RED)
    joints = doll().rig.joints
    moving = clip_of(
        wall,
        ball(0.1, (0.0, 0.0, 0.0), GREEN, "left"),
        pose=lambda t: Pose({"left": JointPose(translation=(0.4 * t if t < 0.9 else 3.0, 0, 0))}),
        joints=joints,
        loop=False,
    )
    truth = render(moving, np.array([0.0, 0.3, 0.6, 1.0]), cameras(0.0))
    green = (truth.rgb[0, ..., 1] > 0.4) & (truth.rgb[0, ..., 0] < 0.3)
    visible = truth.flow_visible[0, ..., 0]
    # 0 → 0.12: still beside the wall, whose edge at x = 0.23, z = 0.42 hides from
    # x = 0.23 · 2.2 / 1.78 = 0.28 at z = 0.
    assert visible[0][green[0]].all()
    # 0.12 → 0.24: the ball reaches from 0.14 to 0.34, so about a quarter ends behind the wall.
    assert 0.5 < visible[1][green[1]].mean() < 0.9
    # → 3.0: out of the image.
    assert green[2].any() and not visible[2][green[2]].any()


def test_loops_wrap_and_next_frame_can_be_chosen():
    times = np.array([0.0, 0.25, 0.5])
    wrapped = render(doll(), times, cameras(0.0), channels=("flow",))
    assert wrapped.next_frame.tolist() == [1, 2, 0] and wrapped.rgb is None
    chosen = render(
        doll(), times, cameras(0.0), channels=("flow",), next_frame=np.array([1, -1, 0])
    )
    np.testing.assert_array_equal(chosen.flow[:, [0, 2]], wrapped.flow[:, [0, 2]])
    assert (chosen.flow[:, 1] == 0).all()


def test_same_bytes_again_and_in_any_company():
    views, times = cameras(0.0, 60.0, -100.0, size=64), np.array([0.0, 0.1, 0.2])
    first, second = (render(doll(), times, views, samples=2) for _ in range(2))
    alone = render(doll(), times[1:2], views[2], samples=2, next_frame=np.array([-1]))
    for name in ("rgb", "alpha", "depth", "normal"):
        image = getattr(first, name)
        assert image.dtype == np.float32
        assert image.tobytes() == getattr(second, name).tobytes()
        assert image[2:, 1:2].tobytes() == getattr(alone, name).tobytes()
    assert first.flow.tobytes() == second.flow.tobytes()


def test_supersampling_is_a_box_filter_and_converges():
    clip, background = doll(), (0.2, 0.4, 0.6)
    views = cameras(30.0, size=128)
    large = render(clip, START, views.resized(256, 256), 1, background)
    small = render(clip, START, views, 2, background)

    def box(image):
        return image.reshape(1, 1, 128, 2, 128, 2, -1).mean(axis=(3, 5))

    np.testing.assert_allclose(small.rgb, box(large.rgb), atol=1e-6)
    np.testing.assert_allclose(small.alpha, box(large.alpha), atol=1e-6)
    fine = render(clip, START, views, 12, background).rgb
    errors = [
        np.abs(render(clip, START, views, s, background).rgb - fine).mean() for s in (1, 2, 4)
    ]
    assert errors[0] > 1.7 * errors[1] > 1.7 * 1.7 * errors[2]
    # Depth and normal are of one of the four subsamples, and exist wherever anything is covered.
    blocks = large.depth.reshape(128, 2, 128, 2).transpose(0, 2, 1, 3).reshape(128, 128, 4)
    nearest = np.where(blocks > 0, blocks, np.inf).min(axis=2)
    covered = small.alpha[0, 0, ..., 0] > 0
    np.testing.assert_array_equal(small.depth[0, 0, ..., 0][covered], nearest[covered])
    assert (small.depth[0, 0, ..., 0][~covered] == 0).all()


@pytest.mark.parametrize(
    "change", [{"channels": ("colour",)}, {"times": [1.2]}, {"times": []}, {"samples": 0}]
)
def test_nonsense_is_refused(change):
    arguments = {"times": [0.0], "cameras": cameras(0.0), **change}
    with pytest.raises(ValueError):
        render(clip_of(ball()), **arguments)


def test_mirroring_and_broken_deformations_are_refused():
    mirrored = clip_of(ball(), pose=lambda t: Pose({"root": JointPose(scale=(-1, 1, 1))}))
    broken = clip_of(ball(), deform=lambda v, t: v * np.nan)
    for clip in (mirrored, broken):
        with pytest.raises(ValueError, match="thing/moving"):
            render(clip, START, cameras(0.0))


def spots(clip: Clip, times, views, count=4000, seed=0):
    return tracks(clip, np.asarray(times, float), views, count, np.random.default_rng(seed))


def test_tracks_are_uniform_on_the_sphere_and_visible_on_the_cap():
    views = cameras(0.0, 140.0, size=48)
    found = spots(clip_of(ball(0.4), pose=sliding(0.1, 0, 0)), [0.0, 1.0], views)
    radius = np.linalg.norm(found.world[0], axis=1)
    assert radius.min() > 0.398 and radius.max() <= 0.4 + 1e-6
    # Uniform by area: every squared coordinate averages r²/3, and the mean is the centre.
    np.testing.assert_allclose((found.world[0] ** 2).mean(axis=0), 0.16 / 3, rtol=0.05)
    np.testing.assert_allclose(found.world[0].mean(axis=0), 0, atol=0.015)
    np.testing.assert_allclose(found.world[1] - found.world[0], [[0.1, 0, 0]] * 4000, atol=1e-6)
    for frame in range(2):
        xy, _ = project(torch.from_numpy(found.world[frame]), views)
        np.testing.assert_allclose(found.xy[:, frame], xy.numpy(), atol=1e-4)
    # From distance D one sees the cap of share (1 − r/D) / 2.
    share = found.visible[:, 0].mean(axis=1)
    np.testing.assert_allclose(share, (1 - 0.4 / 2.2) / 2, atol=0.025)


def test_tracks_skip_hidden_surface_and_see_occlusion():
    two = clip_of(ball(0.3), ball(0.3, (0, 0.25, 0), name="upper"))
    found = spots(two, [0.0], cameras(0.0))
    for centre, own in (((0, 0, 0), 1), ((0, 0.25, 0), 0)):
        inside = np.linalg.norm(found.world[0] - centre, axis=1) < 0.299
        assert not (inside & (found.part == own)).any()
    # Two equal balls share the surface evenly.
    assert found.part.mean() == pytest.approx(0.5, abs=0.03)
    # A small ball far behind a large one is hidden from the front and seen from the back.
    behind = clip_of(ball(0.4), ball(0.05, (0, 0, -0.5), name="small"))
    seen = spots(behind, [0.0], cameras(0.0, 180.0), count=20000)
    small = seen.part == 1
    assert small.sum() > 100
    assert not seen.visible[0, 0, small].any() and 0.4 < seen.visible[1, 0, small].mean() < 0.55


def test_tracks_depend_on_the_generator_alone():
    views = cameras(0.0)
    a, b, c = (spots(doll(), [0.0, 0.3], views, 50, seed) for seed in (1, 1, 2))
    assert a.xy.tobytes() == b.xy.tobytes() and (a.visible == b.visible).all()
    assert not np.allclose(a.world, c.world)
