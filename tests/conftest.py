"""Options and settings shared by all tests."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# A property holds or not; how long an example takes says something about the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

DEFAULT_GOLDEN_DIR = Path(__file__).parent / "golden" / "data"


def _without_extra() -> str:
    absent = [name for name in ("snakemake", "snakemake_executor_plugin_slurm") if find_spec(name) is None]
    return f'{absent[0]} is not installed: pip install -e ".[cluster]"' if absent else ""


def _without_slurm() -> str:
    if absent := [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]:
        return f"{absent[0]} is not installed: apt-get install slurm-wlm munge"
    return _without_extra() or ("" if os.geteuid() == 0 else "starting Slurm's daemons needs root")


CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def _without_browser() -> str:
    if find_spec("playwright") is None:
        return 'playwright is not installed: pip install -e ".[browser]"'
    return "" if any(map(shutil.which, CHROMIUM)) else f"no Chromium on the path (looked for {', '.join(CHROMIUM)})"


def _without_peft() -> str:
    absent = [name for name in ("peft", "datasets") if find_spec(name) is None]
    return f'{absent[0]} is not installed: pip install -e ".[finetune]"' if absent else ""


def _without_captions() -> str:
    if find_spec("pycocoevalcap") is None:
        return 'pycocoevalcap is not installed: pip install -e ".[captions]"'
    return "" if shutil.which("java") else "no Java on the path: apt-get install default-jre-headless"


def _without_torchcodec() -> str:
    from oryx.errors import MissingResource
    from oryx.processing.decoders import check_decoder

    try:
        check_decoder("torchcodec")
    except MissingResource as error:
        return str(error)
    return ""


def _without_harness() -> str:
    return "" if find_spec("lmms_eval") else "lmms_eval is not installed here: make evals, and .venv-evals/bin/python"


def _without_ecosystem() -> str:
    absent = [name for name in ("peft", "trl", "bitsandbytes", "datasets") if find_spec(name) is None]
    return f'{absent[0]} is not installed: pip install -e ".[ecosystem]"' if absent else ""


def _without_rays() -> str:
    absent = [name for name in ("trimesh", "embreex") if find_spec(name) is None]
    return f'{absent[0]} is not installed: pip install -e ".[rooms]"' if absent else ""


def _without_ocr() -> str:
    absent = find_spec("rapidocr_onnxruntime") is None
    return 'rapidocr_onnxruntime is not installed: pip install -e ".[ocr]"' if absent else ""


TIERS: dict[str, Callable[[], str]] = {
    "workflow": _without_extra,
    "slurm": _without_slurm,
    "browser": _without_browser,
    "evals": _without_harness,
    "finetune": _without_peft,
    "captions": _without_captions,
    "torchcodec": _without_torchcodec,
    "ecosystem": _without_ecosystem,
    "rooms": _without_rays,
    "ocr": _without_ocr,
}
"""Marker -> what says why its tests cannot run here (nothing if they can)."""


LONGEST = (
    "test_notebooks.py",
    "test_needle_resume.py",
    "test_how_to.py",
    "test_needle_processes.py",
    "test_several_processes.py",
    "test_published.py",
    "test_slurm.py",
    "test_workflow.py",
    "test_transformers.py",
    "test_gpu_acceptance.py",
    "test_benchmarks.py",
    "test_needle_released.py",
    "test_compressor_evaluation.py",
    "test_haystacks.py",
    "test_needles.py",
)
"""Files that take longest, longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]):
    """Start the longest files first: side by side (pytest-xdist) none of them then begins when all else has ended."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


def pytest_addoption(parser: pytest.Parser):
    parser.addoption(
        "--golden-dir",
        type=Path,
        default=DEFAULT_GOLDEN_DIR,
        help="folder with NAME.json and NAME.safetensors of reference results (default: tests/golden/data)",
    )
    parser.addoption("--screenshots", default="", help="folder for what the browser tier saw")
    parser.addoption(
        "--require",
        action="append",
        default=[],
        choices=TIERS,
        help="fail, instead of skipping, where tests of this marker cannot run",
    )


def pytest_runtest_setup(item: pytest.Item):
    for tier, missing in TIERS.items():
        if item.get_closest_marker(tier) and (reason := missing()):
            if tier in item.config.getoption("--require"):
                pytest.fail(f"tier {tier!r} is required here, but {reason}", pytrace=False)
            pytest.skip(reason)


def pytest_configure(config: pytest.Config):
    # One thread: tests share the machine, and many short parallel regions are slower than none.
    try:
        import torch
    except ImportError:  # the evidence and report layers are tested without torch too
        return
    torch.set_num_threads(1)
