"""What this installation can do: torch build, accelerator, video decoders, fonts, threads, and the right ``oryx``."""

import platform
import shutil
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

import oryx
from workbook.runs.jobs import cores

LEAST_DISK_GB = 1


class Check(NamedTuple):
    """One thing that was looked at; ``needed`` tells a fault from something merely absent."""

    name: str
    ok: bool
    found: str
    needed: bool


def examine() -> list[Check]:
    """All checks, none of which raises."""
    checks = []
    for name, (check, needed) in CHECKS.items():
        try:
            ok, found = check()
        except Exception as error:
            ok, found = False, f"{type(error).__name__}: {error}"
        checks.append(Check(name, ok, found, needed))
    return checks


def _import_name() -> tuple[bool, str]:
    version = metadata.version(oryx.DISTRIBUTION)
    others = [d for d in metadata.packages_distributions().get("oryx", []) if d != oryx.DISTRIBUTION]
    clash = f"; {', '.join(others)} installs an 'oryx' too: use an environment of its own" if others else ""
    return not others, f"{oryx.DISTRIBUTION} {version} in {oryx.__path__[0]}{clash}"


def _torch() -> tuple[bool, str]:
    import torch

    build = f"CUDA {torch.version.cuda} build" if torch.version.cuda else "CPU build"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return True, f"{torch.__version__} ({build}), {device}, {torch.get_num_threads()} threads"


def _transformers() -> tuple[bool, str]:
    version = metadata.version("transformers")
    major, minor = (int(part) for part in version.split(".")[:2])
    return major == 5 and minor >= 17, f"{version} (needs >=5.17,<6)"


def _torchvision() -> tuple[bool, str]:
    # PyPI's torchvision is a CUDA build: beside a CPU torch it breaks transformers at import
    if find_spec("torchvision") is None:
        return True, "absent, as it should be beside a CPU torch"
    import torchvision.ops

    return True, f"{torchvision.__version__}, works with this torch"


def _shipped() -> tuple[bool, str]:
    from workbook.data import corpora

    return len(corpora.fonts()) > 0, f"{len(corpora.fonts())} font faces, {len(corpora.words())} words"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(".").free / 1e9
    return free >= LEAST_DISK_GB, f"{free:.1f} GB free here (needs {LEAST_DISK_GB})"


CHECKS = {
    "import name oryx": (_import_name, True),
    "torch": (_torch, True),
    "transformers": (_transformers, True),
    "torchvision": (_torchvision, True),
    "video decoder av": (lambda: (True, metadata.version("av")), True),
    "video decoder decord": (lambda: (True, metadata.version("decord")), False),
    "video decoder torchcodec": (lambda: (True, metadata.version("torchcodec")), False),
    "shipped data": (_shipped, True),
    "notebook runner": (lambda: (True, f"papermill {metadata.version('papermill')}"), False),
    "machine": (lambda: (True, f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"), True),
    "disk": (_disk, True),
}
"""What is looked at -> (whether it is well and what was found, whether it is needed)."""
