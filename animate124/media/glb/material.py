"""How a surface looks beyond its base colour, and the reading of materials."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from animate124.media.glb.container import Source
from animate124.media.images import linear_to_srgb

REPEAT, CLAMP, MIRROR = 10497, 33071, 33648
# Textures besides the base colour's, and the number that tells how strongly each counts.
FURTHER = {
    "metallicRoughnessTexture": None,
    "normalTexture": "scale",
    "occlusionTexture": "strength",
    "emissiveTexture": None,
}


@dataclass(frozen=True)
class Material:
    """The rest of a glTF 2.0 material (section 3.9 of the specification).

    metallic, roughness in [0, 1]; emissive: linear light; textures: PNG or JPEG bytes by their
    glTF name (one of `FURTHER`), on the same texture coordinates as the base colour's, and
    strengths: their `scale` or `strength`; alpha_mode "OPAQUE", "MASK" or "BLEND", None for what
    the colours themselves ask for; wrap: glTF's wrapping of u and v.
    """

    metallic: float = 0.0
    roughness: float = 1.0
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    textures: Mapping[str, bytes] = field(default_factory=dict)
    strengths: Mapping[str, float] = field(default_factory=dict)
    double_sided: bool = False
    alpha_mode: str | None = None
    alpha_cutoff: float = 0.5
    wrap: tuple[int, int] = (REPEAT, REPEAT)


@dataclass(frozen=True)
class Look:
    """A material as read: base colour (sRGB and alpha), its texture's bytes, whether unlit, the
    rest, the set of texture coordinates, and what moves those [2, 3] (None: nothing)."""

    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: bytes | None = None
    unlit: bool = False
    material: Material = field(default_factory=lambda: Material(metallic=1.0, alpha_mode="OPAQUE"))
    uv_set: int = 0
    uv_matrix: np.ndarray | None = None


def read_look(source: Source, index: int) -> Look:
    """Material `index` of a file; raises as `accessors.read_array`, or UserError for its files."""
    entry = source.tree["materials"][index]
    extensions = entry.get("extensions", {})
    surface = entry.get("pbrMetallicRoughness", {})
    metallic, roughness = surface.get("metallicFactor", 1.0), surface.get("roughnessFactor", 1.0)
    colour, slot = surface.get("baseColorFactor", (1, 1, 1, 1)), surface.get("baseColorTexture")
    # The older description of surfaces: its diffuse colour stands for the base colour.
    older = extensions.get("KHR_materials_pbrSpecularGlossiness")
    if older is not None and not surface:
        colour, slot = older.get("diffuseFactor", (1, 1, 1, 1)), older.get("diffuseTexture")
        metallic, roughness = 0.0, 1.0 - older.get("glossinessFactor", 1.0)
    slots = {name: entry.get(name) for name in FURTHER}
    slots["metallicRoughnessTexture"] = surface.get("metallicRoughnessTexture")
    used = {name: found for name, found in slots.items() if found is not None}
    leading = slot if slot is not None else next(iter(used.values()), {})
    uv_set, uv_matrix = _coordinates(leading)
    # All textures share one set of texture coordinates here; one that has its own is left out.
    used = {n: s for n, s in used.items() if _same(_coordinates(s), (uv_set, uv_matrix))}
    factor = np.array(colour, np.float32)
    red, green, blue = (float(c) for c in linear_to_srgb(np.clip(factor[:3], 0, 1)))
    material = Material(
        metallic=float(metallic),
        roughness=float(roughness),
        emissive=tuple(float(c) for c in entry.get("emissiveFactor", (0, 0, 0))),
        textures={name: _image(source, s) for name, s in used.items()},
        strengths={n: float(s[k]) for n, s in used.items() if (k := FURTHER[n]) and k in s},
        double_sided=bool(entry.get("doubleSided", False)),
        alpha_mode=str(entry.get("alphaMode", "OPAQUE")),
        alpha_cutoff=float(entry.get("alphaCutoff", 0.5)),
        wrap=_wrap(source, leading),
    )
    return Look(
        base_color=(red, green, blue, float(factor[3])),
        texture=None if slot is None else _image(source, slot),
        unlit="KHR_materials_unlit" in extensions,
        material=material,
        uv_set=uv_set,
        uv_matrix=uv_matrix,
    )


def _coordinates(slot: dict) -> tuple[int, np.ndarray | None]:
    """The set of texture coordinates of a slot, and KHR_texture_transform's matrix [2, 3]."""
    moved = slot.get("extensions", {}).get("KHR_texture_transform")
    if moved is None:
        return int(slot.get("texCoord", 0)), None
    turn, (across, down) = moved.get("rotation", 0.0), moved.get("scale", (1, 1))
    sin, cos = np.sin(turn), np.cos(turn)
    left, top = moved.get("offset", (0, 0))
    matrix = np.array([[cos * across, sin * down, left], [-sin * across, cos * down, top]])
    return int(moved.get("texCoord", slot.get("texCoord", 0))), matrix


def _same(one: tuple[int, np.ndarray | None], other: tuple[int, np.ndarray | None]) -> bool:
    (set_a, a), (set_b, b) = one, other
    return set_a == set_b and (a is b or (a is not None and b is not None and np.allclose(a, b)))


def _image(source: Source, slot: dict) -> bytes:
    texture = source.tree["textures"][slot["index"]]
    found = texture.get("source")
    extensions = texture.get("extensions", {})
    if found is None:
        found = extensions.get("EXT_texture_webp", {}).get("source")
    if found is None:
        found = extensions["KHR_texture_basisu"]["source"]  # its bytes say that they are KTX2
    return source.image(found)


def _wrap(source: Source, slot: dict) -> tuple[int, int]:
    if "index" not in slot:
        return REPEAT, REPEAT
    sampler = source.tree["textures"][slot["index"]].get("sampler")
    entry = {} if sampler is None else source.tree["samplers"][sampler]
    wrap = entry.get("wrapS", REPEAT), entry.get("wrapT", REPEAT)
    if not set(wrap) <= {REPEAT, CLAMP, MIRROR}:
        raise ValueError(f"a texture wraps in an unknown way {wrap}")
    return wrap
