"""Memory that was measured is within 10 % of what the shapes say, weights aside; see docs/benchmarks.md for more."""

import pytest
import torch

from benchmarks.measure import in_fresh_process
from benchmarks.memory import CASES, measure, table

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=lambda case: case.name)
def test_memory_is_what_the_shapes_say(case):
    found = in_fresh_process(measure, "20M", case, torch.float32)
    assert found["weights"] == found["weights_said"]
    assert found["beside_said"] == pytest.approx(found["beside"], rel=0.1)
    if found["resident"] is not None:
        assert found["resident"] == pytest.approx(found["beside"], rel=0.25), "the two ways to measure agree"
    assert f"| {found['beside'] / 1e6:,.1f} |" in table([found])
