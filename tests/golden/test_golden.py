"""Our results against the reference's, see :mod:`tests.golden.harness`."""

from . import harness


def test_golden(golden_case: harness.GoldenCase):
    harness.run(golden_case)
