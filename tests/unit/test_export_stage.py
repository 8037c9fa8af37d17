"""The stage `export`: the surface of a ball, vertices that follow known motions, and the files."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bad_input import animate124, assert_one_sentence  # noqa: F401
from test_media_glb_validator import assert_clean, issues  # noqa: F401
from tiny_scene import COLOUR, ball, contents, leave, radius_of, shifted, silhouette

from animate124.fields.occupancy import OccupancyGrid
from animate124.media.glb import posed_parts, read
from animate124.media.ply import read_mesh
from animate124.settings.base import parse
from animate124.settings.export import ExportSettings
from animate124.settings.fit import FitSettings
from animate124.stages import export_motion
from animate124.stages.export import FRAMES, GLB, MESH, export, outputs
from animate124.stages.export_mesh import density_grid, extract, fitting_level, isosurface
from animate124.stages.finished_field import FinishedField, open_field

TINY = ("resolution=24", "frames=5")


def settings(*more):
    return parse(ExportSettings, [*TINY, *more])


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return open_field(leave(tmp_path_factory.mktemp("ball") / "static"))


@pytest.fixture(scope="module")
def surface(scene):
    level, agreement = fitting_level(scene)
    return level, agreement, extract(scene, settings(), 0.0, level)


def radii(vertices):
    return np.linalg.norm(vertices, axis=-1)


def test_the_level_is_the_one_whose_silhouettes_are_seen(surface):
    """A line that passes the centre at distance ρ is half absorbed there: ∫ density = ln 2."""
    level, agreement, _ = surface
    # The picture is taken with a camera 2.2 away, so its tangents leave the ball a little earlier.
    assert radius_of(level) == pytest.approx(silhouette(), abs=0.01)
    assert agreement > 0.95


def test_the_surface_is_a_closed_ball(surface):
    level, _, mesh = surface
    cell = 1.5 / 24
    assert radii(mesh.vertices).mean() == pytest.approx(radius_of(level), abs=0.2 * cell)
    assert radii(mesh.vertices).std() < 0.1 * cell
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    volume = (a * np.cross(b, c)).sum() / 6  # positive: the faces look outwards
    assert volume == pytest.approx(4 / 3 * math.pi * radius_of(level) ** 3, rel=0.05)
    # Euler: vertices − edges + faces = 2, with three half edges a face.
    assert len(mesh.vertices) - len(mesh.faces) / 2 == 2
    np.testing.assert_allclose(mesh.colours, np.broadcast_to(COLOUR, mesh.colours.shape), atol=2e-3)


@dataclass
class Made:
    """A field of balls: `balls(t)` gives centres and radii; density 100 within, 0 outside."""

    balls: object
    bound: float = 0.75
    shell: float = 1.0

    def query(self, points, times, starts):
        density = torch.zeros(len(points))
        for g, t in enumerate(times.tolist()):
            part = slice(int(starts[g]), int(starts[g + 1]))
            world = (points[part] - 0.5) * 2 * self.bound
            for centre, radius in self.balls(t):
                away = (world - torch.tensor(centre)).norm(dim=1) / radius
                # Steep but not a step, so that the level lies on the radius.
                wall = torch.sigmoid((1 - away) * 60) * torch.sigmoid((away - 1 + self.shell) * 60)
                density[part] = torch.maximum(density[part], 400 * wall)
        return density, torch.full((len(points), 3), 0.5)


def made(balls, slices=1, loop=True, **more):
    field = Made(balls, **more)
    occupancy = OccupancyGrid(16, slices, loop, field.bound, 0.5)  # knows nothing: all is occupied
    return FinishedField(
        path=Path("field.safetensors"),
        field=field,
        occupancy=occupancy,
        step=0.02,
        moments=slices,
        loop=loop,
        elevation=0.0,
        record={},
        device="cpu",
    )


def test_the_inside_is_filled_and_dust_is_left_out():
    hollow = made(lambda t: [((0.0, 0.0, 0.0), 0.5), ((0.65, 0.0, 0.0), 0.05)], shell=0.35)
    density = density_grid(hollow, 0.0, 48)
    assert density[24, 24, 24] == torch.inf  # no light gets there
    vertices, faces = isosurface(density, 20.0, hollow.field.bound)
    assert len(faces) and radii(vertices).min() > 0.46 and radii(vertices).max() < 0.54


def test_a_surface_at_the_cube_is_closed():
    vertices, faces = isosurface(torch.full((8, 8, 8), 100.0), 10.0, 0.75)
    assert len(vertices) - len(faces) / 2 == 2
    assert np.abs(vertices).max() == pytest.approx(0.75, abs=0.1)


def test_vertices_are_limited(scene, surface):
    level, _, _ = surface
    small = extract(scene, settings("resolution=48", "max_vertices=400"), 0.0, level)
    assert 200 < len(small.vertices) <= 400
    assert radii(small.vertices).mean() == pytest.approx(radius_of(level), abs=0.03)


def test_the_cubic_goes_through_its_keys():
    keys = np.random.default_rng(0).random((5, 3, 3))
    np.testing.assert_allclose(export_motion.along(keys, np.arange(5) / 5, True), keys)
    np.testing.assert_allclose(export_motion.along(keys, np.arange(5) / 4, False), keys)
    np.testing.assert_array_equal(export_motion.along(keys[:1], [0.0, 0.3], True), keys[[0, 0]])
    # Halfway between two of four keys: (−a + 9b + 9c − d) / 16.
    a, b, c, d = keys[:4]
    middle = export_motion.along(keys[:4], [0.5], False)[0]
    np.testing.assert_allclose(middle, (-a + 9 * b + 9 * c - d) / 16)
    # Straight motion stays straight to both ends; a circle of 16 keys stays one.
    line = np.linspace([0.0, 0, 0], [3.0, 6, 9], 4)[:, None]
    straight = export_motion.along(line, np.linspace(0, 1, 13), False)
    np.testing.assert_allclose(straight[:, 0, 0], np.linspace(0, 3, 13), atol=1e-12)
    turn = 2 * np.pi * np.arange(16) / 16
    circle = np.stack([np.cos(turn), np.sin(turn)], -1)[:, None]
    found = export_motion.along(circle, np.linspace(0, 1, 100, endpoint=False), True)
    assert np.abs(radii(found) - 1).max() < 1e-3


def test_vertices_follow_the_displacement(tmp_path):
    """0.02 along x from slice to slice; in a loop, what does not return is taken off evenly."""
    vertices = np.array([[0.0, 0.1, 0.0], [-0.2, 0.0, 0.1]])
    step = np.array([0.02, 0.0, 0.0])
    for loop in (True, False):
        field = shifted(4, loop, tuple(step))
        scene = open_field(leave(tmp_path / str(loop), field))
        flow = export_motion.motion(scene)
        assert flow is scene.field
        for base in (0, 2):
            path = export_motion.slice_paths(scene, flow, vertices, base)
            moved = 0 * step if loop else step
            expected = [vertices + (k - base) * moved for k in range(4)]
            np.testing.assert_allclose(path, expected, atol=2e-4)
    still = open_field(leave(tmp_path / "still"))
    assert export_motion.motion(still) is None
    assert export_motion.slice_paths(still, None, vertices, 0).shape == (1, 2, 3)


def test_the_surface_is_taken_where_parts_are_apart():
    """Two balls touch at t = 0 and are apart later: one skin over both would grow a web."""
    gap = (0.0, 0.25, 0.35, 0.25)

    def balls(t):
        half = 0.21 + gap[round(t * 4) % 4] / 2
        return [((half, 0.0, 0.0), 0.22), ((-half, 0.0, 0.0), 0.22)]

    scene = made(balls, 4, True)

    def scene_flow(k, points):
        change = (gap[(k + 1) % 4] - gap[k]) / 2
        return torch.sign(points[:, :1]) * torch.tensor([[change, 0.0, 0.0]])

    flow = SimpleNamespace(scene_flow=scene_flow, device="cpu", bound=scene.field.bound)
    assert export_motion.best_base(scene, flow, 50.0) == 2
    gap = (0.3, 0.3, 0.3, 0.3)  # nothing to choose: t = 0
    assert export_motion.best_base(scene, flow, 50.0) == 0


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    leave(folder / "refine", shifted(4, False, (0.02, 0.0, 0.0)))
    chosen = settings("frames_ply=true", "max_vertices=300")
    return folder, export(folder / "refine", folder / "out", chosen), chosen


def test_everything_is_written_and_nothing_else(exported):
    folder, record, chosen = exported
    assert {p.name for p in (folder / "out").iterdir()} == set(outputs(chosen)) >= {FRAMES}
    assert not (folder / ".out.work").exists()
    assert record["moves"] and record["vertices"] <= 300
    assert json.loads((folder / "out" / "stage.json").read_text()) == record
    # Field and mesh show the same thing, moving or not: the field looks alike at all slices.
    assert record["mesh_against_field"]["silhouette_iou"] > 0.85


def test_the_animation_moves_as_the_displacement_says(exported):
    folder, _, _ = exported
    model = read(folder / "out" / GLB)
    assert model.animations[0].duration == pytest.approx(2.0)
    first, last = (posed_parts(model, seconds)[0] for seconds in (0.0, 2.0))
    shape = first.vertices.shape
    moved = last.vertices - first.vertices
    np.testing.assert_allclose(moved, np.broadcast_to((0.06, 0, 0), shape), atol=1e-3)
    np.testing.assert_allclose(first.colors, np.broadcast_to(COLOUR, shape), atol=4e-3)
    mesh = read_mesh(folder / "out" / MESH)
    np.testing.assert_allclose(mesh.vertices, first.vertices, atol=1e-6)
    assert (radii(mesh.normals) > 0.99).all()
    assert (mesh.normals * mesh.vertices).sum(1).min() > 0  # outwards


def test_a_ply_for_every_moment(exported, tmp_path):
    folder, _, _ = exported
    with zipfile.ZipFile(folder / "out" / FRAMES) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert names == [f"frame_{k:03d}.ply" for k in range(5)]
    moved = [read_mesh(tmp_path / name).vertices.mean(0)[0] for name in names]
    assert np.diff(moved) == pytest.approx([0.06 / 4] * 4, abs=1e-3)


def test_the_same_field_gives_the_same_bytes(exported, tmp_path):
    folder, _, chosen = exported
    export(folder / "refine", tmp_path / "again", chosen)
    assert contents(tmp_path / "again") == contents(folder / "out")
    # Without the setting, frames of another run do not stay.
    export(folder / "refine", tmp_path / "again", settings("max_vertices=300"))
    assert not (tmp_path / "again" / FRAMES).exists()


def test_a_still_field_gives_a_mesh_without_animation(tmp_path):
    record = export(leave(tmp_path / "static"), tmp_path / "out", settings("max_vertices=300"))
    assert not record["moves"]
    model = read(tmp_path / "out" / GLB)
    assert not model.animations and len(model.nodes[0].parts[0].vertices) == record["vertices"]


def test_the_validator_finds_no_fault(exported, tmp_path, issues):
    assert_clean(issues(exported[0] / "out" / GLB))
    export(leave(tmp_path / "static"), tmp_path / "out", settings("max_vertices=300"))
    assert_clean(issues(tmp_path / "out" / GLB))


@pytest.mark.slow
def test_vertices_follow_a_true_character(tmp_path):
    """A field fitted to a walking fox: its mesh against the true surface at all slices."""
    from animate124.fields.store import load_field
    from animate124.metrics.geometry import chamfer
    from animate124.metrics.motion import motion_chamfer
    from animate124.stages.fit import fit
    from animate124.toybox.bundle import write_bundle
    from animate124.toybox.characters import sample_clip
    from animate124.toybox.meshes import clip_mesh
    from animate124.toybox.posing import pose_mesh

    clip = sample_clip(19, species="fox", motion="walking")
    write_bundle(clip, tmp_path / "truth", "dev", 8, 6, 48, 2, 16)
    quick = ["train.steps=400", "rays=2048", "train.preview_every=0", "video_frames=2"]
    fit(tmp_path / "truth", tmp_path / "fit", parse(FitSettings, [*quick, "video_size=16"]))
    field, _ = load_field(tmp_path / "fit" / "field.safetensors")
    (tmp_path / "fit" / "stage.json").write_text('{"stage": "refine"}')
    scene = open_field(tmp_path / "fit")
    level, _ = fitting_level(scene)
    flow = export_motion.motion(scene)
    base = export_motion.best_base(scene, flow, level)
    mesh = extract(scene, ExportSettings(), base / 6, level)
    paths = export_motion.slice_paths(scene, flow, mesh.vertices, base)
    true = clip_mesh(clip)
    posed = pose_mesh(clip, true, np.arange(6) / 6)

    truth = torch.from_numpy(np.stack([posed.world(true, k) for k in range(6)]))
    tracks = torch.from_numpy(paths)
    frozen = tracks[:1].expand_as(tracks)

    def error(frames):
        return sum(chamfer(*pair).accuracy for pair in zip(frames, truth, strict=True)) / 6

    assert len(field.grid.slices) == 6
    assert error(tracks) < 0.8 * error(frozen)
    assert motion_chamfer(tracks, truth).total < 0.7 * motion_chamfer(frozen, truth).total


def faint(folder):
    field = ball()
    with torch.no_grad():
        field.head.b2[0] = -40.0
    leave(folder, field)


BAD = {
    "no folder": (None, "gone", (), ("no finished results",)),
    "no record": (
        lambda f: (f / "stage.json").unlink(),
        "refine",
        (),
        ("stage.json is missing",),
    ),
    "no field": (
        lambda f: (f / "field.safetensors").unlink(),
        "refine",
        (),
        ("static, dynamic and refine",),
    ),
    "a field of noise": (
        lambda f: (f / "field.safetensors").write_bytes(b"noise"),
        "refine",
        (),
        ("damaged or cut short",),
    ),
    "nothing to see": (faint, "refine", (), ("shows nothing",)),
    "an unknown setting": (
        None,
        "refine",
        ("--set", "vertices=9"),
        ("'vertices'", "max_vertices"),
    ),
    "too few vertices": (None, "refine", ("--set", "max_vertices=3"), ("max_vertices", "≥ 100")),
    "no switch": (None, "refine", ("--set", "frames_ply=perhaps"), ("frames_ply", "true or false")),
    "a file for the results": (None, "refine", ("--out", "file"), ("is a file",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case, tmp_path, monkeypatch, animate124):
    change, folder, more, words = BAD[case]
    leave(tmp_path / "refine")
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    if change:
        change(tmp_path / "refine")
    out = [] if "--out" in more else ["--out", "out"]
    status, errors = animate124("export", folder, *out, *more)
    assert status == 2
    assert_one_sentence(errors, words)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.work").exists()


def test_an_archive_does_not_depend_on_the_clock(exported):
    data = (exported[0] / "out" / FRAMES).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
