"""Batches that several processes need alike, drawn in turns: each draws some of the next and gives them to the others.

Training batches are drawn from one stream of random numbers each, so a process cannot draw its share of a batch alone;
but it can draw every second batch alone. The batch of a step is the same whatever the number of processes.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from accelerate import PartialState
from accelerate.utils import gather_object

Batch = TypeVar("Batch")

TURN = 4
"""Batches that a process draws before it gives them away: fewer exchanges, at which all wait for the slowest."""


class InTurns(Generic[Batch]):
    """``draw(step)`` of the steps 0 to ``steps`` - 1, asked for in rising order by all processes (accelerate) alike."""

    def __init__(self, draw: Callable[[int], Batch], steps: int):
        self.draw, self.steps = draw, steps
        self.drawn: dict[int, Batch] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``: of n processes each draws TURN of the next n * TURN, and all get all of them."""
        state = PartialState()
        if state.num_processes == 1:
            return self.draw(step)
        if step not in self.drawn:
            end = min(step + state.num_processes * TURN, self.steps)
            own = range(step + state.process_index, end, state.num_processes)
            self.drawn = dict(gather_object([(number, self.draw(number)) for number in own]))
        return self.drawn[step]
