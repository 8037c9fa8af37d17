"""OBJ and MTL files written out by hand."""

import numpy as np
import pytest

from animate124.errors import UserError
from animate124.media.images import encode_png
from animate124.media.obj import read_obj

WHITE = encode_png(np.ones((2, 2, 3)))
QUAD = """# a square and a triangle
mtllib look.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 0.75
vn 0 0 1
usemtl red thing
f 1/1/1 2/2/1 3/3/1 \\
  4/4/1
"""
LOOK = """newmtl red thing
Kd 0 0 0
map_Kd -s 1 1 1 -clamp on textures\\my skin.png
newmtl blue
Kd 0.25 0.5 1
d 0.5
newmtl bare
"""


def write(folder, obj=QUAD, mtl=LOOK):
    (folder / "a.obj").write_text(obj)
    (folder / "look.mtl").write_text(mtl)
    (folder / "my skin.png").write_bytes(WHITE)
    return folder / "a.obj"


def test_a_textured_quad(tmp_path):
    (part,) = read_obj(write(tmp_path))
    assert part.name == "red thing" and part.texture == WHITE
    assert part.base_color == (1, 1, 1, 1)  # black beside a texture means the texture
    assert part.material.double_sided and part.colors is None
    assert part.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert part.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert part.uv.tolist() == [[0, 1], [1, 1], [1, 0], [0, 0.25]]  # v runs downwards here
    assert part.normals.tolist() == [[0, 0, 1]] * 4


def test_negative_numbers_and_several_materials(tmp_path):
    more = "usemtl blue\nf -4 -3 -2\nusemtl red thing\nf 1/2/1 2/1/1 4/1/1\n"
    red, blue = read_obj(write(tmp_path, QUAD + more))
    assert len(red.faces) == 3 and len(red.vertices) == 7  # (1/1, 1/2), (2/2, 2/1), 3, (4/4, 4/1)
    assert blue.vertices[blue.faces[0]].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert blue.uv is None and blue.normals is None and blue.texture is None
    assert blue.base_color == (0.25, 0.5, 1.0, 0.5)


def test_vertex_colours(tmp_path):
    text = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 0.5\nf 1 2 3\n"
    (part,) = read_obj(write(tmp_path, text))
    assert part.colors.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0.5]]
    assert part.base_color == (1, 1, 1, 1) and part.name == "a"


def test_vertices_defined_after_the_face(tmp_path):
    (part,) = read_obj(write(tmp_path, "f 1 2 3\nv 0 0 0\nv 1 0 0\nv 0 1 0\n"))
    assert part.vertices[part.faces[0]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


BAD = {
    "no faces": ("v 0 0 0\np 1\nl 1 1\n", LOOK, "no faces"),
    "empty": ("", LOOK, "is empty"),
    "no text": ("v\0", LOOK, "no text"),
    "cut short": (QUAD[:60], LOOK, "no faces|cut short in line"),
    "outside": (QUAD + "f 1 2 9\n", LOOK, "names number 9 of 4"),
    "zero": (QUAD + "f 0 1 2\n", LOOK, "number 0 of 4"),
    "too negative": (QUAD + "f -9 1 2\n", LOOK, "number -9 of 4"),
    "words": (QUAD + "v one two three\n", LOOK, "line 15"),
    "nan": (QUAD.replace("v 1 1 0", "v nan 1 0"), LOOK, "NaN"),
    "no mtl": (QUAD.replace("look.mtl", "gone.mtl"), LOOK, "gone.mtl, which is missing"),
    "no texture": (QUAD, LOOK.replace("my skin", "gone"), r"gone\.png', which is missing"),
    "bad mtl": (QUAD, LOOK + "Kd red\n", "damaged in line 8"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path, name):
    obj, mtl, words = BAD[name]
    with pytest.raises(UserError, match=words) as caught:
        read_obj(write(tmp_path, obj, mtl))
    assert "\n" not in str(caught.value)


def test_paths(tmp_path):
    for path, words in ((tmp_path, "folder"), (tmp_path / "gone.obj", "does not exist")):
        with pytest.raises(UserError, match=words):
            read_obj(path)
