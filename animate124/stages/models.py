"""The priors of a profile as stages use them: loaded when first asked for, and written down."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from animate124.errors import UserError
from animate124.priors.profiles import load_profile
from animate124.priors.weights import identity

if TYPE_CHECKING:
    from animate124.priors.action import ActionRecognition
    from animate124.priors.depth import Depth
    from animate124.priors.embedding import Embedding
    from animate124.priors.matting import Matting
    from animate124.priors.multiview_video import MultiViewVideo
    from animate124.priors.novel_view import NovelView
    from animate124.priors.text_to_image import TextToImage
    from animate124.priors.text_to_video import TextToVideo
    from animate124.priors.tile_control import TileControl


class Models:
    """The models of a profile, each loaded at most once; what one lends another is shared.

    On a CPU they are in float32, on CUDA in bfloat16: textual inversion needs gradients that
    float16 loses. `used` has an entry for every role that was loaded, for the stage's record.
    """

    def __init__(self, profile: str | os.PathLike, device: str = "cpu") -> None:
        self.profile = load_profile(profile)
        self.device = device
        self.dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        self.used: list[dict[str, Any]] = []

    @property
    def language(self) -> str:
        """ "photo" or "toybox": what the profile's text models understand."""
        return self.profile.language

    def has(self, role: str) -> bool:
        """Whether the profile names a model for `role`; it may still be absent from the disk."""
        return role in self.profile.entries

    def digest(self, *roles: str) -> str:
        """What changes when a model of `roles`, or one that lends it a part, changes."""
        needed = {e.role: e for role in roles for e in self.profile.needed(role)}
        return "".join(identity(needed[name]) for name in sorted(needed))

    @cached_property
    def text_to_image(self) -> TextToImage:
        """The text-to-image model. This and all others raise UserError when the model is absent."""
        from animate124.priors.text_to_image import TextToImage

        return self._load(TextToImage, "text-to-image")

    @cached_property
    def novel_view(self) -> NovelView:
        """The novel-view model; it shares the text-to-image model's autoencoder if that is here."""
        from animate124.priors.novel_view import NovelView

        return self._load(NovelView, "novel-view")

    @cached_property
    def text_to_video(self) -> TextToVideo:
        """The text-to-video model."""
        from animate124.priors.text_to_video import TextToVideo

        return self._load(TextToVideo, "text-to-video")

    @cached_property
    def multi_view_video(self) -> MultiViewVideo:
        """The multi-view video model."""
        from animate124.priors.multiview_video import MultiViewVideo

        return self._load(MultiViewVideo, "multi-view-video")

    @cached_property
    def tile_control(self) -> TileControl:
        """The ControlNet for tiles, with the text-to-image model it steers."""
        from animate124.priors.tile_control import TileControl

        return self._load(TileControl, "tile-control")

    @cached_property
    def depth(self) -> Depth:
        """The depth estimator."""
        from animate124.priors.depth import Depth

        return self._load(Depth, "depth")

    @cached_property
    def embedding(self) -> Embedding:
        """The image-text embedder."""
        from animate124.priors.embedding import Embedding

        return self._load(Embedding, "embedding")

    @cached_property
    def action_recognition(self) -> ActionRecognition:
        """The action recogniser."""
        from animate124.priors.action import ActionRecognition

        return self._load(ActionRecognition, "action-recognition")

    @cached_property
    def matting(self) -> Matting:
        """The matting model."""
        from animate124.priors.matting import Matting

        places = self._places("matting")
        # rembg gives the same mask, but its first import on a machine compiles for a minute.
        return Matting.load(places["folder"], "onnxruntime")

    def _load(self, kind: Any, role: str) -> Any:
        places: dict[str, Any] = self._places(role)
        lent = self.profile.entry(role).components
        # A part that is another role's whole model is loaded once, as that role.
        if lent.get("base") == "text-to-image":
            places["base"] = self.text_to_image
            places.pop("vae", None)
        elif "vae" in places and "text_to_image" in self.__dict__:
            image_entry = self.profile.entry("text-to-image")
            if lent.get("vae") == image_entry.components.get("vae"):
                places["vae"] = self.text_to_image.vae
        return kind.load(places.pop("folder"), self.device, self.dtype, **places)

    def _places(self, role: str) -> dict[str, Any]:
        if not self.has(role):
            raise UserError(
                f"The profile {self.profile.name} names no {role} model: choose another profile "
                "(`animate124 priors list`) or add one to it."
            )
        places = dict(self.profile.locations(role))
        entry = self.profile.entry(role)
        self.used.append(
            {
                "role": role,
                "model": entry.model,
                "revision": entry.revision,
                "licence": entry.licence,
                "commercial": entry.commercial,
            }
        )
        return places
