"""GLB files: layout, round trips, poses worked out by hand, damage."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from animate124.errors import UserError
from animate124.media.glb import (
    Animation,
    Channel,
    MeshPart,
    Model,
    Node,
    posed_nodes,
    posed_parts,
    read,
    world_matrices,
    write_morph_animation,
    write_node_animation,
    write_static,
)
from animate124.media.images import encode_png

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
NORMALS = np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
PART = MeshPart("body", VERTICES, FACES, NORMALS)
HALF = np.sqrt(0.5)


def tree_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length])


def glb(tree, binary=b""):
    """A GLB file from any tree."""
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return (
        struct.pack("<4sIIII", b"glTF", 2, total, len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )


def test_static_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    texture = encode_png(rng.random((4, 8, 3)))
    uv = rng.random((4, 2)).astype(np.float32)
    parts = [
        replace(PART, colors=rng.random((4, 3)).astype(np.float32), base_color=(1.0, 0.5, 0.2, 1)),
        MeshPart("hat", VERTICES + 2, FACES[:2], uv=uv, texture=texture),
        MeshPart(
            "glass", VERTICES, FACES, colors=rng.random((4, 4)).astype(np.float32), unlit=True
        ),
    ]
    write_static(tmp_path / "a.glb", parts)
    model = read(tmp_path / "a.glb")
    assert model.animations == () and len(model.nodes) == 3
    for found, expected in zip(posed_parts(model), parts, strict=True):
        assert found.name == expected.name
        assert np.array_equal(found.vertices, expected.vertices)
        assert np.array_equal(found.faces, expected.faces)
        assert found.texture == expected.texture and found.unlit == expected.unlit
        np.testing.assert_allclose(found.base_color, expected.base_color, atol=1e-6)
        for field in ("normals", "uv", "colors"):
            value = getattr(expected, field)
            assert (getattr(found, field) is None) == (value is None)
            if value is not None:
                np.testing.assert_allclose(getattr(found, field), value, atol=2e-4)
    write_static(tmp_path / "b.glb", parts)
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()


def test_colours_are_stored_linear(tmp_path):
    grey = np.full((4, 3), 0.5)
    write_static(tmp_path / "a.glb", [replace(PART, colors=grey, base_color=(0.5, 0, 1, 0.5))])
    tree = tree_of(tmp_path / "a.glb")
    material = tree["materials"][0]
    np.testing.assert_allclose(
        material["pbrMetallicRoughness"]["baseColorFactor"], [0.21404114, 0, 1, 0.5], atol=1e-6
    )
    assert material["alphaMode"] == "BLEND"
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    assert accessor["normalized"] and accessor["componentType"] == 5123
    start = (tmp_path / "a.glb").read_bytes().index(b"BIN\0") + 4 + view["byteOffset"]
    stored = struct.unpack_from("<H", (tmp_path / "a.glb").read_bytes(), start)[0]
    assert stored == round(0.21404114 * 65535)


def test_indices_are_as_small_as_they_may_be(tmp_path):
    for count, kind in ((65535, 5123), (65536, 5125)):
        vertices = np.zeros((count, 3), np.float32)
        faces = np.array([[0, 1, count - 1]])
        write_static(tmp_path / "a.glb", [MeshPart("big", vertices, faces)])
        tree = tree_of(tmp_path / "a.glb")
        assert tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]][
            "componentType"
        ] == kind  # fmt: skip
        assert read(tmp_path / "a.glb").nodes[0].parts[0].faces.max() == count - 1


def test_node_animation_by_hand(tmp_path):
    # The root slides along x; the arm, 1 above it, turns by 90 degrees about z and doubles.
    nodes = [
        Node("root", translation=np.array([[0, 0, 0], [2, 0, 0], [0, 0, 4]], float)),
        Node(
            "arm",
            0,
            (PART, replace(PART, name="sleeve")),
            translation=(0, 1, 0),
            rotation=np.array([[0, 0, 0, 1], [0, 0, HALF, HALF], [0, 0, 0, 1]]),
            scale=np.array([[1, 1, 1], [2, 2, 2], [1, 1, 1]], float),
        ),
    ]
    write_node_animation(tmp_path / "a.glb", nodes, [0.0, 1.0, 2.0], name="wave")
    model = read(tmp_path / "a.glb")
    assert [n.name for n in model.nodes] == ["root", "arm"] and model.nodes[1].parent == 0
    assert [p.name for p in model.nodes[1].parts] == ["body", "sleeve"]
    assert model.animations[0].name == "wave" and model.animations[0].duration == 2.0
    moved = {t: posed_parts(model, t)[0] for t in (-1.0, 0.0, 0.5, 1.0, 1.5, 9.0)}
    # Vertex 1 is (1, 0, 0) in the arm. At t = 1: doubled, turned to +y, 1 up, 2 along x.
    np.testing.assert_allclose(moved[0.0].vertices[1], [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(moved[1.0].vertices[1], [2, 3, 0], atol=1e-6)
    # Half way: scale 1.5, turned by 45 degrees, root at x = 1.
    half = [1 + 1.5 * HALF, 1 + 1.5 * HALF, 0]
    np.testing.assert_allclose(moved[0.5].vertices[1], half, atol=1e-6)
    np.testing.assert_allclose(moved[1.5].vertices[1], [*half[:2], 2], atol=1e-6)
    np.testing.assert_allclose(moved[1.0].normals[1], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(moved[-1.0].vertices, moved[0.0].vertices)
    np.testing.assert_allclose(moved[9.0].vertices[0], [0, 1, 4], atol=1e-6)


def test_a_looping_animation_ends_where_it_began(tmp_path):
    shift = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 0, 0]], float)
    write_node_animation(
        tmp_path / "a.glb", [Node("a", parts=(PART,), translation=shift)], np.arange(4) / 8, True
    )
    model = read(tmp_path / "a.glb")
    assert model.animations[0].duration == 0.5
    x = [posed_nodes(model, t)[0].translation[0] for t in (0.25, 0.375, 0.4375, 0.5)]
    np.testing.assert_allclose(x, [2, 1, 0.5, 0], atol=1e-6)
    frames = VERTICES + shift[:, None]
    write_morph_animation(tmp_path / "b.glb", PART, frames, np.arange(4) / 8, loop=True)
    model = read(tmp_path / "b.glb")
    x = [posed_parts(model, t)[0].vertices[0, 0] for t in (0.25, 0.375, 0.4375, 0.5)]
    np.testing.assert_allclose(x, [2, 1, 0.5, 0], atol=1e-6)


def test_rotation_keys_take_the_short_way(tmp_path):
    # q and -q are one rotation; a player that mixes them linearly would turn the long way round.
    turn = np.array([[0, 0, 0, 1], [0, 0, -0.1, -0.99], [0, 0, 0.2, 0.98]])
    write_node_animation(tmp_path / "a.glb", [Node("a", parts=(PART,), rotation=turn)], [0, 1, 2])
    values = read(tmp_path / "a.glb").animations[0].channels[0].values
    assert ((values[1:] * values[:-1]).sum(axis=1) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
    assert values[1, 2] > 0


def test_morph_animation_by_hand(tmp_path):
    rng = np.random.default_rng(0)
    frames = VERTICES + np.concatenate((np.zeros((1, 4, 3)), rng.normal(size=(3, 4, 3))))
    frames = frames.astype(np.float32)
    times = [0.5, 1.0, 2.0, 2.5]
    normals = rng.normal(size=(4, 4, 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    write_morph_animation(tmp_path / "a.glb", PART, frames, times, normal_frames=normals)
    model = read(tmp_path / "a.glb")
    assert model.nodes[0].parts[0].morphs.shape == (3, 4, 3)  # the frame at rest needs no target
    for time, frame, normal in zip(times, frames, normals, strict=True):
        part = posed_parts(model, time)[0]
        np.testing.assert_allclose(part.vertices, frame, atol=1e-6)
        if time > 0.5:
            np.testing.assert_allclose(part.normals, normal, atol=1e-6)
    between = posed_parts(model, 1.25)[0].vertices
    np.testing.assert_allclose(between, 0.75 * frames[1] + 0.25 * frames[2], atol=1e-6)
    assert posed_parts(model, 1.25)[0].morphs is None


def test_interpolations():
    def value(kind, values, seconds):
        channel = Channel(0, "translation", np.array([1.0, 3.0]), np.array(values, float), kind)
        model = Model((Node("a"),), (Animation("m", (channel,)),))
        return posed_nodes(model, seconds)[0].translation

    ends = [[0, 0, 0], [4, 8, 0]]
    np.testing.assert_allclose(value("LINEAR", ends, 1.5), [1, 2, 0])
    np.testing.assert_allclose(value("STEP", ends, 2.9), [0, 0, 0])
    # Hermite at u = 1/2 over 2 s: mean of the values + 2 · (out-tangent − in-tangent) / 8.
    key0 = [[9, 9, 9], [0, 0, 0], [1, 0, 0]]
    key1 = [[-1, 0, 4], [4, 8, 0], [9, 9, 9]]
    found = value("CUBICSPLINE", [key0, key1], 2.0)
    np.testing.assert_allclose(found, [2 + 2 * 2 / 8, 4, 2 * -4 / 8])
    np.testing.assert_allclose(value("CUBICSPLINE", [key0, key1], 5.0), [4, 8, 0])


def test_a_mirroring_node_keeps_faces_outside():
    model = Model((Node("m", parts=(PART,), scale=(-1, 1, 1), translation=(0, 0, 5)),))
    part = posed_parts(model)[0]
    np.testing.assert_allclose(part.vertices[1], [-1, 0, 5])
    np.testing.assert_allclose(part.normals[1], [-1, 0, 0])

    def volume(mesh):
        a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
        return (a * np.cross(b, c)).sum() / 6

    assert volume(PART) == pytest.approx(1 / 6) and volume(part) == pytest.approx(1 / 6)


def test_foreign_features_are_read(tmp_path):
    """Strided, quantised and sparse data, a matrix node, no indices, nodes out of order."""
    strided = b"".join(struct.pack("<3f4x", *v) for v in VERTICES[:3])  # 48 bytes, 16 a vertex
    quantised = struct.pack("<3bx3bx3bx", 127, -127, 0, 64, 0, 0, -128, 0, 127)  # 12 bytes
    sparse = struct.pack("<Hxx3f", 2, 7, 8, 9)  # row 2 becomes (7, 8, 9)
    tree = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [1]}],
        "nodes": [
            {"mesh": 0},
            {"children": [0], "matrix": [0, 2, 0, 0, -2, 0, 0, 0, 0, 0, 2, 0, 5, 6, 7, 1]},
            {"name": "outside the scene", "mesh": 99},
        ],
        "meshes": [{"primitives": [
            {"attributes": {"POSITION": 0, "NORMAL": 1}}, {"attributes": {"POSITION": 2}}
        ]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5120, "normalized": True, "count": 3,
             "type": "VEC3"},
            {"componentType": 5126, "count": 3, "type": "VEC3", "sparse": {
                "count": 1, "indices": {"bufferView": 2, "componentType": 5123},
                "values": {"bufferView": 2, "byteOffset": 4}}},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 48, "byteStride": 16},
            {"buffer": 0, "byteOffset": 48, "byteLength": 12, "byteStride": 4},
            {"buffer": 0, "byteOffset": 60, "byteLength": 16},
        ],
        "buffers": [{"byteLength": 76}],
    }  # fmt: skip
    (tmp_path / "a.glb").write_bytes(glb(tree, strided + quantised + sparse))
    model = read(tmp_path / "a.glb")
    assert [node.parent for node in model.nodes] == [None, 0]
    first, second = model.nodes[1].parts
    assert np.array_equal(first.vertices, VERTICES[:3]) and first.faces.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(first.normals, [[1, -1, 0], [64 / 127, 0, 0], [-1, 0, 1]])
    assert second.vertices.tolist() == [[0, 0, 0], [0, 0, 0], [7, 8, 9]]
    # The matrix (column-major) turns x to y, doubles, and moves to (5, 6, 7).
    expected = [[0, -2, 0, 5], [2, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]]
    np.testing.assert_allclose(world_matrices(model.nodes)[1], expected, atol=1e-6)


def test_bad_files_are_one_sentence(tmp_path):
    write_static(tmp_path / "good.glb", [PART])
    data = (tmp_path / "good.glb").read_bytes()
    tree = tree_of(tmp_path / "good.glb")
    binary = data[data.index(b"BIN\0") + 4 :]

    def changed(**entries):
        return glb({**tree, **entries}, binary)

    loop = [{"children": [1]}, {"children": [0]}]
    lines = json.loads(json.dumps(tree["meshes"]))
    lines[0]["primitives"][0]["mode"] = 1
    accessors = json.loads(json.dumps(tree["accessors"]))
    accessors[0]["count"] = 10**12
    cases = [
        (b"", "is empty"),
        (b"solid stl", "is not a GLB"),
        (data[:15], "header is cut short"),
        (data[:-7], "damaged or cut short"),
        (data[:4] + struct.pack("<I", 1) + data[8:], "version 1"),
        (data[:20] + b"#" + data[21:], "no valid JSON"),
        (changed(nodes=loop), "two parents"),
        (changed(meshes=lines), "only points or lines"),
        (changed(meshes=[]), "damaged"),
        (changed(accessors=accessors), "outside buffer view"),
        (changed(nodes=[{}]), "holds no mesh"),
        (changed(nodes={"a": 1}), "damaged"),
        (changed(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco"),
        (changed(skins=[{"joints": [0]}], nodes=[{"mesh": 0, "skin": 0}]), "names no joints"),
        (changed(skins=[{"joints": []}], nodes=[{"mesh": 0, "skin": 0}]), "without joints"),
        (changed(buffers=[{"uri": "a.bin", "byteLength": 4}]), "outside the file"),
        (glb(tree, binary[:8]), "damaged"),
        (glb(tree, struct.pack("<f", np.nan) + binary[4:]), "NaN"),
    ]
    for content, words in cases:
        (tmp_path / "bad.glb").write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            read(tmp_path / "bad.glb")
        assert "bad.glb" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "absent.glb")


def test_random_damage_never_escapes_as_another_error(tmp_path):
    part = replace(PART, uv=np.zeros((4, 2)), texture=encode_png(np.zeros((2, 2, 3))))
    write_node_animation(
        tmp_path / "a.glb", [Node("a", parts=(part,), scale=np.ones((3, 3)))], [0, 1, 2]
    )
    data = (tmp_path / "a.glb").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            broken[rng.integers(0, len(broken))] = rng.integers(0, 256)
        (tmp_path / "b.glb").write_bytes(broken)
        try:
            read(tmp_path / "b.glb")
        except UserError:
            refused += 1
    assert refused > 100


def test_writers_refuse_what_makes_no_sense(tmp_path):
    path = tmp_path / "a.glb"
    moving, no_turn = np.zeros((2, 3)), np.zeros((2, 4))
    cases = [
        (lambda: write_static(path, []), "at least one"),
        (lambda: write_node_animation(path, [Node("a")], [0, 1]), "no node moves"),
        (lambda: write_node_animation(path, [Node("a", translation=moving)], [0]), "two or more"),
        (lambda: write_node_animation(path, [Node("a", translation=moving)], [1, 0]), "increasing"),
        (lambda: write_node_animation(path, [Node("a", translation=moving)], [0, 1, 2]), r"\[3\]"),
        (lambda: write_node_animation(path, [Node("a", 0, translation=moving)], [0, 1]), "parent"),
        (
            lambda: write_node_animation(path, [Node("a", rotation=no_turn)], [0, 1]),
            "zero",
        ),
        (lambda: write_node_animation(path, [Node("a", scale=moving * np.nan)], [0, 1]), "NaN"),
        (lambda: write_morph_animation(path, PART, VERTICES[None], [0]), "two or more"),
        (lambda: write_morph_animation(path, PART, np.stack([VERTICES] * 2), [0, 1]), "differs"),
        (lambda: MeshPart("a", VERTICES, FACES + 1), "outside 0 to 3"),
        (lambda: MeshPart("a", VERTICES * np.nan, FACES), "NaN"),
        (lambda: MeshPart("a", VERTICES, FACES, texture=b"x"), "uv"),
        (lambda: MeshPart("a", VERTICES, FACES, colors=np.zeros((4, 2))), "colors"),
        (lambda: MeshPart("a", VERTICES, FACES[:0]), "faces"),
    ]
    for action, words in cases:
        with pytest.raises(ValueError, match=words):
            action()
    assert list(tmp_path.iterdir()) == []
