"""The schema of a truth bundle's bundle.json (docs/truth-bundle.md)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "animate124-truth-bundle"
VERSION = 1
RECORD = "bundle.json"
UNITS = {
    "rgba": "sRGB, straight alpha, 0-255",
    "depth": "planar, world units, 0 where nothing is hit",
    "normal": "world space, unit, 0 where nothing is hit",
    "flow": "pixels to next_frame, x right, y down",
    "track_world": "world units",
    "track_xy": "pixels, x right, y down, pixel centres at +0.5",
    "angles": "degrees",
    "times": "share of the clip, 0-1",
}
Purpose = Literal["fit", "held_out"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class FileRecord(_Strict):
    """One file of the bundle: its size and SHA-256."""

    bytes: int
    sha256: str


class CameraRecord(_Strict):
    """One camera: `c2w` row by row, azimuth and elevation in degrees, and what it is for."""

    split: Purpose
    azimuth: float
    elevation: float
    c2w: list[list[float]]


class FrameRecord(_Strict):
    """One frame: time in [0, 1], what it is for, and where its flow points (−1: nowhere)."""

    split: Purpose
    time: float = Field(ge=0.0, le=1.0)
    next_frame: int = Field(ge=-1)


class Record(_Strict):
    """All of bundle.json."""

    format: Literal["animate124-truth-bundle"]
    version: Literal[1]
    seed: int
    split: str
    species: str
    motion: str
    caption: str
    attributes: dict[str, str]
    loop: bool
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    fov_y: float = Field(gt=0.0, lt=180.0)
    samples: int = Field(gt=0)
    tracks: int = Field(gt=0)
    frames: list[FrameRecord] = Field(min_length=1)
    cameras: list[CameraRecord] = Field(min_length=1)
    units: dict[str, str]
    files: dict[str, FileRecord]
