"""The batches of a training. A step's batch is a function of the step, however many processes and workers there are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from oryx.errors import SettingsError
from oryx.train.device import Compute, process

Sample = TypeVar("Sample")


class StepBatches(Dataset):
    """Item t is the collated batch of step t, this process's share of it.

    Of n processes number r takes the samples r, r + n, r + 2n and so on. A ``draw`` that sorts samples by length thus
    gives every process about as many tokens, and neighbours of one length share attention calls.

    Args:
        draw: step -> all samples of the step's batch; must depend on nothing but the step.
        collate: samples -> model inputs, a dict of tensors on the CPU.
        steps: how many steps there are.
        targets: sample -> how many supervised targets it brings, one by default. Their number in the whole batch over
            the number of processes travels along as ``num_items_in_batch``: a loss that divides its sum by that number
            has the mean of the whole batch as its mean over processes, and so have its gradients.
        workers: DataLoader workers that draw and collate ahead; ``draw`` and ``collate`` are pickled for them, so 0 is
            right where features in memory are all that is drawn from.
    """

    def __init__(
        self,
        draw: Callable[[int], Sequence[Sample]],
        collate: Callable[[Sequence[Sample]], dict],
        steps: int,
        targets: Callable[[Sample], int] | None = None,
        workers: int = 0,
    ):
        self.draw, self.collate, self.steps, self.targets, self.workers = draw, collate, steps, targets, workers
        state = process()
        self.rank, self.processes = state.process_index, state.num_processes

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict:
        """The batch of ``step``; raises SettingsError for fewer samples than processes."""
        samples = self.draw(step)
        if len(samples) < self.processes:
            raise SettingsError(
                f"batch of step {step}: expected at least one sample for each of {self.processes} processes, "
                f"got {len(samples)}"
            )
        total = len(samples) if self.targets is None else sum(map(self.targets, samples))
        share = samples[self.rank :: self.processes]
        return {
            **self.collate(share),
            "num_items_in_batch": torch.tensor(total / self.processes),
        }


def loader(batches: StepBatches, first: int, compute: Compute) -> Iterator[dict]:
    """The batches of the steps from ``first`` on, drawn ahead by the dataset's workers, in pinned memory for a GPU."""
    workers: dict[str, Any] = {"multiprocessing_context": "spawn", "prefetch_factor": 4} if batches.workers else {}
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            sampler=range(first, batches.steps),
            num_workers=batches.workers,
            collate_fn=_as_collated,
            pin_memory=compute.device.type == "cuda",
            generator=torch.Generator(),  # the loader's own draws must not move the training's random numbers
            **workers,
        )
    )


def _as_collated(batch: dict) -> dict:
    return batch
