"""Typed arrays in the buffers of a glTF file: strided, normalised, sparse."""

import numpy as np

from animate124.media.glb.container import Source

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# A count that no file here can mean; what it would allocate must not be tried.
_LARGEST = 1 << 28


def read_array(source: Source, index: int, raw: bool = False) -> np.ndarray:
    """Accessor `index` as float32 [N, C] (normalised integers decoded), or `raw` as it is stored.

    Raises ValueError, KeyError, IndexError or TypeError for one that does not fit its file.
    """
    accessor = source.tree["accessors"][index]
    count, width = accessor["count"], _WIDTHS[accessor["type"]]
    dtype = np.dtype(_DTYPES[accessor["componentType"]])
    if "bufferView" in accessor:
        offset = accessor.get("byteOffset", 0)
        stride = source.tree["bufferViews"][accessor["bufferView"]].get("byteStride")
        values = _elements(source, accessor["bufferView"], offset, dtype, count, width, stride)
    elif 0 < count < _LARGEST:
        values = np.zeros((count, width), dtype)
    else:
        raise ValueError(f"accessor {index} holds {count} items")
    if "sparse" in accessor:
        sparse = accessor["sparse"]
        where, what, some = sparse["indices"], sparse["values"], sparse["count"]
        kind = np.dtype(_DTYPES[where["componentType"]])
        rows = _elements(source, where["bufferView"], where.get("byteOffset", 0), kind, some, 1)
        values = values.copy()
        values[rows[:, 0]] = _elements(
            source, what["bufferView"], what.get("byteOffset", 0), dtype, some, width
        )
    if raw:
        return values
    floats = values.astype(np.float32)
    if accessor.get("normalized", False):
        floats = np.maximum(floats / np.float32(np.iinfo(dtype).max), -1.0)
    if not np.isfinite(floats).all():
        raise ValueError(f"accessor {index} holds NaN or infinity")
    return floats


def _elements(
    source: Source,
    view: int,
    offset: int,
    dtype: np.dtype,
    count: int,
    width: int,
    stride: int | None = None,
) -> np.ndarray:
    """[count, width] items of a buffer view, `stride` bytes apart (packed when None)."""
    data = source.view(view)
    size = dtype.itemsize * width
    step = stride or size
    if count < 1 or offset < 0 or step < size or offset + step * (count - 1) + size > len(data):
        raise ValueError(f"an accessor reaches outside buffer view {view}")
    return np.ndarray((count, width), dtype, data, offset, (step, dtype.itemsize))
