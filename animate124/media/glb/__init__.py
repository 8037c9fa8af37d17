"""glTF 2.0 binary (GLB): meshes, node animations and morph animations, written and read.

write_static(path, parts)
write_node_animation(path, nodes, times, loop=False, name="motion")
write_morph_animation(path, part, frames, times, loop=False, normal_frames=None, name="motion")
model = read(path);  posed_parts(model, seconds) -> parts in world space
"""

from animate124.media.glb.model import (
    Animation,
    Channel,
    MeshPart,
    Model,
    Node,
    posed_nodes,
    posed_parts,
    world_matrices,
)
from animate124.media.glb.read import read
from animate124.media.glb.write import write_morph_animation, write_node_animation, write_static

__all__ = [
    "Animation",
    "Channel",
    "MeshPart",
    "Model",
    "Node",
    "posed_nodes",
    "posed_parts",
    "read",
    "world_matrices",
    "write_morph_animation",
    "write_node_animation",
    "write_static",
]
