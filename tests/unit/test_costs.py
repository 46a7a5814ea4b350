"""The cost of hours of video, by arithmetic: pieces, rates, GPUs that are too small."""

import pytest

from benchmarks.costs import GPUS, HOURS, PER_SECOND, costs, question, said, table, windows
from oryx.processing import fit
from oryx.processing.shapes import read_shape

SHAPE = read_shape("7b")


def test_a_question_takes_operations_at_one_rate_and_weights_of_further_words_at_another():
    shown = fit.video(16, (720, 1280), 16)
    once = question(SHAPE, shown, 1e12, 1e9, "bf16", 1)
    assert once == pytest.approx(sum(fit.operations(SHAPE, shown)) / 1e12)
    further = question(SHAPE, shown, 1e12, 1e9, "bf16", 3) - once
    assert further == pytest.approx(2 * SHAPE.weights("bf16")["language model"] / 1e9)


@pytest.mark.parametrize("room", [24e9, 80e9])
def test_pieces_hold_every_frame_once_and_fit_context_and_memory(room):
    pieces = windows(SHAPE, 1, room)
    assert sum(one.maps for one in pieces) == 3600 * PER_SECOND
    assert all(one.tokens < SHAPE.context for one in pieces)
    assert all(fit.memory(SHAPE, one, "bf16", fit.CHUNK).needed <= room for one in pieces)


def test_ten_hours_cost_ten_times_one_and_small_gpus_say_so():
    one, ten = (costs(SHAPE, hours, GPUS["H100"]) for hours in HOURS)
    assert ten["dollars"] == pytest.approx(10 * one["dollars"], rel=0.05) and one["dollars"] > 0
    assert costs(SHAPE, 1, GPUS["L4"])["questions"] > one["questions"], "less memory, shorter pieces"
    assert said(costs(SHAPE, 1, GPUS["T4"])) == "too small"
    timed = {"shape": "x", "tokens": 1, "rate": 1e9, "memory": 1e9, "operations": 1e9, "said": 1.0, "took": 1.3}
    assert "| 0.77 |" in (text := table([timed], GPUS)) and "distance is 23%" in text and "too small" in text
