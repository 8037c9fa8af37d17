"""Settings of the stage `invert`."""

from __future__ import annotations

from animate124.settings.base import Settings, setting
from animate124.settings.training import TrainSettings


class InversionSettings(Settings):
    """Textual inversion (`animate124.stages.invert_task`): a word for the subject of the image."""

    token: str = setting("<subject>", "How the new word is written", None, min_length=1)
    batch: int = setting(4, "Pictures a step", "pictures", ge=1, le=1024)
    lr: float | None = setting(
        None,
        "Learning rate of the new word's embedding (null: 0.005 for the nano models, 0.0005 else)",
        None,
        gt=0,
    )
    white: float | None = setting(
        None,
        "Share of the pictures over plain white (null: 1 for the nano models, 0.25 else)",
        None,
        ge=0,
        le=1,
    )
    scale_jitter: float = setting(0.15, "Largest change of the subject's size", None, ge=0, lt=1)
    rotation: float = setting(10.0, "Largest turn in the image plane", "degrees", ge=0, le=180)
    shift: float = setting(0.05, "Largest move along each axis", "image edges", ge=0, le=0.5)
    flip: float = setting(
        0.0, "Share of mirrored pictures; they take left and right from the word", None, ge=0, le=1
    )
    cached: int = setting(
        0,
        "Pictures that are drawn and encoded once, for all steps (0: new ones each step)",
        "pictures",
        ge=0,
        le=65536,
    )
    preview_images: int = setting(4, "Samples in a preview", "images", cosmetic=True, ge=1, le=64)
    preview_steps: int = setting(
        25, "Sampling steps of a preview", "steps", cosmetic=True, ge=1, le=1000
    )
    preview_scale: float = setting(
        7.5, "Guidance scale of a preview (1: none)", None, cosmetic=True, ge=0
    )
    train: TrainSettings = TrainSettings(steps=1000, preview_every=250)

    def for_language(self, language: str) -> InversionSettings:
        """With what is null filled in for text models of "toybox" or "photo" (`Profile.language`).

        The nano models have seen white grounds alone: on others their loss is ten times as large
        and the subject has no part in it. Their embeddings are longer than Stable Diffusion's: 80
        steps on the shipped penguin bring the samples' likeness to it (the embedder's cosine) from
        0.31 to 0.34 at a rate of 0.0005, to 0.73 at 0.005 and to 0.76 at 0.02.
        """
        nano = language == "toybox"
        usual = {"lr": 0.005 if nano else 0.0005, "white": 1.0 if nano else 0.25}
        return self.model_copy(update={k: v for k, v in usual.items() if getattr(self, k) is None})
