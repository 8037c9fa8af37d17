"""Parts to triangles: one mesh per rig, with analytic normals, texture coordinates and rest paint
positions.

Every part is one or more charts, grids of points over the unit square; the mesh repeats points
along chart borders so that each has one texture coordinate, and `weld` names the repeated ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from animate124.toybox.clip import Clip
from animate124.toybox.profiles import Profile, divided, profile_of, segments
from animate124.toybox.rig import Part, Rig, euler_matrix

# Chord errors in world units; a pixel of a 64² image at the default camera is 0.025 wide.
COARSE, FINE, FINEST = 0.002, 0.0008, 0.0003

# Longest straight edge, in world units, of a mesh that is to bend.
BENDING_EDGE = 0.03

# A box's edge radius as a share of its smallest half-extent.
EDGE = 0.15

# Half the share of its field that a box's face takes in uv: the rest keeps the six faces apart.
_INSET = 0.46


@dataclass(frozen=True, eq=False)
class Mesh:
    """The rest surface of a rig. It is cached: its arrays are not to be written to.

    `rest` [V, 3] rest world positions and `normals` [V, 3] unit normals, float64; `local` [V, 3]
    positions in the part's own space, where paint is evaluated; `uv` [V, 2] in [0, 1] over the
    part's own chart square, v upwards; `faces` [T, 3] int32 counter-clockwise from outside; `part`
    [V], `joint` [V], `face_part` [T] int32 indices into the rig; `weld` [V] int32, the first vertex
    at the same place of the same part.
    """

    rest: np.ndarray
    normals: np.ndarray
    local: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    joint: np.ndarray
    face_part: np.ndarray
    weld: np.ndarray


@dataclass(frozen=True, eq=False)
class Chart:
    """A grid of surface points [R, C, 3] with unit normals [R, C, 3] and uv [R, C, 2].

    Columns run to the right and rows upwards, seen from outside.
    """

    points: np.ndarray
    normals: np.ndarray
    uv: np.ndarray


def tolerance_for(pixels: int) -> float:
    """Chord error that is a fraction of a pixel in images `pixels` high (subsamples counted).

    Three levels only, so that a rig is tessellated at most three times.
    """
    if pixels <= 96:
        return COARSE
    return FINE if pixels <= 320 else FINEST


def clip_mesh(clip: Clip, tolerance: float = FINE) -> Mesh:
    """The clip's mesh; one that deforms has flat stretches divided too, so that they can bend."""
    return tessellate(clip.rig, tolerance, np.inf if clip.deform is None else BENDING_EDGE)


@lru_cache(maxsize=64)
def tessellate(rig: Rig, tolerance: float = FINE, edge: float = np.inf) -> Mesh:
    """Triangles of all parts of `rig`.

    Vertices lie on the true surface; chords cut at most `tolerance` world units below it in each of
    its two directions, so a face that curves both ways at most twice that. Straight stretches of
    boxes and solids of revolution are divided into steps of at most `edge` world units.
    """
    rest, normals, local, uv, faces, part_ids, weld = [], [], [], [], [], [], []
    offset = 0
    for index, part in enumerate(rig.parts):
        points, directions, square, triangles = _part_mesh(part, tolerance, edge)
        turn = euler_matrix(part.rotation)
        rest.append(points @ turn.T + np.asarray(part.position))
        normals.append(directions @ turn.T)
        local.append(points)
        uv.append(square)
        faces.append(triangles + offset)
        weld.append(_weld(points, tolerance) + offset)
        part_ids.append(np.full(len(points), index))
        offset += len(points)
    part = np.concatenate(part_ids).astype(np.int32)
    joint_of = np.array([rig.index(p.joint) for p in rig.parts], np.int32)
    triangles = np.concatenate(faces).astype(np.int32)
    return Mesh(
        rest=np.concatenate(rest),
        normals=np.concatenate(normals),
        local=np.concatenate(local),
        uv=np.concatenate(uv),
        faces=triangles,
        part=part,
        joint=joint_of[part],
        face_part=part[triangles[:, 0]],
        weld=np.concatenate(weld).astype(np.int32),
    )


def smooth_normals(mesh: Mesh, vertices: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals [V, 3] of `mesh` with its rest vertices moved to [V, 3].

    Repeated vertices share one normal, so chart borders stay invisible.
    """
    a, b, c = (vertices[mesh.faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(total, mesh.weld[mesh.faces[:, k]], area)
    total = total[mesh.weld]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-30), mesh.normals)


def _part_mesh(part: Part, tolerance: float, edge: float):
    """Points [V, 3], normals [V, 3], uv [V, 2] in part space, and triangles [T, 3] of one part."""
    charts = _CHARTS[part.kind](part, tolerance, edge)
    points, normals, uv, faces = [], [], [], []
    offset = 0
    for chart in charts:
        rows, columns = chart.points.shape[:2]
        corner = np.arange(rows * columns).reshape(rows, columns) + offset
        a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
        faces += [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        points.append(chart.points.reshape(-1, 3))
        normals.append(chart.normals.reshape(-1, 3))
        uv.append(chart.uv.reshape(-1, 2))
        offset += rows * columns
    vertices, triangles = np.concatenate(points), np.concatenate(faces)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    # A pole is a whole row of equal points: half of its triangles have no area.
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    solid = triangles[area > 1e-12]
    return vertices, np.concatenate(normals), np.concatenate(uv), solid


def _weld(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Index [V] of the first point at each point's place (to a thousandth of the tolerance)."""
    keys = np.round(points / (1e-3 * tolerance)).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)]


