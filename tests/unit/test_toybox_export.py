"""Exported GLBs read back and compared with the clip itself."""

import io

import numpy as np
import pytest
from PIL import Image
from toybox_samples import ball, clip_of, doll

from animate124.media.glb import MeshPart, posed_parts, read
from animate124.toybox.atlas import bake_atlas
from animate124.toybox.export import export_animated_glb, export_static_glb
from animate124.toybox.meshes import clip_mesh, tessellate
from animate124.toybox.paint import paint_points, paint_table, srgb_to_linear
from animate124.toybox.posing import pose_mesh
from animate124.toybox.rig import Joint, JointPose, Paint, Part, Pose, Rig

SECONDS = 2.0


def world_vertices(clip, time, by_joint):
    """Vertices [V, 3] of the clip at a time, in the order of the file: by joint or as meshed."""
    mesh = clip_mesh(clip)
    vertices = pose_mesh(clip, mesh, np.array([time])).world(mesh, 0)
    return vertices[np.argsort(mesh.joint, kind="stable")] if by_joint else vertices


def file_vertices(path, seconds):
    return np.concatenate([part.vertices for part in posed_parts(read(path), seconds)])


@pytest.mark.parametrize("loop", [True, False])
def test_rigid_animation_matches_the_clip_at_and_between_keys(tmp_path, loop):
    clip = doll(loop=loop)
    export_animated_glb(clip, tmp_path / "a.glb", fps=24, seconds=SECONDS)
    model = read(tmp_path / "a.glb")
    assert [node.name for node in model.nodes] == ["root", "left"]
    assert model.nodes[1].parent == 0 and model.animations[0].duration == SECONDS
    for time in (0.0, 0.3, 0.511, 0.9999, 1.0):
        expected = world_vertices(clip, time, by_joint=True)
        got = file_vertices(tmp_path / "a.glb", time * SECONDS)
        assert np.abs(got - expected).max() < 1e-3
    assert np.abs(expected - world_vertices(clip, 0.25, by_joint=True)).max() > 0.1


def test_deforming_animation_matches_the_clip_at_and_between_keys(tmp_path):
    def squash(vertices, t):
        s = 1 + 0.2 * np.sin(2 * np.pi * t)
        return vertices * [1 / s, s, 1 / s]

    clip = doll(deform=squash)
    export_animated_glb(clip, tmp_path / "m.glb", fps=24, seconds=SECONDS)
    for time in (0.0, 0.25, 0.511, 1.0):
        expected = world_vertices(clip, time, by_joint=False)
        got = file_vertices(tmp_path / "m.glb", time * SECONDS)
        assert np.abs(got - expected).max() < 1e-3
    assert np.abs(expected - world_vertices(clip, 0.25, by_joint=False)).max() > 0.03


def test_static_export_stands_as_the_clip_at_its_time_with_outward_normals(tmp_path):
    clip = doll()
    export_static_glb(clip, tmp_path / "s.glb", time=0.2)
    (part,) = posed_parts(read(tmp_path / "s.glb"))
    np.testing.assert_allclose(part.vertices, world_vertices(clip, 0.2, False), atol=1e-6)
    a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
    outward = np.einsum("ti,tki->tk", np.cross(b - a, c - a), part.normals[part.faces])
    assert (outward > 0).all()


def test_same_bytes_again(tmp_path):
    for name in ("a", "b"):
        export_animated_glb(doll(), tmp_path / f"{name}.glb")
        export_static_glb(doll(), tmp_path / f"{name}s.glb")
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    assert (tmp_path / "as.glb").read_bytes() == (tmp_path / "bs.glb").read_bytes()


def test_a_still_clip_keeps_its_duration(tmp_path):
    export_animated_glb(clip_of(ball()), tmp_path / "x.glb", seconds=SECONDS)
    assert read(tmp_path / "x.glb").animations[0].duration == SECONDS
    np.testing.assert_array_equal(
        file_vertices(tmp_path / "x.glb", 0.0), file_vertices(tmp_path / "x.glb", 1.3)
    )


def test_a_clip_with_one_key_is_refused(tmp_path):
    with pytest.raises(ValueError, match="fewer than two keys"):
        export_animated_glb(doll(), tmp_path / "x.glb", fps=1, seconds=1)
    assert not list(tmp_path.iterdir())


KINDS = (
    ("ellipsoid", (0.2, 0.15, 0.1)),
    ("capsule", (0.06, 0.2, 0.04)),
    ("cone", (0.1, 0.2, 0.0)),
    ("cylinder", (0.1, 0.2, 0.06)),
    ("box", (0.1, 0.12, 0.08)),
    ("torus", (0.15, 0.05, 0.0)),
)


