"""Atomic writes: a file is there whole, or it is not there.

Only the standard library is imported here, so that the command line may use it at no cost.
"""

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from animate124.errors import UserError

TEMP_PREFIX = ".tmp-"
_FOREIGN_SECONDS = 3600.0

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EACCES: "permission denied: choose a folder you may write to",
    errno.EPERM: "permission denied: choose a folder you may write to",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path",
    errno.EISDIR: "this path is a folder: choose a file name",
    errno.EEXIST: "a file of this name stands where the folder should be: move it away",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EFBIG: "the file system takes no file of this size: choose another disk",
}


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path` in one step.

    The temporary name lies in the same folder (made if missing), starts with `.tmp-` and keeps the
    suffix of `path`, because writers pick the format by it. When the block ends well, file and
    folder are flushed to disk and the file replaces `path`; on any exception it is removed and
    `path` is left as it was. If a killed process leaves one behind, `clean_stale` removes it.

    Raises:
        UserError: the folder cannot be made or written to, the disk is full, or `path` is a folder.
        FileNotFoundError: the block wrote nothing to the temporary path.
    """
    path = Path(path)
    with _explain("write", path):
        ensure_folder(path.parent)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        temp = temporary(path.parent, path.suffix)
        try:
            yield temp
            _flush(temp)
            os.replace(temp, path)
            _flush(path.parent)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write `data` to `path` atomically. Raises as `atomic_path`."""
    with atomic_path(path) as temp:
        temp.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8 with \\n line ends to `path` atomically. Raises as `atomic_path`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write `value` as JSON (two-space indent, keys in the given order) to `path` atomically.

    Raises:
        ValueError: `value` holds NaN or infinity, which JSON cannot express. Else as `atomic_path`.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def ensure_folder(path: str | os.PathLike) -> Path:
    """Make the folder `path` with its parents if missing and return it.

    Raises:
        UserError: it cannot be made (a file in the way, no permission, disk full).
    """
    path = Path(path)
    with _explain("make the folder", path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # as below /proc
            raise UserError(
                f"Cannot make the folder {path}: this place takes no folders: choose another path."
            ) from error
    return path


def temporary(folder: Path, suffix: str = "") -> Path:
    """A path in `folder` that nobody else uses; `clean_stale` spares it while this process runs."""
    owner = f"{os.getpid()}-{secrets.token_hex(4)}-{_host()}"
    return folder / f"{TEMP_PREFIX}{owner}{suffix}"


def clean_stale(folder: str | os.PathLike) -> list[Path]:
    """Remove what killed writers left in `folder` (not below it): entries that start with `.tmp-`.

    A temporary whose writer still runs on this machine is left alone, and so is one of another
    machine (on a shared disk) that was written to within the last hour.

    Returns:
        The removed paths, sorted; empty when the folder does not exist.
    """
    folder = Path(folder)
    removed = []
    for entry in sorted(folder.glob(f"{TEMP_PREFIX}*")):
        if _in_use(entry):
            continue
        with _explain("remove", entry):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        removed.append(entry)
    return removed


@contextmanager
def _explain(verb: str, path: Path) -> Iterator[None]:
    """Turn the operating system's errors that a user can mend into a UserError."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno)
        if remedy is None or not _is_about(error, path):
            raise
        raise UserError(f"Cannot {verb} {path}: {remedy}.") from error


def _flush(path: Path) -> None:
    """Force a file's bytes, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; the rename is then theirs to order.
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _is_about(error: OSError, path: Path) -> bool:
    """Whether the error speaks of `path`, its folders or its temporary, not of some other file."""
    if error.filename is None:  # a failed write names no file
        return True
    named = Path(os.fsdecode(error.filename))
    return named == path or named in path.parents or named.name.startswith(TEMP_PREFIX)


def _host() -> str:
    """This machine's name without the characters that would confuse a file name."""
    return "".join(c for c in os.uname().nodename if c.isalnum())[:32]


def _in_use(temp: Path) -> bool:
    """Whether the writer of a temporary may still be alive."""
    owner = temp.name.removeprefix(TEMP_PREFIX).split(".")[0].split("-")
    if len(owner) != 3 or not owner[0].isdigit():
        return False
    pid, _, host = owner
    if host != _host():
        # Its process cannot be asked from here.
        with suppress(FileNotFoundError):
            return time.time() - temp.stat().st_mtime < _FOREIGN_SECONDS
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
