"""Where a result comes from: commit, command, settings, versions, hardware, hashes, times, memory."""

import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

import oryx

PACKAGES = (
    oryx.DISTRIBUTION,
    *("torch", "transformers", "accelerate", "tokenizers", "numpy", "pandas", "scipy", "pillow", "matplotlib"),
    *("papermill", "decord", "av"),
)


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe_run(study: str, settings, seed: int, **extra) -> dict:
    """The manifest of one seed at its start; :func:`finish` completes it.

    ``dirty`` tells uncommitted changes outside ``results/``; both it and ``commit`` are None outside a git checkout.
    """
    commit, dirty = _git()
    return {
        "study": study,
        "settings": settings.to_dict(),
        "settings_hash": settings.settings_hash,
        "seed": seed,
        "command": " ".join(["python -m oryx", *sys.argv[1:]]) if sys.argv[0].endswith("__main__.py") else "notebook",
        "reproduce": reproduce_command(study, settings),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "hardware": _hardware(),
        "start": now(),
        **extra,
    }


def reproduce_command(study: str, settings) -> str:
    """The command line that runs these settings again."""
    flags = [f"--scale {settings.scale}", "--seeds " + ",".join(map(str, settings.seeds))]
    skip = {"scale", "seeds", "source", "jobs", "results", "from_scratch"}
    flags += [f"-p {name}={_text(value)}" for name, value in settings.parameters().items() if name not in skip]
    return " ".join([f"python -m oryx run {study}", *flags, *(["--from-scratch"] if settings.from_scratch else [])])


def _text(value) -> str:
    import json
    import shlex

    return shlex.quote(value if isinstance(value, str) else json.dumps(value))


def finish(manifest: dict) -> dict:
    """The manifest with the end time and the peak memory of this process and its largest child, in megabytes."""
    peak = {
        name: round(resource.getrusage(who).ru_maxrss / 1024)
        for name, who in (("parent", resource.RUSAGE_SELF), ("largest_worker", resource.RUSAGE_CHILDREN))
    }
    return {**manifest, "end": now(), "peak_memory_mb": peak}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git() -> tuple[str | None, bool | None]:
    root = Path(oryx.__path__[0]).parent
    try:
        run = {"cwd": root, "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", ".", ":!results"], **run).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit, bool(changed)


def _hardware() -> dict:
    found = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "cpu": _cpu_model(),
    }
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
