"""Cutting the subject out of an image: alpha that is there, else a segmentation network in ONNX.

A matting folder holds `matting.onnx`, from [1, 3, S, S] to a mask [1, 1, S, S] in [0, 1], and
`matting.json`: `size` S in pixels, `mean` and `std` for images in [0, 1], and, optionally,
`session`: "onnxruntime" (the default) or "rembg", the session class to run it through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from animate124 import runtime
from animate124.errors import UserError

_OPAQUE = 250 / 255  # published cut-outs saturate at 254
_KEYS = {"size": int, "mean": list, "std": list}


class Matting:
    """A matting network; `session` names what runs it."""

    def __init__(self, mask: Callable[[np.ndarray], np.ndarray], session: str) -> None:
        self._mask, self.session = mask, session

    @classmethod
    def load(
        cls, location: str | Path, session: Literal["onnxruntime", "rembg"] | None = None
    ) -> Self:
        """Load a matting folder, or the .onnx file of a model that rembg knows by its name.

        `session` overrides what the folder's matting.json says. The first use of rembg on a
        machine compiles for about a minute.

        Raises:
            UserError: files are missing or damaged, rembg does not know the name, or the package
                that should run it is not installed.
        """
        location = Path(location)
        if location.suffix == ".onnx":
            return cls(_rembg_known(location), "rembg")
        onnx, how = location / "matting.onnx", _read_settings(location / "matting.json")
        if not onnx.is_file():
            raise UserError(f"There is no {onnx}: run animate124 priors check.")
        name = session or how.get("session", "onnxruntime")
        if name not in ("onnxruntime", "rembg"):
            raise UserError(
                f"{location / 'matting.json'} names the session {name!r}: it must be onnxruntime "
                "or rembg."
            )
        build = _rembg_local if name == "rembg" else _onnxruntime
        return cls(build(onnx, how["size"], how["mean"], how["std"]), name)

    def matte(self, rgb: np.ndarray) -> np.ndarray:
        """The subject's alpha [H, W], float32 in [0, 1], of an image [H, W, 3] in [0, 1]."""
        assert rgb.ndim == 3 and rgb.shape[2] == 3, rgb.shape
        alpha = self._mask(np.rint(np.clip(rgb, 0.0, 1.0) * 255).astype(np.uint8))
        assert alpha.shape == rgb.shape[:2], alpha.shape
        return np.clip(alpha, 0.0, 1.0).astype(np.float32)


def has_matte(image: np.ndarray) -> bool:
    """Whether an image [H, W, 3 or 4] in [0, 1] has an alpha that is not opaque everywhere."""
    assert image.ndim == 3 and image.shape[2] in (3, 4), image.shape
    return image.shape[2] == 4 and float(image[..., 3].min()) < _OPAQUE


def cut_out(image: np.ndarray, matting: Matting | None = None) -> np.ndarray:
    """The alpha [H, W] of an image [H, W, 3 or 4] in [0, 1].

    Its own where it has one (`has_matte`), else `matting`'s.

    Raises:
        UserError: the image has none and there is no `matting`.
    """
    if has_matte(image):
        return image[..., 3].astype(np.float32)
    if matting is None:
        raise UserError(
            "The image has no alpha channel and there is no matting model: give a PNG with "
            "transparency, or fetch one with animate124 priors fetch --role matting."
        )
    return matting.matte(image[..., :3])


def rembg_session_class(name: str) -> Any:
    """rembg's session class of a model name, such as isnet-general-use.

    Raises:
        UserError: rembg is not installed or does not know the name.
    """
    _rembg()
    from rembg.sessions import sessions_class

    known = {kind.name(): kind for kind in sessions_class}
    if name not in known:
        raise UserError(f"rembg has no model '{name}': it has {', '.join(sorted(known))}.")
    return known[name]


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for key, kind in _KEYS.items():
            if not isinstance(found[key], kind) or (kind is list and len(found[key]) != 3):
                raise ValueError(f"bad {key}")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): it needs size, mean and std.") from None
    return found


def _prepare(image: Any, size: int, mean: list[float], std: list[float]) -> np.ndarray:
    """A PIL image to the network's input [1, 3, size, size], float32."""
    from PIL import Image

    small = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    scaled = (small.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask [h, w] to `size` (width, height), float32."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.float32))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.report()["threads"]
    return options


def _opened(build: Callable[[], Any], onnx: Path) -> Any:
    try:
        return build()
    except ImportError:
        raise UserError("onnxruntime is not installed: run 'bash setup.sh' again.") from None
    # onnxruntime's errors share no base but Exception.
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(f"{onnx} cannot be loaded ({reason}): fetch it again.") from None


def _onnxruntime(
    onnx: Path, size: int, mean: list[float], std: list[float]
) -> Callable[[np.ndarray], np.ndarray]:
    def build() -> Any:
        import onnxruntime

        providers = ["CPUExecutionProvider"]
        return onnxruntime.InferenceSession(str(onnx), _options(), providers=providers)

    session = _opened(build, onnx)
    name = session.get_inputs()[0].name

    def mask(image: np.ndarray) -> np.ndarray:
        from PIL import Image

        found = session.run(None, {name: _prepare(Image.fromarray(image), size, mean, std)})[0]
        return _enlarge(found[0, 0], (image.shape[1], image.shape[0]))

    return mask


def _rembg_local(
    onnx: Path, size: int, mean: list[float], std: list[float]
) -> Callable[[np.ndarray], np.ndarray]:
    """Through a session of rembg's own base class, which `rembg.remove` takes as well.

    rembg's sessions of custom models refuse files outside its home folder and fix the input size;
    a class of our own says where its model lies and how images are prepared.
    """
    _rembg()
    from PIL import Image
    from rembg.sessions.base import BaseSession

    class LocalSession(BaseSession):
        @classmethod
        def name(cls, *args: Any, **kwargs: Any) -> str:
            return "animate124"

        @classmethod
        def download_models(cls, *args: Any, **kwargs: Any) -> str:
            return str(onnx)

        def normalize(self, image: Any, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
            # Not the base's, which divides by the image's maximum and so brightens dark images.
            return {self.inner_session.get_inputs()[0].name: _prepare(image, size, mean, std)}

        def predict(self, image: Any, *args: Any, **kwargs: Any) -> list[Any]:
            found = self.inner_session.run(None, self.normalize(image))[0]
            mask = np.clip(_enlarge(found[0, 0], image.size), 0.0, 1.0)
            return [Image.fromarray(np.rint(mask * 255).astype(np.uint8))]

    def build() -> Any:
        return LocalSession("animate124", _options(), providers=["CPUExecutionProvider"])

    return _by_rembg(_opened(build, onnx))


def _rembg_known(onnx: Path) -> Callable[[np.ndarray], np.ndarray]:
    kind = rembg_session_class(onnx.stem)
    if kind.resolve_existing(onnx.name) is None:  # else making the session would download it
        raise UserError(f"{onnx} is not where rembg looks for it: run animate124 priors fetch.")
    return _by_rembg(_opened(lambda: kind(onnx.stem, _options()), onnx))


def _by_rembg(session: Any) -> Callable[[np.ndarray], np.ndarray]:
    def mask(image: np.ndarray) -> np.ndarray:
        from PIL import Image

        return np.asarray(session.predict(Image.fromarray(image))[0], dtype=np.float32) / 255

    return mask


def _rembg() -> Any:
    """Import rembg, which takes a minute the first time and seconds later."""
    try:
        import rembg
    except (ImportError, SystemExit):  # it exits where onnxruntime is missing
        raise UserError("rembg is not installed: run 'bash setup.sh' again.") from None
    return rembg
