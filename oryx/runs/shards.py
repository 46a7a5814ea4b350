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
def held(shard: Path) -> Iterator[Path]:
    """Hold a shard; raises RunError if another process holds it (naming it) or the folder cannot be written."""
    owner = shard / "lock.owner"
    try:
        shard.mkdir(parents=True, exist_ok=True)
        lock = FileLock(shard / "lock")
        lock.acquire(timeout=0)
    except Timeout:
        name = owner.read_text() if owner.exists() else "another process"
        raise RunError(f"{shard} is in use by {name}; wait for it or stop it") from None
    except OSError as error:
        raise RunError(
            f"{shard} cannot be written ({error.strerror or error}); choose another results folder"
        ) from error
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield shard
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
