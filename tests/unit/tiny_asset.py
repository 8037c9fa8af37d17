"""A small textured box as an asset, in every format, and helpers to look at it."""

import struct

import numpy as np

from animate124.media.glb import MeshPart, write_static
from animate124.media.images import encode_png
from animate124.media.ply import GaussianArrays, write_gaussians, write_mesh

# A box 4 wide (x), 2 high (y), 1 deep (z), whose middle is (10, 20, 30). Each side has its own four
# vertices, so every corner is stored three times.
SIZE, MIDDLE = np.array([4.0, 2.0, 1.0]), np.array([10.0, 20.0, 30.0])
HALF_DIAGONAL = np.sqrt(4**2 + 2**2 + 1) / 2


def box(texture=True, name="box"):
    """24 vertices, 12 triangles; its texture has a colour a side: +x, -x, +y, -y, +z, -z."""
    vertices, normals, uv, faces = [], [], [], []
    for side in range(6):
        axis, sign = side // 2, 1.0 - 2.0 * (side % 2)
        right, up = (axis + 1) % 3, (axis + 2) % 3
        if sign < 0:
            right, up = up, right
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            corner = np.zeros(3)
            corner[axis], corner[right], corner[up] = sign, a, b
            vertices.append(corner * SIZE / 2 + MIDDLE)
            normals.append(np.eye(3)[axis] * sign)
            uv.append(((side + 0.5 + 0.3 * a) / 6, 0.5 + 0.3 * b))
        faces += [[4 * side, 4 * side + 1, 4 * side + 2], [4 * side, 4 * side + 2, 4 * side + 3]]
    return MeshPart(
        name,
        np.array(vertices, np.float32),
        np.array(faces),
        np.array(normals, np.float32),
        uv=np.array(uv, np.float32),
        texture=picture() if texture else None,
    )


COLOURS = np.array(
    [[255, 0, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [0, 0, 255], [255, 255, 0]], np.uint8
)


def picture():
    return encode_png(np.repeat(np.repeat(COLOURS[None], 8, 0), 8, 1))


def write_glb(path):
    write_static(path, [box()])
    return path


def write_obj(path):
    """The same box as OBJ with a material and its texture, as quads."""
    part = box()
    lines = ["mtllib box.mtl", "usemtl paint"]
    lines += [f"v {x} {y} {z}" for x, y, z in part.vertices.tolist()]
    lines += [f"vt {u} {1 - v}" for u, v in part.uv.tolist()]
    lines += [f"vn {x} {y} {z}" for x, y, z in part.normals.tolist()]
    corners = [[4 * side + k + 1 for k in range(4)] for side in range(6)]
    lines += ["f " + " ".join(f"{c}/{c}/{c}" for c in four) for four in corners]
    path.write_text("\n".join(lines))
    (path.parent / "box.mtl").write_text("newmtl paint\nKd 1 1 1\nmap_Kd paint.png\n")
    (path.parent / "paint.png").write_bytes(picture())
    return path


def write_ply(path):
    part = box()
    colours = np.repeat(COLOURS, 4, axis=0) / np.float32(255)
    write_mesh(path, MeshPart("box", part.vertices, part.faces, part.normals, colors=colours))
    return path


def write_cloud(path):
    """Gaussians all over the box, in the box's colours, y downwards and facing -z."""
    rng = np.random.default_rng(0)
    part = box()
    side = rng.integers(0, 6, 4000)
    u, v = rng.random((2, 4000, 1))
    corners = part.vertices.reshape(6, 4, 3)[side]
    points = (
        corners[:, 0] + u * (corners[:, 1] - corners[:, 0]) + v * (corners[:, 3] - corners[:, 0])
    )
    points *= [1, -1, -1]
    write_gaussians(
        path,
        GaussianArrays(
            points.astype(np.float32),
            ((COLOURS[side] / 255 - 0.5) / 0.28209479).astype(np.float32)[:, None],
            np.full(4000, 4.0, np.float32),
            np.full((4000, 3), np.log(0.12), np.float32),
            np.tile(np.float32([1, 0, 0, 0]), (4000, 1)),
        ),
    )
    return path


def patched(data, **entries):
    """A GLB file's bytes with other entries in its JSON tree; None deletes one."""
    import json

    (length,) = struct.unpack_from("<I", data, 12)
    tree, binary = json.loads(data[20 : 20 + length]), data[20 + length :]
    for name, value in entries.items():
        if value is None:
            tree.pop(name, None)
        else:
            tree[name] = value(tree[name]) if callable(value) else value
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(binary), len(text), 0x4E4F534A)
    return head + text + binary
