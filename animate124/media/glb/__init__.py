"""glTF 2.0 files: meshes, skins, node animations and morph animations, written and read.

write_static(path, parts)
write_node_animation(path, nodes, times, loop=False, name="motion")
write_morph_animation(path, part, frames, times, loop=False, normal_frames=None, name="motion")
write_morphs(path, moving parts, times, ...)  # several parts, packed as small as they may be
model = read(path);  posed_parts(model, seconds) -> parts in world space; at rest without seconds
"""

from animate124.media.glb.material import Material
from animate124.media.glb.model import Animation, Channel, MeshPart, Model, Node
from animate124.media.glb.morph import Moving, write_morph_animation, write_morphs
from animate124.media.glb.pose import posed_nodes, posed_parts, world_matrices
from animate124.media.glb.read import read
from animate124.media.glb.skin import Skin
from animate124.media.glb.write import write_node_animation, write_static

__all__ = [
    "Animation",
    "Channel",
    "Material",
    "MeshPart",
    "Model",
    "Moving",
    "Node",
    "Skin",
    "posed_nodes",
    "posed_parts",
    "read",
    "world_matrices",
    "write_morph_animation",
    "write_morphs",
    "write_node_animation",
    "write_static",
]
