"""Batches that several processes need alike, drawn in turns: each draws every n-th and gives it to the others.

Training batches are drawn from one stream of random numbers each, so a process cannot draw its share of a batch alone;
but it can draw every second batch alone. The batch of a step is the same whatever the number of processes.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from accelerate import PartialState
from accelerate.utils import gather_object

Batch = TypeVar("Batch")


class InTurns(Generic[Batch]):
    """``draw(step)`` of the steps 0 to ``steps`` - 1, asked for in rising order by all processes (accelerate) alike."""

    def __init__(self, draw: Callable[[int], Batch], steps: int):
        self.draw, self.steps = draw, steps
        self.drawn: dict[int, Batch] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``: with several processes each draws one of the next n, and all get all of them."""
        state = PartialState()
        if state.num_processes == 1:
            return self.draw(step)
        if step not in self.drawn:
            own = step + state.process_index
            found = gather_object([self.draw(own) if own < self.steps else None])
            self.drawn = {step + turn: batch for turn, batch in enumerate(found)}
        return self.drawn[step]
