"""Folders of a run: one shard per seed, held by one process at a time.

results/runs/<study>/<scale>/<settings-hash>/seed-<n>/   status, manifest, lock, arms/<arm>/
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from oryx.errors import RunError


def run_folder(results: str | Path, study: str, scale: str, settings_hash: str) -> Path:
    """The folder of a run's merged tables; its shards lie inside."""
    return Path(results) / "runs" / study / scale / settings_hash


def shard_folder(run: Path, seed: int) -> Path:
    """The folder of one seed."""
    return run / f"seed-{seed}"


@contextmanager
def held(folder: Path, wait: float = 0.0) -> Iterator[Path]:
    """Hold a folder, which is made when missing; the lock goes with the process, however it ends.

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
        raise RunError(
            f"{folder} cannot be written ({error.strerror or error}); choose another results folder"
        ) from error
    try:
        yield folder
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
