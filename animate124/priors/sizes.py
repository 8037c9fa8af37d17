"""How large the pictures are that a latent diffusion model works on, told by its files alone."""

from __future__ import annotations

import json
from pathlib import Path

from animate124.errors import UserError
from animate124.priors.profiles import Profile


def image_size(profile: Profile, role: str) -> int | None:
    """Edge in pixels of the pictures of a role's text-to-image model; nothing is loaded.

    As `priors.latent.LatentPrior.image_size`: the latents' edge by what the autoencoder shrinks.
    None where the profile names no such model, or its files are not on this disk.
    """
    try:
        places = profile.locations(role)
    except UserError:
        return None
    model = places.get("base", places["folder"])
    try:
        latents = _config(model / "unet")["sample_size"]
        levels = len(_config(places.get("vae", model / "vae"))["block_out_channels"])
    except (OSError, ValueError, KeyError):
        return None
    return latents * 2 ** (levels - 1)


def _config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