@pytest.mark.parametrize("pattern", ["plain", "two_tone", "rings"])
def test_texture_shows_the_paint_on_every_kind_of_part(tmp_path, pattern):
    paint = Paint((0.8, 0.3, 0.2), (0.1, 0.4, 0.7), pattern, scale=0.1, extent=0.5)
    parts = tuple(
        Part(kind, "root", kind, size, (0.1 * i, 0.0, 0.0), paint, (10.0, 20.0, 30.0 * i))
        for i, (kind, size) in enumerate(KINDS)
    )
    rig = Rig((Joint("root", None, (0.0, 0.0, 0.0)),), parts)
    clip = clip_of(*parts)
    export_static_glb(clip, tmp_path / "s.glb")
    (part,) = posed_parts(read(tmp_path / "s.glb"))
    mesh = tessellate(rig)
    # Random points on the mesh: their colour by the file's uv and texture, and by the paint.
    rng = np.random.default_rng(0)
    corners = mesh.rest[mesh.faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    face = rng.choice(len(area), 4000, p=area / area.sum())
    weights = rng.dirichlet((1, 1, 1), 4000)
    textured = texel(part, np.einsum("pk,pki->pi", weights, part.uv[part.faces[face]]))
    local = np.einsum("pk,pki->pi", weights, mesh.local[mesh.faces[face]])
    painted = paint_points(
        paint_table(rig, mesh.local, mesh.part), mesh.face_part[face].astype(np.int32), local
    )
    same = np.abs(srgb_to_linear(textured) - painted).max(axis=1) < 0.01
    for index in range(len(parts)):
        share = same[mesh.face_part[face] == index].mean()
        # Only points within half a texel of a border between two colours may differ.
        assert share > (0.94 if pattern != "plain" else 0.9999), (KINDS[index], share)


def texel(part: MeshPart, uv):
    """sRGB [N, 3] of the nearest texel."""
    image = np.asarray(Image.open(io.BytesIO(part.texture)).convert("RGB"), float) / 255
    height, width = image.shape[:2]
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip((uv[:, 1] * height).astype(int), 0, height - 1)
    return image[row, column]


def test_atlas_cells_keep_apart_and_lie_inside():
    spots = Paint((1, 1, 1), (0, 0, 0), "spots", scale=0.05)
    parts = [ball(0.1 + 0.02 * i, name=f"b{i}", paint=spots) for i in range(7)]
    rig = clip_of(*parts, ball(0.3, name="plain")).rig
    mesh = tessellate(rig)
    atlas = bake_atlas(rig, mesh, range(8))
    height, width = atlas.texture.shape[:2]
    boxes = []
    for index in range(8):
        uv = atlas.uv[mesh.part == index] * [width, height]
        boxes.append((uv.min(axis=0) - 2, uv.max(axis=0) + 2))
        assert (boxes[-1][0] >= -1e-6).all() and (
            boxes[-1][1] <= [width + 1e-6, height + 1e-6]
        ).all()
    for i in range(8):
        for j in range(i):
            apart = (boxes[i][0] >= boxes[j][1] - 1e-6) | (boxes[j][0] >= boxes[i][1] - 1e-6)
            assert apart.any()
    # A plain part needs eight texels, a patterned ball of 0.6 around and 0.006 per texel 128.
    sides = [np.ptp(box, axis=0).max() for box in boxes]
    assert sides[-1] == pytest.approx(8) and sides[0] == pytest.approx(128)


def test_a_joint_without_parts_still_carries_its_children(tmp_path):
    joints = (
        Joint("root", None, (0.0, 0.0, 0.0)),
        Joint("arm", "root", (0.1, 0.2, 0.0)),
        Joint("hand", "arm", (0.3, 0.2, 0.1)),
    )
    clip = clip_of(
        ball(0.05, (0.35, 0.2, 0.1), joint="hand"),
        joints=joints,
        pose=lambda t: Pose(
            {
                "arm": JointPose(rotation=(0.0, 40.0 * t, 30.0), scale=(1.0, 2.0, 1.0)),
                "hand": JointPose(rotation=(25.0, 0.0, 0.0), translation=(0.0, 0.1 * t, 0.0)),
            }
        ),
        loop=False,
    )
    export_animated_glb(clip, tmp_path / "a.glb")
    for time in (0.0, 0.5, 1.0):
        got = file_vertices(tmp_path / "a.glb", time * SECONDS)
        assert np.abs(got - world_vertices(clip, time, by_joint=True)).max() < 1e-3
