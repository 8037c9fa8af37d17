"""PLY files: exact layout, round trips, foreign variants, damage."""

import struct

import numpy as np
import pytest

from animate124.errors import UserError
from animate124.media.glb import MeshPart
from animate124.media.ply import (
    GaussianArrays,
    read_gaussians,
    read_mesh,
    write_gaussians,
    write_mesh,
)

TETRAHEDRON = MeshPart(
    name="a",
    vertices=np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32),
    faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


def gaussians(count=5, coefficients=4):
    rng = np.random.default_rng(0)
    shapes = ((count, 3), (count, coefficients, 3), (count,), (count, 3), (count, 4))
    return GaussianArrays(*(rng.normal(size=s).astype(np.float32) for s in shapes))


@pytest.mark.parametrize("coefficients", [1, 4, 9, 16])
def test_gaussian_round_trip(tmp_path, coefficients):
    expected = gaussians(7, coefficients)
    write_gaussians(tmp_path / "a.ply", expected)
    found = read_gaussians(tmp_path / "a.ply")
    for name in ("positions", "sh", "opacity_logits", "log_scales", "rotations"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_gaussian_layout_is_the_standard_one(tmp_path):
    cloud = gaussians(2, 4)
    write_gaussians(tmp_path / "a.ply", cloud)
    header, data = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 2"]
    names = "x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 f_rest_0 f_rest_1 f_rest_2 f_rest_3 f_rest_4"
    names += " f_rest_5 f_rest_6 f_rest_7 f_rest_8 opacity scale_0 scale_1 scale_2"
    names += " rot_0 rot_1 rot_2 rot_3"
    assert lines[3:] == [f"property float {name}" for name in names.split()]
    second = struct.unpack("<26f", data[104:])
    assert second[3:6] == (0, 0, 0)
    # f_rest runs over all red coefficients first, then green, then blue.
    assert second[9:12] == tuple(cloud.sh[1, 1:, 0]) and second[15:18] == tuple(cloud.sh[1, 1:, 2])
    assert second[18] == cloud.opacity_logits[1]


@pytest.mark.parametrize("channels", [0, 3, 4])
def test_mesh_round_trip(tmp_path, channels):
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (4, channels)) / np.float32(255) if channels else None
    normals = rng.normal(size=(4, 3)).astype(np.float32) if channels else None
    part = MeshPart("a", TETRAHEDRON.vertices, TETRAHEDRON.faces, normals, colors=colors)
    write_mesh(tmp_path / "cube.ply", part)
    found = read_mesh(tmp_path / "cube.ply")
    assert found.name == "cube"
    assert np.array_equal(found.vertices, part.vertices)
    assert np.array_equal(found.faces, part.faces)
    for name in ("normals", "colors"):
        expected = getattr(part, name)
        assert (getattr(found, name) is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(getattr(found, name), expected, atol=1e-7)


def test_text_and_big_endian_meshes(tmp_path):
    text = """ply
format ascii 1.0
comment made by hand
element vertex 3
property double x
property double y
property double z
property uchar red
property uchar green
property uchar blue
element face 1
property list uchar int vertex_index
property uchar flags
end_header
0 0 0 255 0 0
1.5 0 0 0 255 0
0 2 0 0 0 51
3 0 1 2 9
"""
    (tmp_path / "text.ply").write_text(text)
    header = text.split("0 0 0 255")[0].replace("ascii", "binary_big_endian")
    rows = ((0, 0, 0, 255, 0, 0), (1.5, 0, 0, 0, 255, 0), (0, 2, 0, 0, 0, 51))
    data = b"".join(struct.pack(">3d3B", *row) for row in rows) + struct.pack(
        ">B3iB", 3, 0, 1, 2, 9
    )
    (tmp_path / "binary.ply").write_bytes(header.encode() + data)
    for name in ("text", "binary"):
        part = read_mesh(tmp_path / f"{name}.ply")
        assert part.vertices.tolist() == [[0, 0, 0], [1.5, 0, 0], [0, 2, 0]]
        assert part.faces.tolist() == [[0, 1, 2]]
        np.testing.assert_allclose(part.colors[2], [0, 0, 0.2], atol=1e-7)


def test_bad_files_are_one_sentence(tmp_path):
    write_gaussians(tmp_path / "cloud.ply", gaussians())
    write_mesh(tmp_path / "mesh.ply", TETRAHEDRON)
    cloud, mesh = (tmp_path / "cloud.ply").read_bytes(), (tmp_path / "mesh.ply").read_bytes()
    nan = (
        cloud.split(b"end_header\n")[0] + b"end_header\n" + np.full(26 * 5, np.nan, "<f4").tobytes()
    )
    cases = [
        (read_gaussians, b"", "damaged"),
        (read_gaussians, b"hello", "does not begin with 'ply'"),
        (read_gaussians, cloud[:-1], "damaged, cut short"),
        (read_gaussians, cloud[:100], "header has no end"),
        (read_gaussians, cloud.replace(b"property float x", b"property quad x"), "damaged"),
        (read_gaussians, cloud.replace(b"format", b"fromat"), "means nothing"),
        (read_gaussians, cloud.replace(b"vertex 5", b"vertex five"), "damaged"),
        (read_gaussians, cloud.replace(b"vertex 5", b"vertex 999999999999"), "damaged"),
        (read_gaussians, cloud.replace(b"float f_rest_8", b"float g_rest_8"), "8 f_rest"),
        (read_gaussians, nan, "NaN"),
        (read_gaussians, mesh, "no Gaussian cloud"),
        (read_mesh, cloud, "no element 'face'"),
        (read_mesh, mesh[:-2], "damaged, cut short"),
        (read_mesh, mesh[:-13] + b"\x04" + mesh[-12:], "damaged, cut short"),
        (read_mesh, mesh[:-4] + struct.pack("<i", 77), "outside 0 to 3"),
    ]
    for reader, content, words in cases:
        (tmp_path / "bad.ply").write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            reader(tmp_path / "bad.ply")
        assert "bad.ply" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        read_mesh(tmp_path / "absent.ply")


def test_arrays_that_do_not_fit_are_refused():
    good = gaussians()
    with pytest.raises(ValueError, match="rotations"):
        GaussianArrays(
            good.positions, good.sh, good.opacity_logits, good.log_scales, good.log_scales
        )
    with pytest.raises(ValueError, match="sh must be"):
        GaussianArrays(
            good.positions, good.sh[:, :2], good.opacity_logits, good.log_scales, good.rotations
        )


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_polygons_of_several_sizes(tmp_path, form):
    """A quad and a triangle: three triangles; the file's last element is read past."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]], "<f4")
    header = f"""ply
format {form} 1.0
element vertex 5
property float x
property float y
property float z
element face 2
property list uchar int vertex_indices
end_header
"""
    if form == "ascii":
        rows = [" ".join(map(str, p)) for p in points.tolist()]
        data = ("\n".join(rows) + "\n4 0 1 2 3\n3 1 4 2\n").encode()
    else:
        data = points.tobytes() + struct.pack("<B4iB3i", 4, 0, 1, 2, 3, 3, 1, 4, 2)
    (tmp_path / "a.ply").write_bytes(header.encode() + data)
    part = read_mesh(tmp_path / "a.ply")
    assert sorted(part.faces.tolist()) == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
    assert part.material.double_sided
