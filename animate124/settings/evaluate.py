"""Settings of the stage `evaluate`."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


class VerdictSettings(Settings):
    """Limits beyond which a scene is not called ok.

    The defaults leave room around what true clips of the toybox reach: from unseen sides their
    amplitude is 0.07 (half of it is asked) to 0.36 and their coverage 0.86 to 1.09 of that at
    t = 0; the cosine of 95 in 100 of them to their own picture is above 0.73, to other characters'
    below 0.59.
    """

    amplitude: float = setting(
        0.035, "static: least amplitude, divided by the share of the picture covered", None, ge=0
    )
    coverage: float = setting(
        0.005, "exploded: least share of the picture covered at t = 0", None, ge=0, le=1
    )
    growth: float = setting(
        1.5, "exploded: largest coverage at any time, relative to t = 0", None, ge=1
    )
    shrinking: float = setting(
        0.5, "exploded: least coverage at any time, relative to t = 0", None, ge=0, le=1
    )
    touching: float = setting(
        0.01, "exploded: largest share of the cube's faces with opaque matter", None, ge=0, le=1
    )
    reference_psnr: float = setting(16.0, "drifted: least PSNR to the picture at t = 0", "dB", ge=0)
    reference_iou: float = setting(
        0.7, "drifted: least silhouette IoU with the picture at t = 0", None, ge=0, le=1
    )
    similarity: float = setting(
        0.5, "drifted: least cosine of unseen sides to the picture; depends on the embedder", None,
        ge=-1, le=1,
    )  # fmt: skip
    species: float = setting(
        0.5, "drifted: least share of unseen sides that show the right species", None, ge=0, le=1
    )


class EvaluateSettings(Settings):
    """Scores of a finished scene (`animate124 evaluate`)."""

    size: int = setting(64, "Edge of the pictures that are compared", "pixels", ge=16, le=1024)
    supersample: int = setting(2, "Rays per pixel edge; their mean is compared", "rays", ge=1, le=8)
    frames: int = setting(16, "Moments that are compared", "moments", ge=4, le=256)
    ablation: bool = setting(
        True, "Also score the results of the earlier stages: what each one adds", None
    )
    verdict: VerdictSettings = VerdictSettings()
