"""The stage `animate_mesh`: known motions, seams, files, numbers, true motion."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json

import numpy as np
import pytest
import tiny_asset
import torch
from bad_input import animate124, assert_one_sentence  # noqa: F401
from scipy.spatial.transform import Rotation
from test_media_glb_validator import assert_clean, issues  # noqa: F401

from animate124.gaussians.motion import Motion
from animate124.gaussians.motion import bind as bind_cloud
from animate124.gaussians.store import save
from animate124.gaussians.surface import from_mesh
from animate124.media.glb import posed_parts, read
from animate124.settings.animate_mesh import AnimateMeshSettings
from animate124.settings.base import parse
from animate124.settings.intake import IntakeSettings
from animate124.settings.reconstruct import MotionSettings
from animate124.stages import animate_mesh as stage
from animate124.stages import blender
from animate124.stages.animate_mesh_carry import Carriers, bind, carriers, carry
from animate124.stages.animate_mesh_check import distortion, seam_gap
from animate124.stages.animate_mesh_motion import FoundMotion
from animate124.stages.intake import intake
from animate124.stages.placement import read_placement
from animate124.stages.welding import weld
from animate124.toybox.characters import sample_clip
from animate124.toybox.meshes import COARSE, clip_mesh
from animate124.toybox.posing import pose_mesh


def quaternions(rotations):
    """[..., 4] w first."""
    return np.roll(rotations.as_quat(), 1, axis=-1)


def rigid(points, frames=5):
    """Points that turn about an axis and slide: positions, quaternions, and what does it."""
    angles = np.linspace(0, 2.0, frames)
    turns = Rotation.from_rotvec(angles[:, None] * np.array([0.0, 0.6, 0.8]))
    shift = np.linspace(0, 1, frames)[:, None] * np.array([0.1, -0.05, 0.2])
    moved = np.stack([t.apply(points) + s for t, s in zip(turns, shift, strict=True)])
    turned = np.repeat(quaternions(turns)[:, None], len(points), axis=1)
    return moved, turned, turns, shift


def test_a_rigid_motion_is_carried_exactly():
    rng = np.random.default_rng(0)
    gaussians, points = rng.normal(size=(50, 3)), rng.normal(size=(20, 3))
    moved, turned, turns, shift = rigid(gaussians)
    found, rotations = carry(
        points, carriers(moved, turned), bind(points, carriers(moved, turned), 8)
    )
    expected = np.stack([t.apply(points) + s for t, s in zip(turns, shift, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(rotations[:, 3], turns.as_matrix(), atol=1e-12)
    assert np.array_equal(found[0], points)


def test_only_the_motion_from_the_first_moment_counts():
    """Gaussians that are turned and shifted at frame 0 already leave the mesh where it is there."""
    rng = np.random.default_rng(1)
    gaussians, points = rng.normal(size=(30, 3)), rng.normal(size=(9, 3))
    moved, turned, _, _ = rigid(gaussians)
    spin = Rotation.from_rotvec(rng.normal(size=(30, 3)))
    own = np.stack([quaternions(Rotation.from_quat(np.roll(t, -1, 1)) * spin) for t in turned])
    plain, spun = carriers(moved, turned), carriers(moved, own)
    np.testing.assert_allclose(spun.rotations, plain.rotations, atol=1e-12)
    assert np.array_equal(carry(points, spun, bind(points, spun, 4))[0][0], points)


def test_weights_by_hand_and_smooth():
    line = np.zeros((1, 4, 3))
    line[0, :, 0] = [0, 1, 2, 4]
    still = Carriers(line, np.tile(np.eye(3), (1, 4, 1, 1)))
    bound = bind(np.array([[0.5, 0, 0]]), still, 2)
    assert sorted(bound.index[0].tolist()) == [0, 1]
    np.testing.assert_allclose(bound.weights, 0.5)  # both at 0.5, the third at 1.5
    bound = bind(np.array([[0.0, 0, 0]]), still, 2)
    # d = 0 and 1 of d' = 2: 1 and 1/4.
    np.testing.assert_allclose(bound.weights[0], [0.8, 0.2], atol=1e-6)
    # Where the third takes the place of the second both have faded to nothing: no jump.
    apart = still.positions.copy()
    apart[0, :, 1] = [0, 5, 0, 7]
    jump = Carriers(np.concatenate([line, apart]), np.tile(np.eye(3), (2, 4, 1, 1)))
    x = np.array([[1.0 - 1e-6, 0, 0], [1.0 + 1e-6, 0, 0]])
    y = carry(x, jump, bind(x, jump, 2))[0][1, :, 1]
    assert abs(y[1] - y[0]) < 1e-4


def test_one_carrier_and_carriers_at_one_place():
    one = Carriers(np.array([[[0, 0, 0]], [[1, 2, 3]]], float), np.tile(np.eye(3), (2, 1, 1, 1)))
    points = np.array([[0, 0, 0], [0.3, 0, 0]])
    np.testing.assert_allclose(
        carry(points, one, bind(points, one, 8))[0][1], points + np.array([1, 2, 3])
    )
    same = Carriers(np.zeros((1, 9, 3)), np.tile(np.eye(3), (1, 9, 1, 1)))
    np.testing.assert_allclose(bind(np.zeros((1, 3)), same, 4).weights, 0.25)


def test_sides_that_face_one_another_are_told_apart():
    """Two plates 0.02 apart, Gaussians 0.05 apart on each; the upper one lifts."""
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2) * 0.05
    low = np.column_stack([grid[:, 0], np.zeros(64), grid[:, 1]])
    rest = np.concatenate([low, low + np.array([0, 0.02, 0])])
    lifted = rest + np.repeat([[0, 0, 0], [0, 1, 0]], 64, axis=0)
    normals = np.repeat([[0.0, 1, 0], [0.0, -1, 0]], 64, axis=0)
    found = Carriers(np.stack([rest, lifted]), np.tile(np.eye(3), (2, 128, 1, 1)), normals)
    points = np.array([[0.17, 0.0, 0.17], [0.17, 0.02, 0.17]])
    outward = np.array([[0.0, 1, 0], [0.0, -1, 0]])
    mixed = carry(points, found, bind(points, found, 8))[0][1, :, 1] - points[:, 1]
    clean = carry(points, found, bind(points, found, 8, outward, 0.1))[0][1, :, 1] - points[:, 1]
    assert mixed[0] > 0.3 and clean[0] < 1e-6 and clean[1] > 1 - 1e-6


def test_distortion_and_gaps_by_hand():
    rest = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], float)
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    moved = np.stack([rest, rest * [2, 1, 1]])
    found = distortion(rest, moved, faces)
    assert found["area_mean"] == pytest.approx(0.5)  # unchanged, then doubled
    # Edges 1 1 1 1 √2; two double, the diagonal becomes √5; half of the moments.
    grown = (2 * 1 + np.sqrt(5) - np.sqrt(2)) / (4 + np.sqrt(2)) / 2
    assert found["edge_mean"] == pytest.approx(grown)
    frames = np.zeros((2, 3, 3))
    frames[1, 2] = [0, 0.3, 0.4]
    assert seam_gap(frames, np.array([0, 1, 0])) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asset")
    tiny_asset.write_glb(folder / "box.glb")
    options = ["preview=16", "up=z", "front=30"]
    intake(folder / "box.glb", folder / "intake", parse(IntakeSettings, options))
    return folder


def bending(parts, frames=6):
    """Gaussians on the corners and sides that bend the box, and turn with it."""
    rng = np.random.default_rng(0)
    rest = rng.uniform(-0.6, 0.6, (400, 3))
    phase = 2 * np.pi * np.arange(frames)[:, None] / frames
    angle = 0.8 * np.sin(phase) * rest[None, :, 0]
    turns = Rotation.from_rotvec(angle.reshape(-1, 1) * np.array([[0.0, 0, 1]]))
    moved = turns.apply(np.tile(rest, (frames, 1))).reshape(frames, -1, 3)
    return carriers(moved, quaternions(turns).reshape(frames, -1, 4))


def run(taken, out, monkeypatch, *more, found=None, frames=6, fps=6.0, loop=True):
    parts = posed_parts(read(taken / "intake" / "asset.glb"))
    moving = found or bending(parts, frames)
    motion = FoundMotion(
        taken / "box.glb", moving, torch.arange(len(moving.positions)) / frames, fps, loop
    )
    monkeypatch.setattr(stage, "read_motion", lambda *_: motion)
    settings = parse(AnimateMeshSettings, ["preview=16", *more])
    record = stage.animate_mesh(taken / "intake", taken, out, settings)
    return record, parts, read(out / "animated.glb")


def test_the_file(taken, tmp_path, monkeypatch, issues):
    record, parts, model = run(taken, tmp_path / "out", monkeypatch)
    assert_clean(issues(tmp_path / "out" / "animated.glb"))
    (rest,), (start,) = posed_parts(model), posed_parts(model, 0.0)
    (asset,) = parts
    for found in (rest, start):
        for name in ("vertices", "faces", "normals", "uv"):
            assert np.array_equal(getattr(found, name), getattr(asset, name)), name
        assert found.texture == asset.texture and found.material == asset.material
        assert found.name == asset.name and found.base_color == asset.base_color
    assert len(model.nodes[0].weights) == 4  # six moments, two of which are at rest
    assert model.animations[0].duration == pytest.approx(1.0)  # the loop's closing key
    (end,) = posed_parts(model, 1.0)
    assert np.array_equal(end.vertices, asset.vertices)
    assert record["frames"] == 6 and record["fps"] == 6 and record["loop"] and record["moves"]
    assert (record["vertices"], record["welded_vertices"], record["triangles"]) == (24, 8, 12)
    assert record["bytes"] == (tmp_path / "out" / "animated.glb").stat().st_size
    assert record["largest_displacement"] > 0.1 and 0 < record["edge_mean"] < 0.3


def test_seams_do_not_open(taken, tmp_path, monkeypatch):
    for tolerance in (0, 1e-4):
        record, parts, model = run(taken, tmp_path / "out", monkeypatch, f"tolerance={tolerance}")
        assert record["largest_seam_gap"] == 0.0
        _, index = weld(parts[0].vertices)
        for seconds in (1 / 6, 0.21, 0.3):  # at and between the moments
            (part,) = posed_parts(model, float(np.float32(seconds)))
            assert seam_gap(part.vertices[None], index) < 1e-7


def test_normals_turn_with_the_surface(taken, tmp_path, monkeypatch):
    """A motion that is one rotation turns every normal by it, and hard edges stay hard."""
    rng = np.random.default_rng(0)
    moved, turned, turns, shift = rigid(rng.uniform(-0.6, 0.6, (60, 3)))
    found = carriers(moved, turned)
    _, parts, model = run(taken, tmp_path / "out", monkeypatch, found=found, loop=False)
    for k in range(5):
        (part,) = posed_parts(model, float(np.float32(k / 6)))
        np.testing.assert_allclose(part.normals, turns[k].apply(parts[0].normals), atol=0.01)
        expected = turns[k].apply(parts[0].vertices) + shift[k]
        np.testing.assert_allclose(part.vertices, expected, atol=2e-5)


def test_back_to_where_the_asset_was(taken, tmp_path, monkeypatch, issues):
    original = tiny_asset.box().vertices
    _, _, ours = run(taken, tmp_path / "ours", monkeypatch)
    _, _, theirs = run(taken, tmp_path / "theirs", monkeypatch, "original=true")
    assert_clean(issues(tmp_path / "theirs" / "animated.glb"))
    (rest,) = posed_parts(theirs)
    assert np.abs(rest.vertices - original).max() < 1e-5
    placement = read_placement(taken / "intake")
    moment = float(np.float32(1 / 6))
    (moved,), (expected,) = posed_parts(theirs, moment), posed_parts(ours, moment)
    np.testing.assert_allclose(moved.vertices, placement.back(expected.vertices), atol=1e-5)


def test_a_motion_that_stands_still(taken, tmp_path, monkeypatch, issues):
    still = Carriers(np.zeros((4, 9, 3)), np.tile(np.eye(3), (4, 9, 1, 1)))
    record, parts, model = run(taken, tmp_path / "out", monkeypatch, found=still)
    assert record["moves"] is False and model.animations == ()
    assert record["largest_displacement"] == 0 and record["packing"] == "static"
    assert_clean(issues(tmp_path / "out" / "animated.glb"))
    assert np.array_equal(posed_parts(model)[0].vertices, parts[0].vertices)


def test_large_files_are_packed_within_the_tolerance(tmp_path, monkeypatch, issues):
    """A character: quantised, smaller by a quarter and more, and every error below the bound."""
    from animate124.toybox.export import export_static_glb

    clip = sample_clip(119, "robot", "waving")
    export_static_glb(clip, tmp_path / "robot.glb")
    intake(tmp_path / "robot.glb", tmp_path / "intake", parse(IntakeSettings, ["preview=16"]))
    record, _, _ = run(tmp_path, tmp_path / "out", monkeypatch_file(tmp_path, monkeypatch))
    assert record["packing"] == "quantised" and record["largest_error"] <= 1e-4
    assert record["largest_seam_gap"] == 0.0
    assert_clean(issues(tmp_path / "out" / "animated.glb"))
    plain, _, _ = run(tmp_path, tmp_path / "plain", monkeypatch, "tolerance=0")
    assert plain["packing"] == "plain" and plain["largest_error"] < 1e-6
    assert record["bytes"] < 0.75 * plain["bytes"]


def monkeypatch_file(folder, monkeypatch):
    (folder / "box.glb").write_bytes(b"stands for the motion's file")
    return monkeypatch


@pytest.mark.parametrize(
    ("seed", "species", "motion"), [(119, "robot", "waving"), (139, "panda", "dancing")]
)
def test_true_motion_of_gaussians_moves_the_mesh_truly(seed, species, motion):
    """Gaussians on a character's surface that move as it does carry its vertices where they go."""
    clip = sample_clip(seed, species, motion)
    mesh = clip_mesh(clip, COARSE)
    times = np.arange(6) / 6
    posed = pose_mesh(clip, mesh, times)
    truth = np.stack([posed.world(mesh, k) for k in range(6)])
    rng = np.random.default_rng(0)
    a, b, c = (truth[0][mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = mesh.faces[rng.choice(len(area), 3000, p=area / area.sum())]
    shares = rng.dirichlet([1, 1, 1], 3000)
    moved = np.einsum("nk,tnkd->tnd", shares, truth[:, faces])
    axes = np.stack([frames_of(truth[k], faces) for k in range(6)])
    found = Carriers(moved, axes @ axes[0].swapaxes(1, 2), axes[0][..., 2])
    points, index = weld(truth[0])
    first = np.unique(index, return_index=True)[1]
    outward = posed.world_normals(mesh, 0)[first]
    settings = AnimateMeshSettings()
    binding = bind(points, found, settings.neighbours, outward, settings.normal_weight)
    error = np.linalg.norm(carry(points, found, binding)[0] - truth[:, first], axis=-1)
    amplitude = np.linalg.norm(truth[:, first] - truth[0, first], axis=-1).mean()
    assert error.mean() < 0.03 * amplitude
    assert np.percentile(error, 99) < 0.03


def frames_of(vertices, faces):
    """Right-handed axes [N, 3, 3] (columns) of triangles, the third outward."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    along = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack([along, np.cross(normal, along), normal], axis=-1)


def test_fbx_needs_blender(taken, tmp_path, monkeypatch, animate124):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, errors = animate124(
        "animate-mesh", str(taken / "intake"), "--motion", str(taken), "--out",
        str(tmp_path / "out"), "--set", "fbx=true",
    )  # fmt: skip
    assert status == 2
    assert_one_sentence(errors, ["Blender, which is not on the PATH", "leave out"])


def test_blender_is_asked(tmp_path, monkeypatch):
    """A stand-in program gets the script; where it fails its last line is told."""
    program = tmp_path / "blender"
    program.write_text('#!/bin/sh\necho "$@" > "$(dirname $0)/asked"\necho oh dear >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(Exception, match="oh dear"):
        blender.convert(tmp_path / "a.glb", tmp_path / "a.fbx")
    asked = (tmp_path / "asked").read_text()
    assert f'filepath="{tmp_path}/a.glb"' in asked and "--background" in asked


def test_gaussian_assets_and_missing_folders(taken, tmp_path, animate124):
    tiny_asset.write_cloud(tmp_path / "cloud.ply")
    intake(tmp_path / "cloud.ply", tmp_path / "cloud", parse(IntakeSettings, ["preview=16"]))
    command = ["animate-mesh", "--out", str(tmp_path / "out"), "--motion", str(tmp_path)]
    for folder, words in ((tmp_path / "cloud", "no mesh to animate"), (tmp_path, "no finished")):
        status, errors = animate124(*command, str(folder))
        assert status == 2
        assert_one_sentence(errors, [words])
    status, errors = animate124(*command, str(taken / "intake"))
    assert status == 2
    assert_one_sentence(errors, ["no finished results in", str(tmp_path)])
    assert not (tmp_path / "out").exists()


def test_the_command_on_a_stored_motion(taken, tmp_path, animate124):
    """What `reconstruct` leaves: Gaussians on the surface whose nodes move by random keys."""
    parts = posed_parts(read(taken / "intake" / "asset.glb"))
    cloud = from_mesh(parts, 500, np.random.default_rng(0))
    motion_settings = MotionSettings(nodes=12)
    motion = Motion(bind_cloud(cloud, motion_settings), motion_settings, 5, True)
    torch.manual_seed(0)
    with torch.no_grad():
        for values in motion.parameters():
            values.normal_(0.0, 0.05)
    folder = tmp_path / "motion"
    folder.mkdir()
    save(folder / "gaussians.safetensors", cloud, motion)
    (folder / "stage.json").write_text('{"stage": "reconstruct", "fps": 10}')
    status, _ = animate124(
        "animate-mesh", str(taken / "intake"), "--motion", str(folder), "--out",
        str(tmp_path / "out"), "--set", "preview=16",
    )  # fmt: skip
    assert status == 0
    record = json.loads((tmp_path / "out" / "stage.json").read_text())
    assert (record["frames"], record["fps"], record["loop"]) == (5, 10.0, True)
    model = read(tmp_path / "out" / "animated.glb")
    assert model.animations[0].duration == pytest.approx(0.5)
    (rest,), (part,) = posed_parts(model), posed_parts(model, float(np.float32(0.2)))
    with torch.no_grad():
        moved = motion.frames(cloud, torch.tensor([0.4]))[0][0].numpy()
    nearest = np.linalg.norm(rest.vertices[:, None] - cloud.positions.numpy(), axis=2).argmin(1)
    shift = moved[nearest] - cloud.positions.numpy()[nearest]
    away = np.linalg.norm(part.vertices - rest.vertices - shift, axis=1).mean()
    assert away < 0.4 * np.linalg.norm(shift, axis=1).mean() > 0.01
