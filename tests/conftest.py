"""Options and settings shared by all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# A property holds or not; how long an example takes says something about the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

DEFAULT_GOLDEN_DIR = Path(__file__).parent / "golden" / "data"


def pytest_addoption(parser: pytest.Parser):
    parser.addoption(
        "--golden-dir",
        type=Path,
        default=DEFAULT_GOLDEN_DIR,
        help="folder with NAME.json and NAME.safetensors of reference results (default: tests/golden/data)",
    )
    parser.addoption("--screenshots", default="", help="folder for what the browser tier saw")


def pytest_configure(config: pytest.Config):
    # One thread: tests share the machine, and many short parallel regions are slower than none.
    try:
        import torch
    except ImportError:  # the evidence and report layers are tested without torch too
        return
    torch.set_num_threads(1)
