"""Several processes (accelerate) share a batch of training: the same weights as one process, but for rounding."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration import two_processes
from workbook.stages import encoders

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def assert_same_weights(one: Path, two: Path, *files: str):
    for name in files:
        tensors, others = load_file(one / name), load_file(two / name)
        assert tensors.keys() == others.keys()
        for key, tensor in tensors.items():
            # kept in 8 or 16 bits: rounding may fall the other way
            difference = (tensor.float() - others[key].float()).abs().max()
            assert difference <= (1 if tensor.dtype == torch.int8 else 2e-3), f"{name}, {key}: {difference}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two folders with the same trainings: by two processes together, and by one."""
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", two_processes.__name__, str(two)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "process 1 of 2" in done.stdout, "two have trained"
    two_processes.main(one)
    return one, two


def test_two_processes_train_the_shared_parts_of_one(trained):
    """SigLIP's loss compares the pictures of each process with the captions of all; the reader's batches are split."""
    assert_same_weights(*trained, "siglip.safetensors", "oryxvit.safetensors", "reader.safetensors")


def test_two_processes_train_the_encoders_of_one(trained):
    one, two = (folder / "encoders" for folder in trained)
    assert_same_weights(one, two, *map(encoders.encoder_file, encoders.ENCODERS))
