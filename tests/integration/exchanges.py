"""Sums of two processes: through the memory that they share, and over the network."""

import json
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from oryx.train.gradients import by_network, exchange_for

ROUNDS = 20


def main(file: Path) -> None:
    """Writes which exchange each process has, and the largest difference of its sums from those of the network."""
    accelerator = Accelerator(cpu=True)
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (1000, 37, 4096)]
    exchange = exchange_for(parameters, accelerator)
    generator, worst = torch.Generator().manual_seed(accelerator.process_index), 0.0
    for _ in range(ROUNDS):
        parts = [torch.randn(size, generator=generator) for size in (1000, 37, 4096, len(parameters))]
        worst = max(worst, float((exchange(parts) - by_network(parts)).abs().max()))
    found = gather_object([(type(exchange).__name__, worst)])
    if accelerator.is_main_process:
        file.write_text(json.dumps(found))
