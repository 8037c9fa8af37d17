"""What the settings of all stages share that optimise a radiance field against one picture."""

from __future__ import annotations

from pydantic import model_validator

from animate124.settings.base import Settings, setting

_RANGES = (
    ("lowest", "highest"),
    ("t_low", "t_high"),
    ("t_low_end", "t_high_end"),
    ("novel_view_t_low", "novel_view_t_high"),
)


class SceneSettings(Settings):
    """The picture that t = 0 has to match, the views that are rendered, and the field's upkeep.

    Every weight, here and in what inherits from this, is of a term that is a mean, so all are on
    one scale and none depends on the number of rays, views or latents.
    """

    reference_size: int = setting(
        128, "Edge the picture is reduced to, if it is larger", "pixels", ge=8, le=1024
    )
    rays: int = setting(
        2048, "Rays a step through the picture, at t = 0", "rays", ge=16, le=1 << 20
    )
    subsamples: int = setting(
        2, "Rays per pixel edge of the picture; their mean is compared", "rays", ge=1, le=8
    )
    rgb: float = setting(
        5.0, "Weight of the picture's colours at t = 0, over random colours", None, ge=0
    )
    alpha: float = setting(2.0, "Weight of the picture's silhouette at t = 0", None, ge=0)
    size: int = setting(64, "Edge of the other views that are rendered", "pixels", ge=8, le=1024)
    lowest: float = setting(-10.0, "Lowest elevation of these views", "degrees", gt=-90, lt=90)
    highest: float = setting(30.0, "Highest elevation of these views", "degrees", gt=-90, lt=90)
    spread: float = setting(
        0.03, "Weight of the loss that gathers each ray's weight at one surface", None, ge=0
    )
    lr_end: float = setting(0.1, "Share of the learning rate left at the end", None, gt=0, le=1)
    refresh_every: int = setting(16, "Steps between occupancy refreshes", "steps", ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> SceneSettings:
        for low, high in _RANGES:
            if low in type(self).model_fields and getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} is larger than {high}")
        return self
