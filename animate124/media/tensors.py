"""Named tensors on disk: safetensors with a header that says what the file is.

The header holds the file's `kind`, its format `version` and string metadata (settings hash,
units). It is laid out here, not by the safetensors library, whose metadata order differs from run
to run: the same tensors and metadata always give the same bytes. Any safetensors reader opens it.
"""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from animate124.errors import UserError
from animate124.media.files import atomic_path

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save_tensors(
    path: str | os.PathLike,
    tensors: Mapping[str, Tensor],
    *,
    kind: str,
    version: int,
    metadata: Mapping[str, str] | None = None,
    finite: bool = False,
) -> None:
    """Write named tensors atomically; the same input always gives the same bytes.

    Args:
        tensors: name to tensor of any shape, on any device.
        kind: what the file is, for instance "radiance-field"; version: its format version, ≥ 1.
        metadata: string to string; `kind` and `version` are reserved.
        finite: refuse NaN and infinity in floating-point tensors.

    Raises:
        ValueError: reserved or non-string metadata, an unknown dtype, or a value that is not finite
            where `finite` is asked for.
        UserError: the file cannot be written.
    """
    metadata = dict(metadata or {})
    for key, value in metadata.items():
        if key in ("kind", "version") or not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"metadata must map free names to strings, got {key!r}: {value!r}")
    header: dict[str, object] = {
        "__metadata__": {"kind": kind, "version": str(version), **dict(sorted(metadata.items()))}
    }
    # Widest elements first, as the format asks for aligned data; then by name.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    offset = 0
    for name, tensor in ordered:
        if tensor.dtype not in _DTYPES:
            raise ValueError(f"tensor {name!r} has dtype {tensor.dtype}, which cannot be stored")
        if finite and not _is_finite(tensor):
            raise ValueError(f"tensor {name!r} holds NaN or infinity: not written to {path}")
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temp, temp.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for _, tensor in ordered:
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)


def load_tensors(
    path: str | os.PathLike,
    kind: str,
    version: int,
    *,
    finite: bool = False,
    device: str | torch.device = "cpu",
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote.

    Args:
        kind, version: what the file must say it is. finite: refuse NaN and infinity.

    Returns:
        Name to tensor on `device`, and the metadata without `kind` and `version`.

    Raises:
        UserError: missing, empty, truncated or corrupt file, wrong kind or version, or a value that
            is not finite where `finite` is asked for.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"The tensor file {path} does not exist: run the step that writes it.")
    if path.stat().st_size == 0:
        raise UserError(f"The tensor file {path} is empty: delete it and run its step again.")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except SafetensorError as error:
        raise UserError(
            f"The tensor file {path} is damaged or cut short ({error}): delete it and run its step "
            "again."
        ) from error
    except PermissionError as error:
        raise UserError(
            f"The tensor file {path} may not be read: change its permissions."
        ) from error
    found_kind, found_version = metadata.pop("kind", None), metadata.pop("version", None)
    if found_kind != kind:
        raise UserError(
            f"The file {path} holds {found_kind or 'tensors of no named kind'}, not {kind}: give "
            "the right file or run its step again."
        )
    if found_version != str(version):
        raise UserError(
            f"The {kind} file {path} has format version {found_version}, this program reads "
            f"{version}: run its step again."
        )
    if finite:
        for name, tensor in tensors.items():
            if not _is_finite(tensor):
                raise UserError(
                    f"The tensor {name!r} in {path} holds NaN or infinity: delete the file and run "
                    "its step again."
                )
    return tensors, metadata


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())
