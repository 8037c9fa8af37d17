"""What a GLB file holds, as plain arrays (`pose` tells where its parts stand at a moment).

World as everywhere (right-handed, +y up, the subject faces +z), which is glTF's own. Times are in
seconds, quaternions are (x, y, z, w), colours are sRGB in [0, 1] (glTF stores them linear; the
writer and the reader convert), texture coordinate (0, 0) is the top left corner of the picture.
"""

from dataclasses import dataclass, field

import numpy as np

from animate124.media.glb.material import Material
from animate124.media.glb.skin import Skin


@dataclass(frozen=True)
class MeshPart:
    """One triangle mesh with one material.

    vertices [V, 3]; faces [F, 3] integers, counter-clockwise seen from outside; normals [V, 3];
    uv [V, 2]; colors [V, 3] or [V, 4] sRGB; texture: PNG or JPEG bytes, needs uv; base_color sRGB
    with alpha, multiplies colours and texture; unlit: show the colours as they are, because they
    already hold their light; material: the rest of how it looks; morphs [M, V, 3] vertex
    displacements and morph_normals [M, V, 3] normal displacements, one per morph target;
    joints [V, K] integers and weights [V, K], which joints of its node's skin carry a vertex.

    Raises:
        ValueError: arrays that do not fit together, or values that are not finite.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    uv: np.ndarray | None = None
    colors: np.ndarray | None = None
    texture: bytes | None = None
    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    unlit: bool = False
    material: Material = field(default_factory=Material)
    morphs: np.ndarray | None = None
    morph_normals: np.ndarray | None = None
    joints: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.vertices)
        targets = 0 if self.morphs is None else len(self.morphs)
        shapes = {
            "vertices": ((count, 3),),
            "normals": ((count, 3),),
            "uv": ((count, 2),),
            "colors": ((count, 3), (count, 4)),
            "morphs": ((targets, count, 3),),
            "morph_normals": ((targets, count, 3),),
        }
        for name, allowed in shapes.items():
            value = getattr(self, name)
            if value is None:
                continue
            if np.shape(value) not in allowed:
                raise ValueError(f"{self.name}: {name} must be {allowed[0]}, got {np.shape(value)}")
            if not np.isfinite(value).all():
                raise ValueError(f"{self.name}: {name} holds NaN or infinity")
        if np.ndim(self.faces) != 2 or np.shape(self.faces)[1] != 3 or len(self.faces) == 0:
            raise ValueError(f"{self.name}: faces must be [F, 3], got {np.shape(self.faces)}")
        if np.min(self.faces) < 0 or np.max(self.faces) >= count:
            raise ValueError(f"{self.name}: a face names a vertex outside 0 to {count - 1}")
        if (self.joints is None) != (self.weights is None) or (
            self.joints is not None
            and (np.shape(self.joints) != np.shape(self.weights) or len(self.joints) != count)
        ):
            raise ValueError(f"{self.name}: joints and weights do not fit the vertices")
        if self.texture is not None and self.uv is None:
            raise ValueError(f"{self.name}: a texture needs uv coordinates")


@dataclass(frozen=True)
class Node:
    """One joint of a hierarchy, optionally with meshes in its own space.

    `parent` is the index of the parent in the list of nodes (parents come before their children),
    None for a root. A point moves by scale, then rotation, then translation, then the parent's.

    For `write_node_animation` each of translation, rotation and scale is either constant ([3], [4],
    [3]) or given at every time ([T, 3], [T, 4], [T, 3]); nodes that were read hold the rest values.
    `weights` [M] are the rest weights of the parts' morph targets. `skin`: index of the skin that
    carries its parts, whose vertices then stand where the joints say and not where the node does.
    """

    name: str
    parent: int | None = None
    parts: tuple[MeshPart, ...] = ()
    translation: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0)
    rotation: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    scale: np.ndarray | tuple[float, ...] = (1.0, 1.0, 1.0)
    weights: np.ndarray | tuple[float, ...] = ()
    skin: int | None = None


@dataclass(frozen=True)
class Channel:
    """How one property of one node runs in time.

    `path` is "translation", "rotation", "scale" or "weights"; times [T] seconds, increasing;
    values [T, C] (with CUBICSPLINE [T, 3, C]: in-tangent, value, out-tangent); `interpolation` is
    "LINEAR" (rotations along the great circle), "STEP" or "CUBICSPLINE".
    """

    node: int
    path: str
    times: np.ndarray
    values: np.ndarray
    interpolation: str = "LINEAR"


@dataclass(frozen=True)
class Animation:
    """A named set of channels; `duration` is its last key time in seconds."""

    name: str
    channels: tuple[Channel, ...]

    @property
    def duration(self) -> float:
        return max((float(channel.times[-1]) for channel in self.channels), default=0.0)


@dataclass(frozen=True)
class Model:
    """Everything read from a file: nodes at rest (parents first), animations and skins."""

    nodes: tuple[Node, ...]
    animations: tuple[Animation, ...] = ()
    skins: tuple[Skin, ...] = ()
