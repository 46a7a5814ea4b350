"""Where a result comes from: commit, command, settings, versions, hardware, hashes, times, memory."""

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import oryx
from workbook.runs.jobs import cuda_devices, nvidia_smi
from workbook.runs.settings import REPOSITORY, StudySettings

if TYPE_CHECKING:
    from workbook.studies.base import Study

PACKAGES = (
    oryx.DISTRIBUTION,
    *("torch", "transformers", "accelerate", "tokenizers", "numpy", "pandas", "scipy", "pillow", "matplotlib"),
    *("papermill", "decord", "av", "torchcodec", "rapidocr-onnxruntime", "onnxruntime"),
)


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def writer() -> str:
    """What a page says of its making: day, version and commit."""
    commit, dirty = git_state()
    version = f"written {now()[:10]} by {oryx.DISTRIBUTION} {oryx.__version__}"
    return version + (f", commit `{commit[:8]}`" if commit else "") + (" with uncommitted changes" if dirty else "")


def describe_run(study: "Study", settings: StudySettings, seed: int, inputs: dict[str, str]) -> dict:
    """The manifest of one seed at its start; its end, and what each job cost, are added when it ends.

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
        "reproduce": shlex.join(["python", *run_words(study.id, settings, settings.counting)]),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": versions(),
        "hardware": hardware(),
        "precision": precision(settings.precision),
        **inputs,
        "hypotheses": stated_in(study.judged_by(settings)),
        **study.describe(settings),
        "start": now(),
    }


def run_words(study: str, settings: StudySettings, names: Collection[str]) -> list[str]:
    """The words after ``python`` that run a study with these settings; of those away from their presets, ``names``."""
    words = ["-m", "oryx", "run", study, "--scale", settings.scale, "--seeds", ",".join(map(str, settings.seeds))]
    for name, value in settings.parameters().items():
        if name in names and name not in ("scale", "seeds", "source"):
            words += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return words


def precision(asked: str) -> str:
    """The number format that ``asked`` comes to here: bf16 on a GPU and fp32 on a CPU for ``auto``."""
    return asked if asked != "auto" else "bf16" if cuda_devices() else "fp32"


def after_earlier(manifest: dict, path: Path) -> dict:
    """``manifest`` with what earlier attempts at the same shard, whose rows it may keep, ran from."""
    if not path.exists():
        return {**manifest, "attempts": []}
    earlier = json.loads(path.read_text())
    attempt = {name: earlier.get(name) for name in ("command", "commit", "dirty", "start", "end")}
    return {**manifest, "attempts": [*earlier.get("attempts", []), attempt]}


def versions() -> dict[str, str]:
    """The versions of the packages that a result rests on, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def stated_in(path: Path | None) -> dict[str, str | None] | None:
    """A file of hypotheses as it is now: its sha256, and the first commit in which it was so (None: not committed).

    ``at`` is that commit's time. None for a study without such a file.
    """
    if path is None:
        return None
    found = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "commit": None, "at": None}
    try:
        run = {"cwd": path.parent, "capture_output": True, "text": True, "check": True}
        content = subprocess.run(["git", "hash-object", path.name], **run).stdout.strip()
        words = ["git", "log", "--reverse", "--format=%H %cI", f"--find-object={content}", "--", path.name]
        commits = subprocess.run(words, **run).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        return found
    return found | dict(zip(("commit", "at"), commits[0].split(), strict=False))


def git_state() -> tuple[str | None, bool | None]:
    """Commit of the code, and whether it has uncommitted changes outside ``results/``; (None, None) outside git."""
    try:
        run = {"cwd": REPOSITORY, "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", ".", ":!results"], **run).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit, bool(changed)


def hardware() -> dict:
    """The machine: its kind, cores, memory in GB and processor; with a GPU its name and driver."""
    cpu = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else None
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "cpu": model[1] if model else platform.processor(),
        **_gpu(),
    }


def _gpu() -> dict[str, str]:
    names, drivers = nvidia_smi("name"), nvidia_smi("driver_version")
    return {"gpu": ", ".join(names), "driver": drivers[0]} if names and drivers else {}
