"""What the studies state before any report run."""

import pytest

from oryx.evidence.hypotheses import load_hypotheses
from workbook import cli
from workbook.report.published import HYPOTHESES, all_hypotheses


@pytest.mark.parametrize("name", cli.STUDIES)
def test_every_study_states_hypotheses_of_its_own_named_by_scale(name):
    study = cli.find_study(name)
    found = load_hypotheses(study.hypotheses_file)
    assert found and {entry.study for entry in found} == {name}
    assert all(entry.id.endswith((".nano", ".medium", ".small", ".paper")) for entry in found)
    assert study.hypotheses(study.settings({})) == found


def test_the_report_finds_all_of_them():
    files = {cli.find_study(name).hypotheses_file for name in cli.STUDIES}
    assert set(HYPOTHESES) >= files and len({entry.id for entry in all_hypotheses()}) == len(all_hypotheses())


def test_gates_cover_every_arm_that_is_compared():
    """Or the one that is said to be better: where it has learned a difference is none of two floors, nor is a tie.
    A likelihood has no floor."""
    gated = [entry for entry in all_hypotheses() if entry.gate is not None]
    least = [
        entry.arms[:1] if entry.kind == "difference" or entry.measure == "logprob" else entry.arms for entry in gated
    ]
    assert gated and [e.id for e, arms in zip(gated, least, strict=True) if not set(arms) <= set(e.gate.arms)] == []
