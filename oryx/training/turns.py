"""Batches that several processes need alike, drawn in turns: each draws some of the next and gives them to the others.

Training batches are drawn from one stream of random numbers each, so a process cannot draw its share of a batch alone;
but it can draw every second batch alone. The batch of a step is the same whatever the number of processes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset

from oryx.training.worker import die_with_parent

Batch = TypeVar("Batch")

TURN = 4
"""Batches that a process draws before it gives them away: fewer exchanges, at which all wait for the slowest."""

AHEAD = 2 * TURN
"""Batches that a helper keeps ready: the next turn is drawn while this one is trained on."""

NICENESS = 10
"""Low enough a priority to leave a core to the training, high enough that other work on it does not starve a helper."""


class InTurns(Generic[Batch]):
    """``draw(step)`` of the steps 0 to ``steps`` - 1, asked for in rising order by all processes (accelerate) alike.

    ``helper``: each of several processes has its turns drawn ahead by a helper; else it draws them itself.
    """

    def __init__(self, draw: Callable[[int], Batch], steps: int, helper: bool = True):
        self.draw, self.steps, self.helper = draw, steps, helper
        self.drawn: dict[int, Batch] = {}
        self.own: Iterator[tuple[int, Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``: of n processes each draws TURN of the next n * TURN, and all get all of them."""
        state = PartialState()
        if state.num_processes == 1:
            return self.draw(step)
        if step not in self.drawn:
            mine = range(step + state.process_index, self.steps, state.num_processes)
            self.own = self.own or (drawn_ahead if self.helper else drawn_here)(self.draw, mine)
            end = min(step + state.num_processes * TURN, self.steps)
            turn = [next(self.own) for number in mine if number < end]
            self.drawn = dict(gather_object(turn))
            if end == self.steps:
                self.own = None  # and with it the helper
        return self.drawn[step]


def drawn_ahead(draw: Callable[[int], Batch], numbers: Sequence[int]) -> Iterator[tuple[int, Batch]]:
    """(number, ``draw(number)``) of each of ``numbers``, drawn by a helper process that ends with the iterator.

    Processes that train together wait for each other in every step; that is when a helper of low priority gets most of
    its work done.
    """
    loader = DataLoader(
        _Draws(draw),
        batch_size=None,
        sampler=numbers,
        collate_fn=_as_drawn,
        num_workers=1,
        prefetch_factor=AHEAD,
        worker_init_fn=_stand_back,
        generator=torch.Generator(),  # by default it takes a number of the training's own stream
    )
    return iter(loader)


def drawn_here(draw: Callable[[int], Batch], numbers: Sequence[int]) -> Iterator[tuple[int, Batch]]:
    """The same, each drawn when it is asked for."""
    return ((number, draw(number)) for number in numbers)


class _Draws(Dataset):
    def __init__(self, draw: Callable[[int], Batch]):
        self.draw = draw

    def __getitem__(self, number: int) -> tuple[int, Batch]:
        return number, self.draw(number)


def _as_drawn(batch: tuple[int, Batch]) -> tuple[int, Batch]:
    return batch


def _stand_back(_: int) -> None:
    die_with_parent(os.getppid())
    if hasattr(os, "nice"):
        os.nice(NICENESS)
