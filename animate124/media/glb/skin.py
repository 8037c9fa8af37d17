"""Skeletons that carry a mesh: linear blend skinning (glTF 2.0 specification, section 3.7.3)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skin:
    """Joints, indices of the model's nodes [J], and their inverse bind matrices [J, 4, 4]."""

    joints: np.ndarray
    inverse_bind: np.ndarray

    def __post_init__(self) -> None:
        if len(self.joints) == 0 or np.shape(self.inverse_bind) != (len(self.joints), 4, 4):
            raise ValueError(
                f"a skin of {len(self.joints)} joints has inverse bind matrices "
                f"{np.shape(self.inverse_bind)}"
            )


def vertex_matrices(
    skin: Skin, world: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Rest-to-world matrices [V, 3, 4] of skinned vertices: Σ weight · world(joint) · inverse bind.

    Args:
        world: node-to-world matrices [N, 4, 4]. joints [V, K] integers into the skin's joints,
            weights [V, K] ≥ 0; they are brought to the sum 1, and where all are 0 the first joint
            carries the vertex.
    """
    carried = (world[skin.joints] @ skin.inverse_bind)[:, :3]
    total = weights.sum(axis=1, keepdims=True)
    share = np.where(total > 0, weights / np.where(total > 0, total, 1.0), 0.0)
    share[:, 0] += total[:, 0] <= 0
    return np.einsum("vk,vkij->vij", share, carried[joints])
