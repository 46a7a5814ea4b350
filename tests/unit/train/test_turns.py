"""Drawing in turns: every process gets every batch in order, and draws its share of them only."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx.train import turns
from oryx.train.turns import TURN, InTurns


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
