"""``status.json``: queued, running, done, failed, killed or timeout; written by the parent process alone.

Within one attempt a state only goes forward; a new attempt starts anew and is counted. A ``running`` whose process is
gone reads as ``killed``. Nothing is ever believed from a notebook's metadata.
"""

import json
import os
import socket
import time
from pathlib import Path

from oryx.errors import RunError
from oryx.files import atomic_write_json

STATES = ("queued", "running", "done", "failed", "killed", "timeout")
_RANK = {"queued": 0, "running": 1}


def start_attempt(path: Path, message: str = "") -> dict:
    """Write ``queued`` for a new attempt of this process, whatever an earlier attempt came to."""
    earlier = _read(path)
    return _write(path, "queued", message, {"attempt": 1 + (earlier or {}).get("attempt", 0), "started": _now()})


def write_status(path: Path, state: str, message: str = "", **details: object) -> dict:
    """Move this attempt on to ``state``; returns what was written. ``details`` are kept beside it.

    Raises RunError for an unknown state, and for a step backwards: a state that is final stays until the next attempt.
    """
    if state not in STATES:
        raise RunError(f"status {state!r}: expected one of {', '.join(STATES)}")
    earlier = _read(path) or start_attempt(path)
    if _RANK.get(state, 2) < _RANK.get(earlier["state"], 2) or (
        earlier["state"] not in _RANK and state != earlier["state"]
    ):
        raise RunError(f"{path}: {earlier['state']} cannot become {state} within one attempt")
    return _write(path, state, message, {"attempt": earlier["attempt"], "started": earlier["started"], **details})


def read_status(path: Path) -> dict:
    """The status at ``path``; ``queued`` if there is none yet, ``killed`` if its process is gone."""
    status = _read(path)
    if status is None:
        return {"state": "queued", "message": ""}
    if status["state"] in _RANK and status["host"] == socket.gethostname() and not _alive(status):
        return {**status, "state": "killed", "message": f"process {status['pid']} is gone; the same command goes on"}
    return status


def _write(path: Path, state: str, message: str, fields: dict) -> dict:
    me = {"pid": os.getpid(), "born": _born(os.getpid()), "host": socket.gethostname()}
    status = {"state": state, "message": message, **fields, "updated": _now(), **me}
    atomic_write_json(path, status)
    return status


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is no JSON ({error}); delete it to start this status anew") from error


def _now() -> float:
    return round(time.time(), 3)


def _alive(status: dict) -> bool:
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's
        pass
    found = _stat(status["pid"])
    return found is None or (found[0] != "Z" and status.get("born") in (None, _born(status["pid"])))


def _born(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; tells a process from a later one of the same number."""
    found = _stat(pid)
    return int(found[19]) if found else None


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on (a zombie's is Z: it has ended); None where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
