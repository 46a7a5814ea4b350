"""Sums of two processes: through the memory that they share, and over the network."""

import torch
from accelerate import Accelerator

from oryx.training.gradients import by_network, exchange_for

ROUNDS = 20


def main() -> None:
    """Says which exchange the processes have, and the largest difference of its sums from those of the network."""
    accelerator = Accelerator(cpu=True)
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (1000, 37, 4096)]
    exchange = exchange_for(parameters, accelerator)
    generator, worst = torch.Generator().manual_seed(accelerator.process_index), 0.0
    for _ in range(ROUNDS):
        parts = [torch.randn(size, generator=generator) for size in (1000, 37, 4096, len(parameters))]
        worst = max(worst, float((exchange(parts) - by_network(parts)).abs().max()))
    print(f"{type(exchange).__name__} differs from the network by {worst:g}", flush=True)
