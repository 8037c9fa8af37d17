"""PLY files as tables: elements and their properties, binary of either order or text."""

from pathlib import Path

import numpy as np

from animate124.errors import UserError

_SCALARS = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
NO_ITEM = -(1 << 62)  # fills up the shorter ones of lists that differ in length
# What a damaged file makes the code below raise; each becomes one sentence.
_DAMAGE = (ValueError, IndexError, KeyError, UnicodeDecodeError, OverflowError, MemoryError)


def read_elements(path: Path, wanted: tuple[str, ...]) -> dict[str, dict[str, np.ndarray]]:
    """Columns of the wanted elements of a PLY file: scalars [N], lists [N, L]; see `NO_ITEM`.

    Raises:
        UserError: missing, damaged or cut-short file, or one without such an element.
    """
    data = _load(path)
    try:
        order, elements, start = _parse_header(data)
        missing = [name for name in wanted if name not in [element[0] for element in elements]]
        if missing:
            raise ValueError(f"no element {missing[0]!r}")
        found: dict[str, dict[str, np.ndarray]] = {}
        words = data[start:].split() if order == "" else []
        for name, count, properties in elements:
            if order == "":
                columns, words = _take_text(words, count, properties)
            else:
                columns, start = _take_binary(data, start, order, count, properties)
            if name in wanted:
                found[name] = columns
            if len(found) == len(wanted):
                break
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return found


def read_header(path: Path) -> dict[str, tuple[str, ...]]:
    """The elements of a PLY file that are not empty, with the names of their properties.

    Raises:
        UserError: missing file, or one without a PLY header.
    """
    data = _load(path)
    try:
        elements = _parse_header(data)[1]
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return {name: tuple(p[0] for p in properties) for name, _, properties in elements}


def _load(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"The PLY file {path} is a folder: give a file.")
    if not path.is_file():
        raise UserError(f"The PLY file {path} does not exist: check the path.")
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise UserError(f"The PLY file {path} may not be read: change its permissions.") from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"The PLY file {path} is damaged, cut short or not a PLY file ({error}): export it again."
    )


# One property: name, dtype of the value, dtype of a list's length (None for a scalar).
_Property = tuple[str, str, str | None]


def _parse_header(data: bytes) -> tuple[str, list[tuple[str, int, list[_Property]]], int]:
    """Byte order ("" for text), elements in file order, and where the data starts."""
    if not data.startswith(b"ply"):
        raise ValueError("it does not begin with 'ply'")
    end = data.find(b"end_header")
    if end < 0:
        raise ValueError("the header has no end")
    order = None
    elements: list[tuple[str, int, list[_Property]]] = []
    for line in data[:end].decode("ascii").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            order = _ORDERS[words[1]]
        elif words[0] == "element" and int(words[2]) > 0:
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and words[1] == "list":
            elements[-1][2].append((words[4], _SCALARS[words[3]], _SCALARS[words[2]]))
        elif words[0] == "property":
            elements[-1][2].append((words[2], _SCALARS[words[1]], None))
        else:
            raise ValueError(f"the header line {line!r} means nothing")
    if order is None:
        raise ValueError("the header names no format")
    return order, elements, data.index(b"\n", end) + 1


def _take_binary(
    data: bytes, start: int, order: str, count: int, properties: list[_Property]
) -> tuple[dict[str, np.ndarray], int]:
    """One element's columns and where the next element starts."""
    # Where every list is as long as in the first record the records are one array.
    layout: list[tuple] = []
    position = start
    for name, kind, length_kind in properties:
        if length_kind is None:
            layout.append((name, order + kind))
            position += np.dtype(kind).itemsize
            continue
        length_type = np.dtype(order + length_kind)
        length = int(np.frombuffer(data, length_type, 1, position)[0])
        layout += [(f"{name} length", length_type), (name, order + kind, (length,))]
        position += length_type.itemsize + length * np.dtype(kind).itemsize
    whole = np.dtype(layout)
    if start + count * whole.itemsize > len(data) and not any(p[2] for p in properties):
        raise ValueError(f"{len(data) - start} bytes instead of {count * whole.itemsize}")
    table = np.frombuffer(data, whole, min(count, (len(data) - start) // whole.itemsize), start)
    lists = [name for name, _, length_kind in properties if length_kind]
    if len(table) < count or any(
        (table[f"{name} length"] != table[name].shape[1]).any() for name in lists
    ):
        return _take_ragged(data, start, order, count, properties)
    columns = {name: table[name].astype(kind) for name, kind, _ in properties}
    return columns, start + table.nbytes


def _take_ragged(
    data: bytes, start: int, order: str, count: int, properties: list[_Property]
) -> tuple[dict[str, np.ndarray], int]:
    """As `_take_binary`, record by record, for lists of several lengths."""
    kinds = [
        (name, np.dtype(order + kind), length and np.dtype(order + length))
        for name, kind, length in properties
    ]
    if count > len(data):
        raise ValueError(f"{len(data) - start} bytes for {count} records")
    rows: dict[str, list] = {name: [] for name, _, _ in properties}
    for _ in range(count):
        for name, kind, length_kind in kinds:
            size = 1
            if length_kind:
                size = int(np.frombuffer(data, length_kind, 1, start)[0])
                start += length_kind.itemsize
            values = np.frombuffer(data, kind, size, start) if size else np.zeros(0, kind)
            start += size * kind.itemsize
            rows[name].append(values if length_kind else values[0])
    columns = {
        name: _filled(rows[name]) if length else np.array(rows[name])
        for name, _, length in properties
    }
    return columns, start


def _filled(lists: list) -> np.ndarray:
    """Lists of several lengths as one table [N, L], filled up with `NO_ITEM`."""
    table = np.full((len(lists), max(map(len, lists))), NO_ITEM, np.int64)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table


def _take_text(
    words: list[bytes], count: int, properties: list[_Property]
) -> tuple[dict[str, np.ndarray], list[bytes]]:
    """One element's columns and the words that follow it."""
    width = 0
    spans = []
    for _, _, length_kind in properties:
        length = 1 if length_kind is None else int(words[width])
        begin = width + (length_kind is not None)
        spans.append((begin, begin + length))
        width = begin + length
    if width * count > len(words):
        return _take_ragged_text(words, count, properties)
    table = np.array(words[: width * count], dtype="f8").reshape(count, width)
    columns = {}
    for (name, kind, length_kind), (begin, end) in zip(properties, spans, strict=True):
        values = table[:, begin:end].astype(kind)
        if length_kind and (table[:, begin - 1] != end - begin).any():
            return _take_ragged_text(words, count, properties)
        columns[name] = values if length_kind else values[:, 0]
    return columns, words[width * count :]


def _take_ragged_text(
    words: list[bytes], count: int, properties: list[_Property]
) -> tuple[dict[str, np.ndarray], list[bytes]]:
    """As `_take_text`, record by record, for lists of several lengths."""
    rows: dict[str, list] = {name: [] for name, _, _ in properties}
    place = 0
    for _ in range(min(count, len(words) + 1)):
        for name, kind, length_kind in properties:
            size = 1
            if length_kind:
                size, place = int(words[place]), place + 1
            if size < 0 or place + size > len(words):
                raise ValueError(f"{len(words)} numbers are too few")
            values = np.array(words[place : place + size], "f8").astype(kind)
            place += size
            rows[name].append(values if length_kind else values[0])
    columns = {
        name: _filled(rows[name]) if length else np.array(rows[name])
        for name, _, length in properties
    }
    return columns, words[place:]
