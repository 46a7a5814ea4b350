"""``python -m tools.docs.footprint [PIP OPTIONS]``: what a clone and ``make setup`` fetch, keep and take, measured.

The packages of the pins are downloaded into a folder that is removed again; on the disk counts what they unpack to. The
clone is of the last commit alone, and ``make setup`` is timed in it. The figures of README.md are these:
``docs/footprint.toml``.
"""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "footprint.toml"
EXTRAS = re.search(r"^EXTRAS \?= (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1]


def packages(folder: Path, options: list[str]) -> dict[str, str | int]:
    """Every package of ``make setup``, fetched into ``folder``: how many, and megabytes as fetched and as unpacked."""
    words = ["download", "--quiet", "--dest", str(folder), "-c", "requirements/constraints.txt", *options]
    subprocess.run([sys.executable, "-m", "pip", *words, f".[{EXTRAS}]"], cwd=ROOT, check=True)
    files = [path for path in folder.iterdir() if not path.name.startswith("oryx_workbook")]
    unpacked = [sum(e.file_size for e in ZipFile(f).filelist) if f.suffix == ".whl" else _size(f) for f in files]
    torch = next(path.name.split("-")[1] for path in files if path.name.startswith("torch-"))
    return {
        "torch": torch,
        "packages": len(files),
        "packages_mb": _mb(_size(folder)),
        "unpacked_mb": _mb(sum(unpacked)),
    }


def clone(folder: Path, options: list[str]) -> dict[str, int]:
    """Megabytes of a clone of the last commit: what git fetches, and what lies on the disk; seconds of its setup."""
    words = ["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(folder)]
    subprocess.run(words, check=True)
    found = {"clone_mb": _mb(_size(folder / ".git")), "checkout_mb": _mb(_size(folder))}
    began = time.monotonic()
    subprocess.run(["make", "--silent", "setup", f"PIP_OPTIONS={shlex.join(options)}"], cwd=folder, check=True)
    return found | {"setup_seconds": round(time.monotonic() - began)}


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def _mb(size: int) -> int:
    return round(size / 1e6)


def main(options: list[str]) -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as packed, tempfile.TemporaryDirectory() as cloned:
        found = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "python": ".".join(map(str, sys.version_info[:2]))}
        found |= {"extras": EXTRAS} | packages(Path(packed), options) | clone(Path(cloned, "clone"), options)
    lines = [f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"' for name, value in found.items()]
    KEPT.write_text("\n".join(["# Written by python -m tools.docs.footprint; megabytes of 10⁶ bytes.", *lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
