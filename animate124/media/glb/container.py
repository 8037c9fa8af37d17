"""The two forms of a glTF 2.0 file, and the bytes it refers to: embedded, beside it, or in it."""

import base64
import binascii
import json
import os
import struct
from pathlib import Path
from urllib.parse import unquote_to_bytes

from animate124.errors import UserError

_JSON, _BINARY = 0x4E4F534A, 0x004E4942
# Extensions that may be required: what they say is read, or may be left out without harm.
_READ = ("KHR_mesh_quantization", "KHR_texture_transform", "EXT_texture_webp")
_COMPRESSION = {
    "KHR_draco_mesh_compression": "Draco compression",
    "EXT_meshopt_compression": "meshopt compression",
    "KHR_meshopt_compression": "meshopt compression",
    "KHR_texture_basisu": "KTX2 textures",
}


class Source:
    """An opened file: `tree`, its JSON, and the bytes of its buffers and images.

    Raises:
        UserError: missing, empty, damaged or cut short, not glTF of version 2, or in need of
            something that is not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = _load(path)
        if data[:4] == b"glTF":
            self.tree, self._binary = _split(path, data)
        elif data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            self.tree, self._binary = _parsed(path, data), None
            version = self.tree.get("asset", {})
            version = version.get("version") if isinstance(version, dict) else None
            if version is None or not str(version).startswith("2."):
                raise UserError(
                    f"The file {path} is not glTF of version 2: export it as glTF 2.0 (.glb)."
                )
        else:
            raise UserError(
                f"The file {path} is not a GLB file: export the asset as glTF binary (.glb)."
            )
        self._refuse_unsupported()
        self._buffers: dict[int, bytes] = {}

    def buffer(self, index: int) -> bytes:
        """The bytes of buffer `index`."""
        if index not in self._buffers:
            uri = self.tree["buffers"][index].get("uri")
            if uri is not None:
                self._buffers[index] = self._fetch(uri)
            elif index == 0 and self._binary is not None:
                self._buffers[index] = self._binary
            else:
                raise ValueError(f"buffer {index} has no bytes")
        return self._buffers[index]

    def view(self, index: int) -> bytes:
        """The bytes of buffer view `index`."""
        view = self.tree["bufferViews"][index]
        data = self.buffer(view.get("buffer", 0))
        start, length = view.get("byteOffset", 0), view["byteLength"]
        if start < 0 or length < 0 or start + length > len(data):
            raise ValueError(f"buffer view {index} lies outside the file")
        return data[start : start + length]

    def image(self, index: int) -> bytes:
        """The bytes of image `index`."""
        image = self.tree["images"][index]
        data = self._fetch(image["uri"]) if "uri" in image else self.view(image["bufferView"])
        if data.startswith(b"\xabKTX"):
            raise self._compressed("KTX2 textures")
        return data

    def _refuse_unsupported(self) -> None:
        for name in self.tree.get("extensionsRequired", ()):
            if name in _COMPRESSION:
                raise self._compressed(_COMPRESSION[name], name)
            if name not in _READ and not str(name).startswith("KHR_materials_"):
                raise UserError(
                    f"The GLB file {self.path} needs the extension {name}, which is not read: "
                    "export it without that extension."
                )

    def _compressed(self, what: str, name: str = "") -> UserError:
        return UserError(
            f"The GLB file {self.path} has {what}{f' ({name})' if name else ''}, which is not "
            "read: export it without compression, with PNG or JPEG textures (for instance with "
            "`gltf-transform copy`, or Blender's export with compression off)."
        )

    def _fetch(self, uri: str) -> bytes:
        """The bytes that a URI names: in it, or in a file beside this one."""
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            if not head.endswith(";base64"):
                return unquote_to_bytes(body)
            try:
                return base64.b64decode(body, validate=True)
            except binascii.Error as error:
                raise ValueError(f"an embedded file is no base64 ({error})") from error
        if "://" in uri:
            raise UserError(
                f"The GLB file {self.path} refers to {uri}, which is not fetched: export it with "
                "everything embedded."
            )
        beside = self.path.parent / os.fsdecode(unquote_to_bytes(uri))
        try:
            return beside.read_bytes()
        except (OSError, ValueError) as error:
            raise UserError(
                f"The GLB file {self.path} keeps a part of it outside the file, in {beside}, which "
                "cannot be read: put it there, or export it with everything embedded."
            ) from error


def damaged(path: Path, detail: str) -> UserError:
    """What to say of a file that is not what it should be."""
    return UserError(
        f"The GLB file {path} is damaged or cut short ({detail}): export it again or give another."
    )


def _load(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"The GLB file {path} is a folder: give the file in it.")
    if not path.is_file():
        raise UserError(f"The GLB file {path} does not exist: check the path.")
    try:
        data = path.read_bytes()
    except PermissionError as error:
        raise UserError(f"The GLB file {path} may not be read: change its permissions.") from error
    if not data:
        raise UserError(f"The GLB file {path} is empty: give another file.")
    return data


def _split(path: Path, data: bytes) -> tuple[dict, bytes]:
    """The JSON tree and the binary chunk of a GLB container."""
    if len(data) < 20:
        raise damaged(path, "the header is cut short")
    version, total = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise UserError(f"The GLB file {path} has glTF version {version}: export it as version 2.")
    if total > len(data):
        raise damaged(path, f"{len(data)} bytes of {total}")
    chunks: dict[int, bytes] = {}
    position = 12
    while position + 8 <= total:
        length, kind = struct.unpack_from("<II", data, position)
        if position + 8 + length > total:
            raise damaged(path, "a chunk is longer than the file")
        chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length
    return _parsed(path, chunks.get(_JSON, b"")), chunks.get(_BINARY, b"")


def _parsed(path: Path, text: bytes) -> dict:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "no valid JSON chunk") from error
    if not isinstance(tree, dict):
        raise damaged(path, "the JSON chunk is no object")
    return tree
