"""Two processes with plain DistributedDataParallel take the steps of one process that has the whole batch."""

import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from oryx.layout import Layout

from .builders import MARK, pictures, tiny_model, visual_inputs

SIZES = [(16, 24), (8, 8), (24, 16), (16, 16)]
STEPS = 3
PROCESSES = 2


def batch(samples: range, side: int) -> dict:
    shown = [pictures([SIZES[i]], seed=i)[0] for i in samples]
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 70, (len(SIZES), 6), generator=generator)[samples.start : samples.stop]
    ids[:, 0] = MARK
    labels = ids.masked_fill(torch.arange(6) < 3, -100)
    return {"input_ids": ids, "labels": labels} | visual_inputs([(Layout.ONE_VIEW, [one], side) for one in shown])


def train(model: torch.nn.Module, samples: range, side: int) -> list[dict[str, torch.Tensor]]:
    """Each step's gradients by parameter name."""
    optimizer, gradients = torch.optim.SGD(model.parameters(), lr=0.01), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(**batch(samples, side)).loss.backward()
        gradients.append({name.removeprefix("module."): p.grad.clone() for name, p in model.named_parameters()})
        optimizer.step()
    return gradients


def one_of_two(rank: int, compressor: str, side: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=PROCESSES)
    model = DistributedDataParallel(tiny_model(compressor=compressor))
    share = len(SIZES) // PROCESSES
    torch.save(train(model, range(rank * share, (rank + 1) * share), side), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32", reason="gloo meets in a file on Linux and macOS only")
@pytest.mark.parametrize(("compressor", "side"), [("dynamic", 1), ("dynamic_dwconv", 1)])
def test_plain_data_parallel_on_images(tmp_path, compressor, side):
    mp.spawn(one_of_two, (compressor, side, tmp_path), nprocs=PROCESSES)
    alone = train(tiny_model(compressor=compressor), range(len(SIZES)), side)
    for rank in range(PROCESSES):
        for own, expected in zip(torch.load(tmp_path / f"{rank}.pt"), alone, strict=True):
            assert own.keys() == expected.keys()
            for name, gradient in own.items():
                scale = max(1.0, float(expected[name].abs().max()))
                torch.testing.assert_close(gradient, expected[name], atol=1e-5 * scale, rtol=1e-3, msg=name)
