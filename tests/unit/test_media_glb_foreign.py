"""glTF files as other programs write them: skins, rest poses, strips, outside files, materials."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from test_media_glb import FACES, HALF, NORMALS, PART, VERTICES, glb, tree_of
from test_media_glb_validator import assert_clean, issues  # noqa: F401

from animate124.errors import UserError
from animate124.media.glb import (
    Animation,
    Channel,
    Material,
    Model,
    Moving,
    Node,
    Skin,
    posed_parts,
    read,
    write_morphs,
    write_static,
)
from animate124.media.glb.topology import triangles
from animate124.media.images import encode_png

WHITE = encode_png(np.ones((2, 2, 3)))


class Packer:
    """A glTF tree with arrays behind it."""

    def __init__(self):
        self.tree = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}]}
        self.tree |= {"accessors": [], "bufferViews": []}
        self.binary = b""

    def add(self, array, kind, component):
        self.tree["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": array.nbytes}
        )
        self.binary += array.tobytes() + bytes(-array.nbytes % 4)
        self.tree["accessors"].append(
            {"bufferView": len(self.tree["bufferViews"]) - 1, "componentType": component,
             "count": len(array), "type": kind}
        )  # fmt: skip
        return len(self.tree["accessors"]) - 1

    def floats(self, rows, kind="VEC3"):
        return self.add(np.asarray(rows, "<f4"), kind, 5126)

    def write(self, path, uri=None):
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        if uri is None:
            path.write_bytes(glb(self.tree, self.binary))
        else:
            self.tree["buffers"][0]["uri"] = uri
            path.write_text(json.dumps(self.tree))


def skinned(path):
    """Two joints up a post: the upper one, at y = 1, turns by 90° about z; a mesh of 4 points."""
    p = Packer()
    attributes = {
        "POSITION": p.floats(VERTICES),
        "NORMAL": p.floats(NORMALS),
        "JOINTS_0": p.add(np.array([[0, 1, 0, 0]] * 4, "u1"), "VEC4", 5121),
        "WEIGHTS_0": p.floats([[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0, 0], [0, 2, 0, 0]], "VEC4"),
    }
    inverse = np.tile(np.eye(4), (2, 1, 1))
    inverse[1, 1, 3] = -1.0  # the upper joint's bind pose is a shift by 1
    p.tree["nodes"] = [
        {"children": [1, 2]},
        {"name": "mesh", "mesh": 0, "skin": 0, "translation": [50, 0, 0]},
        {"name": "lower", "children": [3], "translation": [0, 0, 3]},
        {"name": "upper", "translation": [0, 1, 0], "rotation": [0, 0, HALF, HALF]},
    ]
    p.tree["skins"] = [
        {
            "joints": [2, 3],
            "inverseBindMatrices": p.floats(inverse.transpose(0, 2, 1).reshape(2, 16), "MAT4"),
        }
    ]
    indices = p.add(FACES.astype("<u2").reshape(-1, 1), "SCALAR", 5123)
    p.tree["meshes"] = [{"primitives": [{"attributes": attributes, "indices": indices}]}]
    p.tree["animations"] = [
        {
            "samplers": [{"input": p.floats([[0], [1]], "SCALAR"), "output": p.floats(
                [[0, 0, 0], [7, 0, 0]])}],
            "channels": [{"sampler": 0, "target": {"node": 2, "path": "translation"}}],
        }
    ]  # fmt: skip
    p.write(path)


def test_a_skin_by_hand(tmp_path):
    skinned(tmp_path / "a.glb")
    (part,) = posed_parts(read(tmp_path / "a.glb"))
    # At rest the lower joint is 3 along z. About (0, 1, ·) the upper one turns x to y, y to -x.
    # The node's own shift by 50 does not count. (0, 1, 0): both joints leave it where it is.
    expected = [[0, 0, 3], [1, 2, 3], [0, 1, 3], [1, 1, 4]]
    np.testing.assert_allclose(part.vertices, expected, atol=1e-6)
    # Normals: vertex 1 was x, now y; vertex 3 was z and stays; vertex 0 is not turned.
    np.testing.assert_allclose(
        part.normals[[0, 1, 3]], [[0, 0, -1], [0, 1, 0], [0, 0, 1]], atol=1e-6
    )
    assert part.joints is None and part.weights is None


def test_rest_is_not_the_animations_first_moment(tmp_path):
    skinned(tmp_path / "a.glb")
    model = read(tmp_path / "a.glb")
    rest, start, later = (posed_parts(model, t)[0].vertices for t in (None, 0.0, 1.0))
    np.testing.assert_allclose(rest[0], [0, 0, 3], atol=1e-6)
    np.testing.assert_allclose(start[0], [0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(later[0], [7, 0, 0], atol=1e-6)


def test_rest_weights_of_morph_targets():
    part = replace(PART, morphs=np.ones((2, 4, 3)))
    channel = Channel(0, "weights", np.array([0.0]), np.array([[1.0, 1.0]]))
    model = Model((Node("a", parts=(part,), weights=(0.5, 0)),), (Animation("m", (channel,)),))
    np.testing.assert_allclose(posed_parts(model)[0].vertices, VERTICES + 0.5)
    np.testing.assert_allclose(posed_parts(model, 0.0)[0].vertices, VERTICES + 2)


def test_weights_that_are_all_zero_follow_the_first_joint():
    skin = Skin(np.array([0]), np.eye(4)[None])
    part = replace(PART, joints=np.zeros((4, 4), int), weights=np.zeros((4, 4)))
    nodes = (Node("joint", translation=(1, 0, 0)), Node("mesh", None, (part,), skin=0))
    np.testing.assert_allclose(
        posed_parts(Model(nodes, (), (skin,)))[0].vertices, VERTICES + np.array([1, 0, 0])
    )


def test_strips_and_fans():
    four = np.arange(5)
    assert triangles(four, 5).tolist() == [[0, 1, 2], [1, 3, 2], [2, 3, 4]]
    assert triangles(four, 6).tolist() == [[1, 2, 0], [2, 3, 0], [3, 4, 0]]
    assert triangles(np.array([0, 1, 2, 2, 3, 4]), 5).tolist() == [[0, 1, 2], [2, 4, 3]]
    with pytest.raises(ValueError, match="no triangles"):
        triangles(four, 3)


def test_points_beside_triangles_are_left_out(tmp_path):
    p = Packer()
    attributes = {"POSITION": p.floats(VERTICES)}
    p.tree["nodes"] = [{"mesh": 0}]
    p.tree["meshes"] = [{"primitives": [
        {"attributes": attributes, "mode": 0}, {"attributes": attributes, "mode": 5}
    ]}]  # fmt: skip
    p.write(tmp_path / "a.glb")
    (part,) = posed_parts(read(tmp_path / "a.glb"))
    assert part.faces.tolist() == [[0, 1, 2], [1, 3, 2]]


def textured(uri):
    p = Packer()
    attributes = {"POSITION": p.floats(VERTICES), "TEXCOORD_0": p.floats(VERTICES[:, :2], "VEC2")}
    attributes["TEXCOORD_1"] = p.floats(1 - VERTICES[:, :2], "VEC2")
    p.tree["nodes"] = [{"mesh": 0}]
    p.tree["meshes"] = [{"primitives": [{"attributes": attributes, "material": 0, "mode": 6}]}]
    p.tree["images"] = [{"uri": uri}]
    p.tree["textures"] = [{"source": 0, "sampler": 0}]
    p.tree["samplers"] = [{"wrapS": 33071}]
    p.tree["materials"] = [
        {
            "name": "skin",
            "doubleSided": True,
            "alphaMode": "MASK",
            "alphaCutoff": 0.25,
            "emissiveFactor": [0, 0, 0.5],
            "occlusionTexture": {"index": 0, "strength": 0.5},
            "normalTexture": {"index": 0, "texCoord": 1},
            "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "roughnessFactor": 0.5},
        }
    ]
    return p


def test_files_beside_and_within(tmp_path):
    (tmp_path / "a skin.png").write_bytes(WHITE)
    p = textured("a%20skin.png")
    (tmp_path / "a.bin").write_bytes(p.binary)
    p.write(tmp_path / "a.gltf", "a.bin")
    (part,) = posed_parts(read(tmp_path / "a.gltf"))
    assert part.texture == WHITE and part.name == "skin"
    assert part.material == Material(
        metallic=1.0,
        roughness=0.5,
        emissive=(0, 0, 0.5),
        textures={"occlusionTexture": WHITE},  # the one with other coordinates is left out
        strengths={"occlusionTexture": 0.5},
        double_sided=True,
        alpha_mode="MASK",
        alpha_cutoff=0.25,
        wrap=(33071, 10497),
    )
    embedded = "data:application/octet-stream;base64," + base64.b64encode(p.binary).decode()
    q = textured("data:image/png;base64," + base64.b64encode(WHITE).decode())
    q.write(tmp_path / "b.gltf", embedded)
    (again,) = posed_parts(read(tmp_path / "b.gltf"))
    assert again.texture == WHITE and np.array_equal(again.vertices, part.vertices)
    (tmp_path / "a skin.png").unlink()
    with pytest.raises(UserError, match=r"a skin\.png, which cannot be read: put it there"):
        read(tmp_path / "a.gltf")


def test_a_material_survives_writing(tmp_path, issues):  # noqa: F811
    (tmp_path / "a.png").write_bytes(WHITE)
    textured("a.png").write(tmp_path / "a.glb")
    (part,) = posed_parts(read(tmp_path / "a.glb"))
    part = replace(part, normals=NORMALS)
    twin = replace(part, name="twin", vertices=part.vertices + 3)
    root = Node("root", translation=(1, 2, 3), rotation=(0, 0, HALF, HALF), scale=(2, 2, 2))
    write_static(tmp_path / "b.glb", [part, twin], root)
    assert_clean(issues(tmp_path / "b.glb"))
    tree = tree_of(tmp_path / "b.glb")
    assert len(tree["images"]) == len(tree["textures"]) == 1  # stored once for both
    again, _ = posed_parts(read(tmp_path / "b.glb"))
    assert again.material == part.material and again.texture == WHITE
    moved = 2 * np.stack([-VERTICES[:, 1], VERTICES[:, 0], VERTICES[:, 2]], 1) + [1, 2, 3]
    np.testing.assert_allclose(again.vertices, moved, atol=1e-6)


def test_texture_transform_and_sets(tmp_path):
    (tmp_path / "a.png").write_bytes(WHITE)
    p = textured("a.png")
    slot = p.tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    slot["extensions"] = {
        "KHR_texture_transform": {
            "offset": [0.5, 0.25], "rotation": np.pi / 2, "scale": [2, 4], "texCoord": 1}
    }  # fmt: skip
    p.tree["extensionsRequired"] = ["KHR_texture_transform"]
    p.write(tmp_path / "a.glb")
    (part,) = posed_parts(read(tmp_path / "a.glb"))
    u, v = 2 * (1 - VERTICES[:, 0]), 4 * (1 - VERTICES[:, 1])
    # A quarter turn counter-clockwise with v downwards takes u to -v and v to u.
    np.testing.assert_allclose(part.uv, np.stack([v + 0.5, -u + 0.25], 1), atol=1e-6)


def test_compression_is_refused_with_its_remedy(tmp_path):
    for extension, word in (
        ("KHR_draco_mesh_compression", "Draco"),
        ("EXT_meshopt_compression", "meshopt"),
        ("KHR_texture_basisu", "KTX2"),
    ):
        tree = {"asset": {"version": "2.0"}, "extensionsRequired": [extension]}
        (tmp_path / "a.glb").write_bytes(glb(tree))
        with pytest.raises(UserError, match=f"{word}.*export it without compression"):
            read(tmp_path / "a.glb")
    (tmp_path / "a.png").write_bytes(b"\xabKTX 20\xbb")
    textured("a.png").write(tmp_path / "b.glb")
    with pytest.raises(UserError, match="KTX2 textures"):
        read(tmp_path / "b.glb")


def waves(count=300):
    """A strip of triangles with normals, and eight frames of it in which the last tenth moves."""
    x = np.linspace(0, 1, count // 2)
    vertices = np.stack([np.repeat(x, 2), np.tile([0.0, 0.1], len(x)), np.zeros(count)], 1)
    faces = triangles(np.arange(count), 5)
    part = replace(
        PART,
        vertices=vertices.astype(np.float32),
        faces=faces,
        normals=np.tile([0, 0, 1.0], (count, 1)),
    )
    return part, np.random.default_rng(0)


@pytest.mark.parametrize(("moving", "packing"), [(0.05, "sparse"), (1.0, "quantised")])
def test_packed_morphs(tmp_path, issues, moving, packing):  # noqa: F811
    part, rng = waves()
    frames = np.tile(part.vertices, (8, 1, 1))
    normals = np.tile(part.normals, (8, 1, 1))
    some = slice(300 - int(300 * moving), None)
    frames[1:, some] += rng.uniform(-0.9, 0.9, frames[1:, some].shape)
    normals[1:, some] = rng.normal(size=normals[1:, some].shape)
    normals[1:6, :, 2] = np.abs(normals[1:6, :, 2])  # the last two frames turn some right over
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    still = replace(part, name="still")
    path = tmp_path / "a.glb"
    packed = write_morphs(
        path,
        [Moving(part, frames, normals), Moving(still, np.tile(still.vertices, (8, 1, 1)))],
        np.arange(8) / 8,
        loop=True,
        tolerance=6e-5,
    )
    assert packed.packing == packing and packed.bytes == path.stat().st_size
    assert packed.bytes < 0.75 * packed.plain_bytes
    assert_clean(issues(path))
    model = read(path)
    assert len(model.nodes[1].weights) == 0  # what stands still has no targets
    for k in range(8):
        first, second = posed_parts(model, k / 8)
        assert np.abs(first.vertices - frames[k]).max() <= (
            1.6e-5 if packing == "quantised" else 1e-6
        )
        assert np.array_equal(second.vertices, still.vertices)
        cosine = (first.normals * normals[k]).sum(1)
        turned = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        assert turned.max() < 1.0
    write_morphs(tmp_path / "b.glb", [Moving(part, frames, normals)], np.arange(8) / 8)
    assert "KHR_mesh_quantization" not in tree_of(tmp_path / "b.glb").get("extensionsRequired", [])


def test_displacements_beyond_the_integers_stay_floats(tmp_path):
    part, _ = waves()
    frames = np.stack([part.vertices, part.vertices + 1.5])
    packed = write_morphs(tmp_path / "a.glb", [Moving(part, frames)], [0.0, 1.0], tolerance=1e-4)
    assert packed.packing == "plain"
    np.testing.assert_allclose(posed_parts(read(tmp_path / "a.glb"), 1.0)[0].vertices, frames[1])
