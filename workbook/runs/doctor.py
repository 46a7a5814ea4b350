"""What this installation can do: torch build, accelerator, video decoders, fonts, threads, and the right ``oryx``."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

import oryx
from workbook.runs.jobs import cores

LEAST_DISK_GB = 1


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``needed`` tells a fault from something merely absent."""

    name: str
    ok: bool
    found: str
    needed: bool = True


def examine() -> list[Check]:
    """All checks, none of which raises."""
    checks = [_import_name(), _torch(), _transformers(), _torchvision(), _decoder("decord"), _decoder("av")]
    return [*checks, _assets(), _notebooks(), _machine(), _disk()]


def _guarded(name: str, look: Callable[[], tuple[bool, str]], needed: bool = True) -> Check:
    try:
        ok, found = look()
    except Exception as error:
        ok, found = False, f"{type(error).__name__}: {error}"
    return Check(name, ok, found, needed)


def _import_name() -> Check:
    def look():
        version = metadata.version(oryx.DISTRIBUTION)
        others = [d for d in metadata.packages_distributions().get("oryx", []) if d != oryx.DISTRIBUTION]
        clash = f"; {', '.join(others)} installs an 'oryx' too: use an environment of its own" if others else ""
        return not others, f"{oryx.DISTRIBUTION} {version} in {oryx.__path__[0]}{clash}"

    return _guarded("import name oryx", look)


def _torch() -> Check:
    def look():
        import torch

        build = f"CUDA {torch.version.cuda} build" if torch.version.cuda else "CPU build"
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
        return True, f"{torch.__version__} ({build}), {device}, {torch.get_num_threads()} threads"

    return _guarded("torch", look)


def _transformers() -> Check:
    def look():
        version = metadata.version("transformers")
        major, minor = (int(part) for part in version.split(".")[:2])
        return major == 5 and minor >= 17, f"{version} (needs >=5.17,<6)"

    return _guarded("transformers", look)


def _torchvision() -> Check:
    # PyPI's torchvision is a CUDA build: beside a CPU torch it breaks transformers at import
    def look():
        if find_spec("torchvision") is None:
            return True, "absent, as it should be beside a CPU torch"
        import torchvision.ops

        return True, f"{torchvision.__version__}, works with this torch"

    return _guarded("torchvision", look)


def _decoder(name: str) -> Check:
    def look():
        if find_spec(name) is None:
            return False, "not installed" + ("; videos are read with PyAV instead" if name == "decord" else "")
        return True, metadata.version(name)

    return _guarded(f"video decoder {name}", look, needed=name == "av")


def _assets() -> Check:
    def look():
        from workbook.data import corpora

        return len(corpora.fonts()) > 0, f"{len(corpora.fonts())} font faces, {len(corpora.words())} words"

    return _guarded("shipped data", look)


def _notebooks() -> Check:
    def look():
        return True, f"papermill {metadata.version('papermill')}"

    return _guarded("notebook runner", look, needed=False)


def _machine() -> Check:
    return Check("machine", True, f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}")


def _disk() -> Check:
    def look():
        free = shutil.disk_usage(".").free / 1e9
        return free >= LEAST_DISK_GB, f"{free:.1f} GB free here (needs {LEAST_DISK_GB})"

    return _guarded("disk", look)
