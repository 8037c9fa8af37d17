"""Settings of the stage `generate`, and of clips from several sides in general."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


class SamplingSettings(Settings):
    """How multi-view clips are sampled, matted and chosen."""

    steps: int = setting(25, "Denoising steps of a pass", "steps", ge=1, le=1000)
    guidance: float = setting(3.0, "Guidance scale of the sentence (1: none)", None, ge=0, le=100)
    strength: float = setting(
        1.0,
        "Share of the noise schedule gone through; below 1 truer to the views, with less motion",
        None,
        gt=0,
        le=1,
    )
    unguided: float = setting(
        0.0,
        "Share of the noise schedule, its clean end, that is gone through without guidance, which "
        "costs half (arXiv 2404.07724)",
        None,
        ge=0,
        le=1,
    )
    rescale: float = setting(
        0.0, "Share of guidance's rescale against over-exposure", None, ge=0, le=1
    )
    negative: str = setting("", "Sentence to stay away from", None)
    passes: int = setting(
        1, "FreeInit passes; more are steadier and move less", "passes", ge=1, le=8
    )
    candidates: int = setting(
        2,
        "Clips that are made; the best by likeness to the sentence, motion and agreement is kept",
        "clips",
        ge=1,
        le=64,
    )
    judged_at: float = setting(
        0.0,
        "Noise level at which candidates are judged by what they look like so far; the best alone "
        "is finished (0: all are finished first)",
        "share of the schedule",
        ge=0,
        le=1,
    )
    together: bool = setting(
        True, "Guided and unguided in one call: faster on a GPU, twice the memory", None,
        cosmetic=True,
    )  # fmt: skip
    steady: float = setting(
        0.04,
        "Colour difference up to which a pixel's matte is averaged over time (0: not at all)",
        None,
        ge=0,
        le=1,
    )


class GenerateSettings(SamplingSettings):
    """Multi-view clips of an asset (`animate124 generate`)."""

    frames: int = setting(8, "Frames of a clip, the still view among them", "frames", ge=2, le=32)
    fps: float = setting(8.0, "Frame rate of the clips", "frames per second", gt=0, le=120)
    loop: bool = setting(
        True, "Whether frame 0 comes again after the last one (the nano model's clips do)", None
    )
    seed: int = setting(0, "Seed of every random stream", None, ge=0, lt=2**63)
