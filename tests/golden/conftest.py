"""One pytest item per case of every json document in ``--golden-dir``."""

import pytest

from . import harness


def pytest_generate_tests(metafunc: pytest.Metafunc):
    if "golden_case" in metafunc.fixturenames:
        cases = list(harness.collect(metafunc.config.getoption("--golden-dir")))
        metafunc.parametrize("golden_case", cases, ids=[case.id for case in cases])
