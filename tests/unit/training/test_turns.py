"""Drawing in turns: every process gets every batch in order, and draws its share of them only."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx.training import turns
from oryx.training.turns import InTurns


@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 11))
def test_every_process_gets_every_batch_and_draws_its_share(processes, steps, first):
    """``first``: where a resumed run begins."""
    if first >= steps:
        return
    drawn: list[list[int]] = [[] for _ in range(processes)]
    now = SimpleNamespace(rank=0, step=first)

    def gather(own: list) -> list:
        """What all processes give when they ask for this step."""
        given = [f"batch {now.step + rank}" if now.step + rank < steps else None for rank in range(processes)]
        assert own == [given[now.rank]]
        return given

    def state() -> SimpleNamespace:
        return SimpleNamespace(num_processes=processes, process_index=now.rank)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "PartialState", state)
        patch.setattr(turns, "gather_object", gather)
        for now.rank, own in enumerate(drawn):
            batch_of = InTurns(lambda step, own=own: own.append(step) or f"batch {step}", steps)
            for now.step in range(first, steps):
                assert batch_of(now.step) == f"batch {now.step}"
    assert sorted(step for own in drawn for step in own) == list(range(first, steps))
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1
