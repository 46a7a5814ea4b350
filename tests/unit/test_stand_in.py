"""The stand-in for a device finds what a real one would refuse, and lets through what it takes."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator, PartialState
from torch import nn

from oryx.grids import cumulative_lengths
from oryx.model.attention import packed_attention
from tests.stand_in import stand_in_gpu


@pytest.fixture
def gpu():
    with stand_in_gpu() as found:
        yield found


def test_a_tensor_left_on_the_cpu_is_found(gpu):
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        torch.cat([there, here])
    assert torch.equal((there + here.to(there.device)).cpu(), torch.full((3,), 2.0))


def test_a_model_left_on_the_cpu_is_found(gpu):
    model, x = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), torch.randn(2, 4).cuda()
    with pytest.raises(RuntimeError, match="same device"):
        model(x)
    assert model.to("cuda")(x).device == torch.device("cuda", 0)
    assert model[0].weight.is_cuda and not model.cpu()[0].weight.is_cuda
    with pytest.raises(RuntimeError, match="same device"):
        nn.Embedding(5, 2)(torch.tensor([1, 2], device="cuda"))


def test_arrays_of_a_device_tensor_are_refused(gpu):
    x = torch.arange(3).to("cuda")
    for ask in (lambda: x.numpy(), lambda: np.asarray(x), lambda: (x * 2).numpy()):
        with pytest.raises(TypeError, match=r"Tensor\.cpu"):
            ask()
    assert x.cpu().numpy().tolist() == x.tolist() == [0, 1, 2]


WAYS = (
    lambda d: torch.tensor([1.0], device=d),
    lambda d: torch.as_tensor([1.0], device=d),
    lambda d: torch.zeros(1, device=d),
    lambda d: torch.zeros(1).to(d),
    lambda d: torch.zeros(1).to(device=d, dtype=torch.float64),
    lambda d: torch.zeros(1).to(torch.zeros(1, device=d)),
    lambda d: torch.zeros(1, device=d).new_tensor([2.0]),
    lambda d: torch.empty_like(torch.zeros(1, device=d)),
    lambda d: torch.zeros(1, device=d)[torch.tensor([0])],
    lambda d: torch.randn(1, device=d, generator=torch.Generator(d)),
)


@pytest.mark.parametrize("make", WAYS)
def test_every_way_to_make_a_tensor_says_its_device(gpu, make):
    assert make("cuda").is_cuda and make("cuda").get_device() == 0
    assert not make("cpu").is_cuda and make("cpu").device.type == "cpu"


def test_generators_and_pinned_memory_belong_to_a_device(gpu):
    with pytest.raises(RuntimeError, match="generator"):
        torch.randn(2, device="cuda", generator=torch.Generator())
    with pytest.raises(RuntimeError, match="generator"):
        torch.randn(2, generator=torch.Generator("cuda"))
    with pytest.raises(RuntimeError, match="pin"):
        torch.zeros(2, device="cuda").pin_memory()
    torch.zeros(2).pin_memory()
    assert gpu.pinned == 1


def test_indices_may_come_from_the_cpu_but_not_to_it(gpu):
    table, rows = torch.eye(3, device="cuda"), torch.tensor([1])
    assert table[rows].is_cuda
    with pytest.raises(RuntimeError, match="same device"):
        table.cpu()[rows.cuda()]


def test_gradients_and_the_optimizer_stay_on_the_device(gpu):
    accelerator = Accelerator(mixed_precision="bf16")
    assert PartialState().device.type == "cuda" and accelerator.device.type == "cuda"
    model = accelerator.prepare_model(nn.Linear(4, 2))
    optimizer = accelerator.prepare(torch.optim.AdamW(model.parameters(), fused=True))
    with accelerator.autocast():
        loss = model(torch.ones(3, 4, device=accelerator.device)).square().mean()
    accelerator.backward(loss)
    optimizer.step()
    assert all(p.is_cuda and p.grad.is_cuda for p in model.parameters()) and gpu.autocasts


def test_the_variable_length_kernel_is_taken_in_bfloat16(gpu):
    generator = torch.Generator("cuda").manual_seed(0)
    q, k, v = (torch.randn(12, heads, 16, device="cuda", generator=generator) for heads in (4, 2, 2))
    bounds = cumulative_lengths([5, 1, 6])
    exact = packed_attention(q, k, v, bounds, causal=True)
    assert not gpu.varlen_calls
    half = packed_attention(*(x.bfloat16() for x in (q, k, v)), bounds, causal=True)
    assert gpu.varlen_calls == 1 and half.is_cuda
    assert (half.float() - exact).square().mean() < 1e-3 * exact.square().mean()


def test_autocast_is_that_of_the_device(gpu):
    with torch.autocast("cuda", torch.bfloat16):
        assert torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") == torch.bfloat16
        assert nn.Linear(2, 2).cuda()(torch.ones(1, 2, device="cuda")).dtype == torch.bfloat16
        assert torch.cat([torch.ones(2).half(), torch.ones(1).half()]).dtype == torch.float16


def test_a_model_that_computes_on_the_cpu_is_named(gpu):
    here = nn.Linear(2, 2)
    here(torch.ones(1, 2))
    torch.ones(2, 2) @ torch.ones(2, 2)
    nn.Linear(2, 2).cuda()(torch.ones(1, 2, device="cuda"))
    assert [line.rpartition("/")[2].partition(":")[0] for line in gpu.products_on_cpu] == ["test_stand_in.py"]
    assert gpu.products_on_cpu.total() == 1


def test_nothing_is_left_when_the_context_ends():
    with stand_in_gpu():
        x = torch.zeros(2, device="cuda")
    assert not torch.cuda.is_available() and x.device.type == "cpu" and PartialState().device.type == "cpu"
    assert (x + torch.ones(2)).numpy().tolist() == [1, 1]
