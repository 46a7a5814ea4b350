"""Two processes with plain DistributedDataParallel take the steps of one process that has the whole batch."""

import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from oryx.layout import Layout
from tests.unit.model.builders import MARK, pictures, tiny_model, visual_inputs

pytestmark = pytest.mark.integration
SIZES = [(16, 24), (8, 8), (24, 16), (16, 16)]
STEPS = 3
PROCESSES = 2
COMPRESSORS = ("dynamic", "dynamic_dwconv")


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


def one_of_two(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=PROCESSES)
    share = len(SIZES) // PROCESSES
    for compressor in COMPRESSORS:
        model = DistributedDataParallel(tiny_model(compressor=compressor))
        torch.save(train(model, range(rank * share, (rank + 1) * share), 1), folder / f"{compressor}{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder with the gradients of both processes, which load torch once for all connectors."""
    folder = tmp_path_factory.mktemp("together")
    mp.spawn(one_of_two, (folder,), nprocs=PROCESSES)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="gloo meets in a file on Linux and macOS only")
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_plain_data_parallel_on_images(together, compressor):
    alone = train(tiny_model(compressor=compressor), range(len(SIZES)), 1)
    for rank in range(PROCESSES):
        for own, expected in zip(torch.load(together / f"{compressor}{rank}.pt"), alone, strict=True):
            assert own.keys() == expected.keys()
            for name, gradient in own.items():
                scale = max(1.0, float(expected[name].abs().max()))
                torch.testing.assert_close(gradient, expected[name], atol=1e-5 * scale, rtol=1e-3, msg=name)
