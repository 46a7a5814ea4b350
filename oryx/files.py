"""Files that are either the old one or the new one, never half of each.

Every file of a run except the append-only rows is written to a temporary name in the same folder, flushed to the disk
and renamed. A full disk, a read-only folder or a kill therefore leaves the earlier file as it was.
"""

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from oryx.errors import CheckpointError, InputError, RunError, shortened


@contextmanager
def atomic_file(path: str | Path, size: int = 0) -> Iterator[BinaryIO]:
    """A file to write to that replaces ``path`` in one step when it is whole; the folder is created when missing.

    ``size``: about how many bytes will be written; nothing is if the disk has not so many left. Raises RunError naming
    the path when the disk is full, the folder is read-only or the name cannot be written; the earlier file, if any, is
    then untouched and no temporary file stays behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except OSError as error:
        needed = f"; it takes {size:,} bytes" if size else ""
        what = error.strerror or error
        raise RunError(f"{path}: cannot be written ({what}{needed}); the earlier file is unchanged") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: str | Path, data: bytes) -> Path:
    """Replaces ``path`` by ``data`` in one step. Errors as of :func:`atomic_file`."""
    with atomic_file(path) as file:
        file.write(data)
    return Path(path)


def atomic_write_text(path: str | Path, text: str) -> Path:
    """Replaces ``path`` by ``text`` in UTF-8 with the line ends as given. Errors as ``atomic_write_bytes``."""
    return atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_json(path: str | Path, value: object, *, indent: int | None = 2) -> Path:
    """Replaces ``path`` by ``value`` as JSON. Raises RunError for a value JSON cannot hold (NaN and infinity included).

    The text is made before the file is touched, so that a value which cannot be written costs nothing.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: not a JSON value ({error}); the earlier file is unchanged") from error
    return atomic_write_text(path, text + "\n")


@contextmanager
def reading(path: Path, kind: str, *faults: type[Exception]) -> Iterator[None]:
    """Around the reading of a checkpoint's file of a ``kind``: CheckpointError, naming it, if it is not there or fails.

    ``faults``: what reading may raise beside OSError and ValueError.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a {kind} file of the checkpoint")
    try:
        yield
    except (OSError, ValueError, *faults) as error:
        what = f"{kind}, {path.stat().st_size} bytes"
        raise CheckpointError(f"{path}: not readable as {what} (truncated or corrupt?): {error}") from error


def read_json(path: Path) -> dict:
    """The object in a json file of a checkpoint. Raises CheckpointError naming the file."""
    with reading(path, "json"):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a json object, got {type(content).__name__}")
    return content


def check_file(source: str | os.PathLike, what: str) -> Path:
    """``source`` as a path, or InputError naming it: a folder, not there, or empty. ``what``: is expected in it."""
    source, name = os.path.expanduser(source), shortened(source)
    if os.path.isdir(source):  # os.path: pathlib raises OSError for names that no file can have
        raise InputError(f"{name}: expected a {what} file, got a folder")
    if not os.path.isfile(source):
        remote = " (a URL is fetched for a picture alone: http, https or data)" * ("://" in name)
        raise InputError(f"{name}: expected a {what} file, there is none{remote}")
    if os.path.getsize(source) == 0:
        raise InputError(f"{name}: expected a {what}, got an empty file")
    return Path(source)


def sha256_file(path: str | Path) -> str:
    """The sha256 of a file as 64 hexadecimal digits, read in pieces. Raises RunError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from error
