"""Settings of the stage `animate_mesh`."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


class AnimateMeshSettings(Settings):
    """An asset's own mesh, carried by the moving Gaussians (`animate124 animate-mesh`)."""

    neighbours: int = setting(
        8, "Gaussians that carry a vertex: the nearest at rest", "Gaussians", ge=1, le=64
    )
    normal_weight: float = setting(
        0.04,
        "Distance that opposite directions of the surface count as, so that an arm does not "
        "follow the side it hangs by",
        "world units",
        ge=0,
        le=1,
    )
    frames: int | None = setting(
        None, "Moments with a shape of their own (null: as many as were generated)", "moments",
        ge=2, le=1000,
    )  # fmt: skip
    fps: float | None = setting(
        None, "Moments per second (null: the generated clips')", "moments per second",
        gt=0, le=240,
    )  # fmt: skip
    loop: bool | None = setting(
        None, "End where it begins (null: if the motion was reconstructed as a loop)", None
    )
    tolerance: float = setting(
        1e-4,
        "Largest error of a stored position, in radii of the asset (0: plain floats); with it the "
        "file is made smaller where that saves a quarter",
        "radii",
        ge=0,
        le=0.01,
    )
    original: bool = setting(
        False, "Put the result where the asset was before intake, in its own size and axes", None
    )
    fbx: bool = setting(False, "Also write animated.fbx, by a separately installed Blender", None)
    preview: int = setting(
        128, "Edge of the pictures on the contact sheet", "pixels", ge=16, le=1024
    )
