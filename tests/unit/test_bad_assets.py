"""Bad assets on the command line: one sentence each, status 2, nothing written."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import struct

import numpy as np
import pytest
import tiny_asset
from bad_input import animate124, assert_one_sentence  # noqa: F401

from animate124.media.ply import GaussianArrays, write_gaussians


def glb(change=None, **entries):
    """A maker of the box as GLB, its tree or its bytes changed."""

    def make(folder):
        path = tiny_asset.write_glb(folder / "a.glb")
        data = tiny_asset.patched(path.read_bytes(), **entries)
        path.write_bytes(change(data) if change else data)
        return path

    return make


def obj(change=lambda text: text, without=()):
    """A maker of the box as OBJ, its text changed, or files beside it missing."""

    def make(folder):
        path = tiny_asset.write_obj(folder / "a.obj")
        path.write_text(change(path.read_text()))
        for name in without:
            (folder / name).unlink()
        return path

    return make


def file(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def ply(change):
    def make(folder):
        path = tiny_asset.write_ply(folder / "a.ply")
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def folder(place):
    (place / "a.glb").mkdir()
    return place / "a.glb"


def first_float(value):
    """The first coordinate of the first vertex becomes `value`."""

    def change(data):
        start = 20 + struct.unpack_from("<I", data, 12)[0] + 8
        return data[:start] + struct.pack("<f", value) + data[start + 4 :]

    return change


def all_equal(data):
    """Every vertex of the box at one place."""
    start = 20 + struct.unpack_from("<I", data, 12)[0] + 8
    return data[:start] + struct.pack("<3f", 1, 2, 3) * 24 + data[start + 24 * 12 :]


def mode(value):
    def change(meshes):
        meshes[0]["primitives"][0]["mode"] = value
        return meshes

    return change


def sparse_range(accessors):
    accessors[0]["count"] = 99
    return accessors


def outside_indices(data):
    """The last index becomes 200, of 24 vertices."""
    position = data.rindex(struct.pack("<HH", 22, 23))
    return data[: position + 2] + struct.pack("<H", 200) + data[position + 4 :]


def cloud(**values):
    def make(place):
        arrays = {
            "positions": np.random.default_rng(0).normal(size=(9, 3)),
            "sh": np.zeros((9, 1, 3)),
            "opacity_logits": np.ones(9),
            "log_scales": np.zeros((9, 3)),
            "rotations": np.ones((9, 4)),
        }
        path = place / "a.ply"
        write_gaussians(path, GaussianArrays(**{**arrays, **values}))
        return path

    return make


def nan_cloud(place):
    path = cloud()(place)
    path.write_bytes(path.read_bytes()[:-4] + struct.pack("<f", np.nan))
    return path


def large(count):
    """A GLB of `count` triangles without indices, all alike."""

    def make(place):
        from test_media_glb_foreign import Packer

        p = Packer()
        corners = np.tile(np.eye(3), (count, 1))
        p.tree["nodes"] = [{"mesh": 0}]
        p.tree["meshes"] = [{"primitives": [{"attributes": {"POSITION": p.floats(corners)}}]}]
        p.write(place / "a.glb")
        return place / "a.glb"

    return make


POINTS = b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
POINTS += b"property float z\nend_header\n0 0 0\n1 1 1\n"
KTX = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(64)

# Name: how the asset is made, and words of the sentence.
ASSETS = {
    "missing": (lambda place: place / "a.glb", ("does not exist", "check the path")),
    "a folder": (folder, ("is a folder", "give the file in it")),
    "empty glb": (file("a.glb", b""), ("is empty", "give another file")),
    "empty obj": (file("a.obj", b""), ("is empty", "give another file")),
    "empty ply": (file("a.ply", b""), ("is empty", "give another file")),
    "unknown suffix": (file("a.fbx", b"Kaydara FBX"), ("suffix .fbx", "convert it to GLB")),
    "no suffix": (file("asset", b"glTF"), ("(none)", "convert it to GLB")),
    "another format inside": (file("a.glb", b"solid stl"), ("not a GLB file", "export the asset")),
    "version 1": (glb(lambda d: d[:4] + struct.pack("<I", 1) + d[8:]), ("version 1", "version 2")),
    "truncated glb": (glb(lambda d: d[:-100]), ("damaged or cut short", "export it again")),
    "broken json": (glb(lambda d: d[:20] + b"#" + d[21:]), ("no valid JSON", "export it again")),
    "nan": (glb(first_float(np.nan)), ("NaN or infinity", "export it again")),
    "infinity": (glb(first_float(np.inf)), ("NaN or infinity", "export it again")),
    "no meshes": (glb(nodes=[{"name": "empty"}]), ("holds no mesh", "with its meshes")),
    "only points": (glb(meshes=mode(0)), ("only points or lines", "triangle meshes")),
    "only lines": (glb(meshes=mode(1)), ("only points or lines", "triangle meshes")),
    "no extent": (glb(all_equal), ("no extent", "export it again")),
    "indices out of range": (glb(outside_indices), ("outside 0 to 23", "export it again")),
    "accessor out of range": (glb(accessors=sparse_range), ("reaches outside", "export it again")),
    "draco": (
        glb(extensionsRequired=["KHR_draco_mesh_compression"]),
        ("Draco compression", "export it without compression"),
    ),
    "meshopt": (
        glb(extensionsRequired=["EXT_meshopt_compression"]),
        ("meshopt compression", "export it without compression"),
    ),
    "ktx2 required": (
        glb(extensionsRequired=["KHR_texture_basisu"]),
        ("KTX2 textures", "PNG or JPEG"),
    ),
    "ktx2 inside": (
        lambda place: (
            (place / "a.ktx2").write_bytes(KTX) and glb(images=[{"uri": "a.ktx2"}])(place)
        ),
        ("KTX2 textures", "PNG or JPEG"),
    ),
    "an extension of tomorrow": (
        glb(extensionsRequired=["EXT_future"]),
        ("EXT_future", "without that extension"),
    ),
    "missing texture": (glb(images=[{"uri": "skin.png"}]), ("skin.png", "put it there")),
    "texture on the net": (
        glb(images=[{"uri": "https://example.org/a.png"}]),
        ("not fetched", "everything embedded"),
    ),
    "missing buffer": (
        glb(buffers=lambda b: [{**b[0], "uri": "a.bin"}]),
        ("a.bin", "put it there"),
    ),
    "texture that is no picture": (
        glb(lambda d: d.replace(b"\x89PNG", b"\x89GNP")),
        ("material 'box'", "convert it or give another"),
    ),
    "skin without joints": (
        glb(skins=[{"joints": []}], nodes=[{"mesh": 0, "skin": 0}]),
        ("without joints", "skin applied"),
    ),
    "mesh without joints": (
        glb(skins=[{"joints": [0]}], nodes=[{"mesh": 0, "skin": 0}]),
        ("names no joints", "skin applied"),
    ),
    "nodes in a circle": (
        glb(nodes=[{"mesh": 0, "children": [1]}, {"children": [0]}]),
        ("two parents", "export it again"),
    ),
    "obj without faces": (
        obj(lambda text: "\n".join(line for line in text.split("\n") if line[:2] != "f ")),
        ("no faces", "export a mesh"),
    ),
    "obj with words for numbers": (
        obj(lambda text: text.replace("v 8", "v eight", 1)),
        ("damaged or cut short in line", "export it again"),
    ),
    "obj index out of range": (obj(lambda text: text + "\nf 1 2 99"), ("number 99 of 24",)),
    "obj without its materials": (obj(without=["box.mtl"]), ("box.mtl", "put it beside")),
    "obj without its texture": (obj(without=["paint.png"]), ("paint.png", "put it beside")),
    "truncated ply": (ply(lambda d: d[:-9]), ("cut short", "export it again")),
    "ply of nothing known": (ply(lambda d: b"plx" + d[3:]), ("not a PLY file", "export it again")),
    "ply of points": (file("a.ply", POINTS), ("points without faces", "give a mesh")),
    "ply index out of range": (
        ply(lambda d: d[:-4] + struct.pack("<i", 777)),
        ("outside 0 to 23", "export it again"),
    ),
    "gaussians not finite": (nan_cloud, ("NaN or infinity", "export it again")),
    "gaussians at one place": (cloud(positions=np.ones((9, 3))), ("no extent", "export it again")),
}


def refused(animate124, make, place, words, *more):
    path = make(place)
    path = place / "a.glb" if path is None else path
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    out = place / "out"
    status, errors = animate124("intake", str(path), "--out", str(out), *more)
    assert status == 2, errors
    assert_one_sentence(errors, words)
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
    assert not out.exists() and not list(place.glob(".*"))


@pytest.mark.parametrize("name", ASSETS)
def test_bad_assets(name, tmp_path, animate124):
    make, words = ASSETS[name]
    refused(animate124, make, tmp_path, words)


def test_absurd_size(tmp_path, animate124):
    words = ("500,001 triangles", "more than 500,000", "decimate it", "--set max_triangles=N")
    refused(animate124, large(500_001), tmp_path, words)


def test_limits_are_settings(tmp_path, animate124):
    words = ("12 triangles, more than 11",)
    refused(animate124, tiny_box, tmp_path, words, "--set", "max_triangles=11")
    words = ("9 Gaussians, more than 8", "prune it")
    refused(animate124, cloud(), tmp_path, words, "--set", "max_gaussians=8")


def tiny_box(place):
    return tiny_asset.write_glb(place / "a.glb")


def test_bad_settings(tmp_path, animate124):
    refused(animate124, tiny_box, tmp_path, ("up",), "--set", "up=w")
    refused(animate124, tiny_box, tmp_path, ("front",), "--set", "front=north")
    refused(animate124, tiny_box, tmp_path, ("radius",), "--set", "radius=0")
