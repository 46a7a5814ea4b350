"""Batches that several processes need alike, drawn in turns: each draws some of the next and gives them to the others.

Training batches are drawn from one stream of random numbers each, so a process cannot draw its share of a batch alone;
but it can draw every second batch alone. The batch of a step is the same whatever the number of processes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from accelerate import PartialState
from accelerate.utils import gather_object

from oryx.train.helper import drawn_ahead

Batch = TypeVar("Batch")

TURN = 4
"""Batches that a process draws before it gives them away: fewer exchanges, at which all wait for the slowest."""


class InTurns(Generic[Batch]):
    """``draw(step)`` of the steps 0 to ``steps`` - 1, asked for in rising order by all processes (accelerate) alike.

    ``helper``: each of several processes has its turns drawn ahead by a helper (``draw`` is pickled) if there are
    several; else it draws them itself.
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
            if self.own is None:
                worth_it = self.helper and len(mine) > TURN  # there is more to draw than what is waited for at once
                self.own = (drawn_ahead if worth_it else _drawn_here)(self.draw, mine)
            end = min(step + state.num_processes * TURN, self.steps)
            self.drawn = dict(gather_object([next(self.own) for number in mine if number < end]))
            if end == self.steps:
                self.own = None  # and with it the helper
        return self.drawn[step]


def _drawn_here(draw: Callable[[int], Batch], numbers: Sequence[int]) -> Iterator[tuple[int, Batch]]:
    return ((number, draw(number)) for number in numbers)
