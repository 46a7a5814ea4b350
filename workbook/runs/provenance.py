"""Where a result comes from: commit, command, settings, versions, hardware, hashes, times, memory."""

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import oryx
from workbook.runs.jobs import cuda_devices
from workbook.runs.settings import StudySettings
from workbook.runs.study import RunnableStudy

PACKAGES = (
    oryx.DISTRIBUTION,
    *("torch", "transformers", "accelerate", "tokenizers", "numpy", "pandas", "scipy", "pillow", "matplotlib"),
    *("papermill", "decord", "av"),
)


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe_run(study: RunnableStudy, settings: StudySettings, seed: int, inputs: dict[str, str]) -> dict:
    """The manifest of one seed at its start; :func:`finish` completes it.

    ``inputs``: sha256 of weights and data. ``dirty`` tells uncommitted changes outside ``results/``; both it and
    ``commit`` are None outside a git checkout.
    """
    commit, dirty = git_state()
    own = sys.argv[0].endswith("__main__.py")
    return {
        "study": study.id,
        "settings": settings.to_dict(),
        "settings_hash": settings.settings_hash,
        "seed": seed,
        "command": shlex.join(["python", "-m", "oryx", *sys.argv[1:]]) if own else "notebook",
        "reproduce": reproduce_command(study.id, settings),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": versions(),
        "hardware": _hardware(),
        "precision": precision(settings.precision),
        **inputs,
        **study.describe(settings),
        "start": now(),
    }


def precision(asked: str) -> str:
    """The number format that ``asked`` comes to here: bf16 on a GPU and fp32 on a CPU for ``auto``."""
    return asked if asked != "auto" else "bf16" if cuda_devices() else "fp32"


def after_earlier(manifest: dict, path: Path) -> dict:
    """``manifest`` with what earlier attempts at the same shard, whose rows it may keep, ran from."""
    try:
        earlier = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {**manifest, "attempts": []}
    attempt = {name: earlier.get(name) for name in ("command", "commit", "dirty", "start", "end")}
    return {**manifest, "attempts": [*earlier.get("attempts", []), attempt]}


def reproduce_command(study: str, settings: StudySettings) -> str:
    """The command line that runs these settings again."""
    counting = set(settings.counting) - {"scale", "from_scratch"}
    flags = [f"--scale {settings.scale}", "--seeds " + ",".join(map(str, settings.seeds))]
    flags += [f"-p {name}={_text(value)}" for name, value in settings.parameters().items() if name in counting]
    return " ".join([f"python -m oryx run {study}", *flags, *(["--from-scratch"] if settings.from_scratch else [])])


def _text(value: Any) -> str:
    return shlex.quote(value if isinstance(value, str) else json.dumps(value))


def finish(manifest: dict, arms: dict[str, dict]) -> dict:
    """The manifest with the end time, and seconds, CPU seconds and peak memory in megabytes of each finished job."""
    own = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    largest = max((arm["peak_memory_mb"] for arm in arms.values()), default=0)
    return {**manifest, "end": now(), "arms": arms, "peak_memory_mb": {"parent": own, "largest_worker": largest}}


def versions() -> dict[str, str]:
    """The versions of the packages that a result rests on, as far as they are installed."""
    return {name: version for name in PACKAGES if (version := _version(name))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def git_state() -> tuple[str | None, bool | None]:
    """Commit of the code, and whether it has uncommitted changes outside ``results/``; (None, None) outside git."""
    root = Path(oryx.__path__[0]).parent
    try:
        run = {"cwd": root, "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", ".", ":!results"], **run).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit, bool(changed)


def _hardware() -> dict:
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "cpu": _cpu_model(),
        **_gpu(),
    }


def _gpu() -> dict[str, str]:
    # asked of the driver, not of torch: the parent of the workers need not load it
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=60).stdout.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = [line.rpartition(",") for line in lines if "," in line]
    if not found:
        return {}
    return {"gpu": ", ".join(name.strip() for name, _, _ in found), "driver": found[0][2].strip()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
