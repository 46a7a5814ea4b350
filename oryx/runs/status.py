"""``status.json`` of a run: queued, running, done, failed, killed or timeout; written by the parent process alone.

A ``running`` whose process is gone reads as ``killed``; nothing is ever believed from a notebook's metadata.
"""

import json
import os
import socket
import time
from pathlib import Path

import psutil

from oryx.errors import RunError
from oryx.evidence.files import atomic_write_json

STATES = ("queued", "running", "done", "failed", "killed", "timeout")


def write_status(path: Path, state: str, message: str = "") -> dict:
    """Write a state with this process's id, host and the time; returns what was written."""
    if state not in STATES:
        raise RunError(f"status {state!r}: expected one of {', '.join(STATES)}")
    earlier = _read(path)
    now = time.time()
    fresh = state in ("queued", "running") and (earlier is None or earlier["state"] not in ("queued", "running"))
    status = {
        "state": state,
        "message": message,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": now if fresh or earlier is None else earlier["started"],
        "updated": now,
    }
    atomic_write_json(path, status)
    return status


def read_status(path: Path) -> dict:
    """The status at ``path``; ``queued`` if there is none yet, ``killed`` if its process is gone."""
    status = _read(path)
    if status is None:
        return {"state": "queued", "message": ""}
    here = status["host"] == socket.gethostname()
    if status["state"] == "running" and here and not psutil.pid_exists(status["pid"]):
        return {**status, "state": "killed", "message": f"process {status['pid']} is gone; the same command goes on"}
    return status


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is no JSON ({error}); delete it to start this seed's status anew") from error
