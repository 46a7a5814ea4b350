"""The helper that draws batches: in order, beside the training, and gone when nobody asks any more."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from oryx.errors import SettingsError
from oryx.train.helper import NICENESS, drawn_ahead


def square(number: int) -> tuple[int, int, int]:
    return number**2, os.getpid(), os.nice(0)


def failing(number: int) -> int:
    if number == 2:
        raise SettingsError("side 3: no picture fits")
    return number


def dying(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_draws_in_order_in_a_process_of_low_priority():
    batches = list(drawn_ahead(square, range(3, 60, 2)))
    assert [(number, squared) for number, (squared, *_) in batches] == [(n, n**2) for n in range(3, 60, 2)]
    assert {process for _, (_, process, _) in batches}.isdisjoint({os.getpid()})
    assert {niceness for *_, (_, _, niceness) in batches} == {min(os.nice(0) + NICENESS, 19)}
    assert not multiprocessing.active_children()


def test_it_ends_when_nobody_asks_any_more():
    ahead = drawn_ahead(failing, range(3, 1000))
    assert next(ahead) == (3, 3)
    assert len(multiprocessing.active_children()) == 1
    del ahead
    assert not multiprocessing.active_children()


def test_what_goes_wrong_in_it_is_raised_here_after_what_went_well():
    ahead = drawn_ahead(failing, range(4))
    assert [next(ahead), next(ahead)] == [(0, 0), (1, 1)]
    with pytest.raises(SettingsError, match="no picture fits") as raised:
        next(ahead)
    assert "in failing" in raised.value.__notes__[0], "it tells where"


def test_if_it_is_killed_the_training_does_not_wait_for_ever():
    with pytest.raises(ChildProcessError, match="ended with -9"):
        next(drawn_ahead(dying, range(3)))


def test_drawing_loads_no_torch():
    """A helper of every process and stage would need seconds to start."""
    code = "import workbook.stages.drawing, oryx.train.helper, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
