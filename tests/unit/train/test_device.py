"""Where and in which format a process computes."""

from types import SimpleNamespace

import pytest
import torch

from oryx.errors import SettingsError
from oryx.train import device
from oryx.train.device import Compute, compute, load_whole


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


@pytest.mark.parametrize(("processes", "gpus", "all_gpus", "spread"), [
    (1, 2, True, True), (1, 1, True, False), (2, 2, True, False), (1, 2, False, False),
])  # fmt: skip
def test_one_process_spreads_a_model_over_all_gpus_and_several_take_one_each(
    monkeypatch, processes, gpus, all_gpus, spread
):
    """On stand-ins for GPUs: where the model is loaded to, and whether accelerate is asked to distribute it."""
    model, places = SimpleNamespace(processor=1, language_model=SimpleNamespace(_no_split_modules=["Layer"])), []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(device, "process", lambda: SimpleNamespace(num_processes=processes))
    monkeypatch.setattr(device, "load", lambda *_, **how: places.append(str(how["device"])) or model)
    monkeypatch.setattr(device, "infer_auto_device_map", lambda _, no_split_module_classes: no_split_module_classes)
    monkeypatch.setattr(device, "dispatch_model", lambda _, how: how)
    found = load_whole("folder", Compute(torch.device("cuda", 1), "bf16"), all_gpus)
    assert (found, places) == ((["Block", "Layer"], ["cpu"]) if spread else (model, ["cuda:1"]))
