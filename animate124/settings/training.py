"""Settings of the optimisation loop."""

from __future__ import annotations

from animate124.settings.base import Settings, setting


class TrainSettings(Settings):
    """The optimisation loop (`animate124.training.run`)."""

    steps: int = setting(1000, "Optimisation steps", "steps", ge=0)
    seed: int = setting(0, "Seed of every random stream of the run", None, ge=0, lt=2**63)
    checkpoint_seconds: float = setting(
        60.0, "Time between checkpoints (0: after every step)", "seconds", cosmetic=True, ge=0
    )
    log_every: int = setting(
        10, "Steps between lines of the JSONL log", "steps", cosmetic=True, ge=1
    )
    preview_every: int = setting(
        0, "Steps between preview images (0: none)", "steps", cosmetic=True, ge=0
    )
