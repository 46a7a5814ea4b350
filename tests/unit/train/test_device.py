"""Where and in which format a process computes."""

import pytest
import torch

from oryx.errors import SettingsError
from oryx.train import device
from oryx.train.device import Compute, compute


def test_a_cpu_computes_in_float32_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    own = compute()
    assert own == Compute(torch.device("cpu"), "fp32") and own.dtype == torch.float32 and own.workers == 0
    assert compute("bf16").dtype == torch.bfloat16
    with pytest.raises(SettingsError, match="unknown precision 'half'; known: auto, fp32, bf16"):
        compute("half")


def test_a_gpu_computes_in_bfloat16(monkeypatch):
    class Process:
        device = torch.device("cuda", 1)

    monkeypatch.setattr(device, "process", Process)
    assert compute() == Compute(torch.device("cuda", 1), "bf16") and compute().workers > 0
    assert compute("fp32").precision == "fp32"


def test_autocast_gives_matrix_products_their_format_and_leaves_the_weights():
    layer = Compute(torch.device("cpu"), "bf16").place(torch.nn.Linear(4, 4))
    with Compute(torch.device("cpu"), "bf16").autocast():
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32
    with Compute(torch.device("cpu"), "fp32").autocast():
        assert layer(torch.ones(1, 4)).dtype == torch.float32
