"""Drawing in turns: every process gets every batch in order, and draws its share of them only."""

import multiprocessing
import os
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oryx.errors import SettingsError
from oryx.training import turns
from oryx.training.turns import NICENESS, TURN, InTurns, drawn_ahead


@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 39))
def test_every_process_gets_every_batch_and_draws_its_share(processes, steps, first):
    """``first``: where a resumed run begins."""
    if first >= steps:
        return
    drawn: list[list[int]] = [[] for _ in range(processes)]
    now = SimpleNamespace(rank=0, step=first)

    def gather(own: list) -> list:
        """What all processes give when they ask for this step."""
        given = [(step, f"batch {step}") for step in range(now.step, min(now.step + processes * TURN, steps))]
        assert own == given[now.rank :: processes]
        return [one for rank in range(processes) for one in given[rank::processes]]

    def state() -> SimpleNamespace:
        return SimpleNamespace(num_processes=processes, process_index=now.rank)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "PartialState", state)
        patch.setattr(turns, "gather_object", gather)
        for now.rank, own in enumerate(drawn):
            batch_of = InTurns(lambda step, own=own: own.append(step) or f"batch {step}", steps, helper=False)
            for now.step in range(first, steps):
                assert batch_of(now.step) == f"batch {now.step}"
            assert batch_of.own is None, "nothing is left to draw"
    assert sorted(step for own in drawn for step in own) == list(range(first, steps))
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1


def test_a_helper_draws_ahead_in_order_stands_back_and_ends():
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    ahead = drawn_ahead(lambda number: (number**2, os.getpid(), os.nice(0)), range(3, 50, 2))
    batches = list(ahead)
    assert [(number, square) for number, (square, *_) in batches] == [(n, n**2) for n in range(3, 50, 2)]
    assert {process for _, (_, process, _) in batches}.isdisjoint({os.getpid()})
    assert {niceness for *_, (_, _, niceness) in batches} == {min(os.nice(0) + NICENESS, 19)}
    assert torch.rand(()) == expected, "the training's own random numbers are not touched"
    stopped = drawn_ahead(lambda number: number, range(1000))
    assert next(stopped) == (0, 0)
    del stopped
    assert not multiprocessing.active_children()


def test_what_goes_wrong_in_a_helper_is_raised_here():
    def draw(number: int) -> int:
        if number == 2:
            raise SettingsError("side 3: no picture fits")
        return number

    ahead = drawn_ahead(draw, range(4))
    assert [next(ahead), next(ahead)] == [(0, 0), (1, 1)]
    with pytest.raises(SettingsError, match="no picture fits"):
        next(ahead)
