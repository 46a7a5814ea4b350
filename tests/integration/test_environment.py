"""The environment for conda users, as far as pip can tell without conda."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def test_the_pip_part_resolves(tmp_path):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    lines = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    listed = ROOT / "requirements" / ".from-environment.txt"
    listed.write_text(
        "\n".join(line.replace("requirements/", "").replace("-e .", f"-e {ROOT}") for line in lines) + "\n"
    )
    try:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-build-isolation", "-q", "-r", str(listed)]
        done = subprocess.run(command, capture_output=True, text=True)
    finally:
        listed.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
