"""What this installation can do: torch build, accelerator, video decoders, fonts, threads, and the right ``oryx``."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

import oryx


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
    return [*checks, _assets(), _notebooks(), _machine()]


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
        return not others, f"{oryx.DISTRIBUTION} {version} in {oryx.__path__[0]}" + (
            f"; also claimed by {others}" if others else ""
        )

    return _guarded("import name oryx", look)


def _torch() -> Check:
    def look():
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
        return True, f"{torch.__version__}, {device}, {torch.get_num_threads()} threads"

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
        from oryx.data import corpora

        return len(corpora.fonts()) > 0, f"{len(corpora.fonts())} font faces, {len(corpora.words())} words"

    return _guarded("shipped data", look)


def _notebooks() -> Check:
    def look():
        return True, f"papermill {metadata.version('papermill')}"

    return _guarded("notebook runner", look, needed=False)


def _machine() -> Check:
    free = shutil.disk_usage(".").free / 1e9
    return Check(
        "machine",
        True,
        f"{platform.machine()}, {os.cpu_count()} cores, {free:.0f} GB free here, Python {platform.python_version()}",
    )
