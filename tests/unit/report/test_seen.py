"""Sentences about figures say what the numbers say, of any arms: ties, one arm, arms that miss places, no rows."""

import pandas as pd
import pytest

from workbook.report import seen


def scores(cells, wide=0.01, chance=0.0):
    lines = [
        {"arm": arm, "group": group, "score": score, "low": score - wide, "high": score + wide, "chance": chance}
        for (arm, group), score in cells.items()
    ]
    return pd.DataFrame(lines, columns=["arm", "group", "score", "low", "high", "chance"])


def test_one_arm_that_is_highest_everywhere():
    frame = scores({("native", "a_task"): 0.6, ("pad", "a_task"): 0.2, ("native", "b"): 0.4, ("pad", "b"): 0.3})
    assert seen.best(frame, "group", "on task") == (
        "Native size is highest on every task. It scores 0.40 (b) to 0.60 (a task). "
        "The highest interval stands clear of all others on 2 of 2 tasks."
    )
    words = seen.best(scores({("native", "a"): 0.6, ("pad", "a"): 0.59}), "group", "at point")
    assert (
        words.startswith("Native size is highest at a. It scores 0.60.") and "clear of all others at none of 1" in words
    )


def test_ties_are_named_together():
    frame = scores({("native", "a"): 0.6, ("pad", "a"): 0.6, ("native", "b"): 0.1 + 0.2, ("pad", "b"): 0.3})
    assert seen.best(frame, "group", "on task").startswith(
        "Native size and padded square are each highest on every task."
    )


def test_no_arm_leads_where_the_highest_changes():
    cells = {(arm, group): float(arm == arms) for arms, group in zip("vwxyz", "abcde", strict=True) for arm in "vwxyz"}
    told = seen.best(scores(cells), "group", "on task")
    assert told.startswith("No arm leads on most tasks: none is highest on more than 1 of 5.")
    told = seen.best(scores(cells | {("x", "f"): 1.0, ("y", "f"): 0.5}), "group", "on task")
    assert told.startswith("No arm leads on most tasks: x is highest on 2 of 6.")
    few = {("x", "a"): 0.5, ("y", "a"): 0.4, ("x", "b"): 0.1, ("y", "b"): 0.2}
    assert seen.best(scores(few), "group", "on task").startswith("On a x (0.50), on b y (0.20) is highest.")


def test_an_arm_that_was_not_asked_everywhere_and_places_at_chance():
    frame = scores({("x", "a"): 0.5, ("y", "a"): 0.6, ("x", "b"): 0.1, ("x", "c"): 0.1}, chance=0.3)
    frame.loc[len(frame)] = ["y", "c", None, None, None, 0.3]
    words = seen.best(frame, "group", "on task")
    assert "no interval lies above chance on b and c." in words.lower() and "nan" not in words
    low = scores({("x", "a"): 0.1, ("x", "b"): 0.2}, chance=0.3)
    assert seen.best(low, "group", "on task") == (
        "X scores 0.10 (a) to 0.20 (b). No interval lies above chance on any task."
    )


@pytest.mark.parametrize("tell", [lambda f: seen.best(f, "group", "on task"), seen.cheapest])
def test_nothing_asked_is_said(tell):
    assert tell(scores({}).assign(visual_tokens=[])) == "Nothing was asked that could be shown."


def test_scores_without_intervals_say_nothing_of_them():
    frame = scores({("x", "a"): 0.5, ("y", "a"): 0.6}).assign(low=None, high=None)
    assert seen.best(frame, "group", "on task") == "Y is highest on a. It scores 0.60."


def test_the_cheapest_are_those_that_no_cheaper_arm_reaches():
    frame = scores({("x", "a"): 0.5, ("y", "a"): 0.6, ("z", "a"): 0.55, ("x", "b"): 0.9, ("y", "b"): 0.9})
    frame = frame.assign(visual_tokens=[10, 30, 40, 10, 30])
    assert seen.cheapest(frame) == (
        "A: y is highest, 0.60 with 30 visual tokens; best of their cost below it: x (0.50 with 10). "
        "B: x is highest, 0.90 with 10 visual tokens; no arm has fewer and is as good."
    )


def curves(losses):
    return pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "step": 10 * step, "loss": loss}
            for arm, own in losses.items()
            for seed in (0, 1)
            for step, loss in enumerate(own, 1)
        ]
    )


def test_curves_say_where_they_end_and_where_all_rise():
    words = seen.trained(curves({"x": (1.0, 0.5, 1.0, 0.4), "y": (1.0, 0.6, 1.2, 0.6)}))
    assert words == (
        "After 40 steps the loss is 0.4 with x, 0.6 with y; mean over 2 seeds. "
        "At step 30 every arm's loss rises to at least 2.0 times what it was."
    )
    assert seen.trained(curves({"x": (1.0, 0.5), "y": (1.0,)})) == (
        "After 10 to 20 steps the loss is 0.5 with x, 1 with y; mean over 2 seeds."
    )
    assert seen.trained(curves({"x": (1.0,)})) == "After 10 steps the loss is 1 with x; mean over 2 seeds."


def test_every_arm_of_every_study_has_a_name():
    from workbook.studies.compressor.arms import ARMS as CONNECTORS
    from workbook.studies.encoders.arms import ARMS as ENCODERS
    from workbook.studies.native_resolution.study import ARMS as SIZES
    from workbook.studies.needle.arms import ARMS as NEEDLES
    from workbook.studies.spatial.arms import ARMS as VIEWS

    for arms in (CONNECTORS, ENCODERS, SIZES, NEEDLES, VIEWS):
        full = [seen.name_of(arm) for arm in arms]
        assert not [name for name in full if "_" in name] and len(set(full)) == len(arms)
