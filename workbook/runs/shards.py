"""Folders of a run: one shard per seed, held by one process at a time, and how far it is.

results/runs/<study>/<scale>/<settings-hash>/seed-<n>/   status, manifest, lock, arms/<arm>/

``status.json`` says running, done, failed, killed or timeout; the process that holds the folder writes it. Where nobody
holds the folder, ``running`` reads as ``killed``. Nothing is ever believed from a notebook's metadata.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from oryx.errors import RunError
from oryx.files import atomic_write_json


@contextmanager
def held(folder: Path, wait: float = 1.0) -> Iterator[Path]:
    """Hold a folder, which is made when missing; the lock goes with the process, however it ends.

    A look at a status holds it too, for a moment, so that even a lock that should be free is waited for.

    Raises RunError if another process still holds it after ``wait`` seconds (naming it), or if the folder cannot be
    written.
    """
    owner = folder / "lock.owner"
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait)
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}")
    except Timeout:
        name = owner.read_text() if owner.exists() else "another process"
        raise RunError(f"{folder} is in use by {name}; wait for it or stop it") from None
    except OSError as error:
        lock.release(force=True)
        raise RunError(f"{folder} cannot be written ({error.strerror or error}); choose another folder") from error
    try:
        yield folder
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def write_status(path: Path, state: str, message: str = "", **details: object) -> None:
    """Say at ``path`` that its folder has come to ``state``, with ``details``; ``running`` begins a new attempt."""
    now, earlier = round(time.time(), 3), read_status(path)
    attempt, started = earlier.get("attempt", 0), earlier.get("started", now)
    if state == "running":
        attempt, started = attempt + 1, now
    status = {"state": state, "message": message, "attempt": attempt, "started": started, **details, "updated": now}
    atomic_write_json(path, status)


def read_status(path: Path) -> dict:
    """The status at ``path``; ``queued`` if there is none yet, ``killed`` if nobody holds its folder any more."""
    try:
        status = json.loads(path.read_text(encoding="utf-8"))
        state = status["state"]
    except FileNotFoundError:
        return {"state": "queued", "message": ""}
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is no JSON of a status ({error!r}); delete it to start this status anew") from error
    if state == "running" and not _in_use(path.parent):
        return {**status, "state": "killed", "message": "its process is gone; the same command goes on"}
    return status


def _in_use(folder: Path) -> bool:
    try:
        with FileLock(folder / "lock").acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written is not being written
        return False
