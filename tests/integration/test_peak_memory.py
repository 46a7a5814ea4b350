"""The benchmark's memory figures come from processes of their own."""

from dataclasses import replace

import pytest

from benchmarks.measure import peak_memory_in_fresh_process
from tests.integration.test_benchmarks import TINY

pytestmark = pytest.mark.integration


def test_peak_memory_of_a_fresh_process():
    peaks = peak_memory_in_fresh_process("packed", replace(TINY, grids=((16, 16),) * 32, width=64), threads=1)
    if peaks is None:
        pytest.skip("peak memory is measured on Linux with glibc only")
    one_map = 32 * 256 * 64 * 4 / 2**20  # the residual stream in MiB: both passes hold more than one, backward most
    assert one_map < peaks["forward"] < peaks["forward+backward"]