def _revolved(profile: Profile, columns: int, squash=(1.0, 1.0)) -> Chart:
    """Turn a profile about y; `squash` scales x and z. The seam lies at the back (−z)."""
    angle = np.linspace(-np.pi, np.pi, columns + 1)
    # Written twice with equal values so that the seam's two columns coincide exactly.
    sin, cos = np.sin(angle), np.cos(angle)
    sin[-1], cos[-1] = sin[0], cos[0]
    r, y, nr, ny = (profile.samples[:, k, None] for k in range(4))
    flat = np.ones_like(sin)
    points = np.stack([r * sin * squash[0], y * flat, r * cos * squash[1]], -1)
    normals = np.stack([nr * sin / squash[0], ny * flat, nr * cos / squash[1]], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    length = np.hypot(np.diff(r[:, 0]), np.diff(y[:, 0]))
    v = np.concatenate([[0.0], np.cumsum(length)]) / length.sum()
    u = (angle + np.pi) / (2 * np.pi)
    return Chart(points, normals, np.stack(np.broadcast_arrays(u[None], v[:, None]), -1))


def _solid_of_revolution(part: Part, tolerance: float, edge: float) -> list[Chart]:
    profile = divided(profile_of(part.kind, part.size, tolerance), edge)
    return [_revolved(profile, segments(profile.samples[:, 0].max(), tolerance))]


def _ellipsoid(part: Part, tolerance: float, edge: float) -> list[Chart]:
    x, y, z = part.size
    columns = segments(max(x, y, z), tolerance)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, columns // 2 + 1)
    r, h = np.cos(latitude), np.sin(latitude)
    r[[0, -1]] = 0.0
    profile = Profile(np.stack([r, h * y, r, h / y], -1))
    return [_revolved(profile, columns, squash=(x, z))]


def _torus(part: Part, tolerance: float, edge: float) -> list[Chart]:
    ring, tube = part.size[0], part.size[1]
    angle = np.linspace(-np.pi, np.pi, segments(tube, tolerance) + 1)
    nr, ny = np.cos(angle), np.sin(angle)
    nr[-1], ny[-1] = nr[0], ny[0]
    profile = Profile(np.stack([ring + tube * nr, tube * ny, nr, ny], -1))
    return [_revolved(profile, segments(ring + tube, tolerance))]


def _box(part: Part, tolerance: float, edge: float) -> list[Chart]:
    """Six charts in a 3×2 layout; each edge is a quarter cylinder shared by two charts."""
    half = np.asarray(part.size, float)
    radius = EDGE * half.min()
    steps = int(np.ceil(segments(radius, tolerance) / 8))
    bend = np.tan(np.linspace(0.0, np.pi / 4, steps + 1))
    charts = []
    for face in range(6):
        axis, sign = face // 2, 1.0 - 2.0 * (face % 2)
        right, up = (axis + 1) % 3, (axis + 2) % 3
        if sign < 0:
            right, up = up, right
        lines = []
        for k in (right, up):
            # Flat middle from −(h − r) to h − r, then the bend as equal angles up to 45 degrees.
            flat = half[k] - radius
            middle = np.linspace(-flat, flat, int(np.ceil(2 * flat / edge)) + 1)[1:-1]
            lines.append(
                np.concatenate([-flat - radius * bend[::-1], middle, flat + radius * bend])
            )
        cube = np.zeros((len(lines[1]), len(lines[0]), 3))
        cube[..., axis] = sign * half[axis]
        cube[..., right], cube[..., up] = lines[0][None], lines[1][:, None]
        core = np.clip(cube, radius - half, half - radius)
        normals = cube - core
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        u = (0.5 + _INSET * lines[0] / half[right] + face % 3) / 3
        v = (0.5 + _INSET * lines[1] / half[up] + face // 3) / 2
        uv = np.stack(np.broadcast_arrays(u[None], v[:, None]), -1)
        charts.append(Chart(core + radius * normals, normals, uv))
    return charts


_CHARTS: dict[str, Callable[[Part, float, float], list[Chart]]] = {
    "ellipsoid": _ellipsoid,
    "capsule": _solid_of_revolution,
    "cone": _solid_of_revolution,
    "cylinder": _solid_of_revolution,
    "box": _box,
    "torus": _torus,
}
