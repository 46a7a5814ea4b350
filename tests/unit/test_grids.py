import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx import grids
from oryx.errors import InputError, SettingsError
from oryx.grids import SizeRule

SIDES = st.integers(1, 4000)
SIZES = st.tuples(SIDES, SIDES)
HIGH = SizeRule(stride=32)
LOW = SizeRule(stride=32, base=384)
VIDEO = SizeRule(stride=64, max_side=480, min_side=288)


@pytest.mark.parametrize(
    ("rule", "size", "expected"),
    [
        # rounding noise of the reference's order of operations, kept on purpose
        (LOW, (544, 544), (352, 352)),
        (LOW, (1088, 1088), (352, 352)),
        (HIGH, (1605, 1605), (1504, 1504)),
        (VIDEO, (1080, 1920), (320, 640)),
        (VIDEO, (240, 320), (192, 320)),
        (SizeRule(stride=128, max_side=480, min_side=288), (480, 480), (384, 384)),
        (SizeRule(stride=32, exact=(384, 384)), (10, 900), (384, 384)),
    ],
)
def test_sizes_of_the_reference(rule, size, expected):
    assert rule.target(size) == expected


@given(SIZES, st.sampled_from([14, 16, 32, 64]), st.sampled_from([0, 96, 384]))
def test_target_is_a_multiple_of_the_stride_within_the_area(size, stride, base):
    rule = SizeRule(stride=stride, base=base, max_side=1536)
    height, width = rule.target(size)
    assert height % stride == 0 and width % stride == 0 and min(height, width) >= stride
    if min(height, width) > stride:  # nothing was clamped
        assert height * width <= (base or 1536) ** 2 * (1 + 1e-9)


@given(SIZES)
def test_clamping_changes_only_the_side_that_would_be_zero(size):
    free, strict = SizeRule(stride=64, max_side=480), SizeRule(stride=64, max_side=480, clamp=False)
    try:
        assert free.target(size) == strict.target(size)
    except InputError as error:
        assert "rounds down to 0" in str(error)
        scale = free.scale(size) or 1.0
        assert free.target(size) == tuple(max(int(side * scale / 64) * 64, 64) for side in size)


@given(SIZES)
def test_padding_rounds_up_and_only_where_nothing_is_resized(size):
    rule = SizeRule(stride=16, max_side=96, min_side=40, pad_to_stride=True)
    target = rule.target(size)
    assert rule.pads(size) == (40**2 <= math.prod(size) <= 96**2)
    if rule.pads(size):
        assert all(0 <= new - old < 16 and new % 16 == 0 for new, old in zip(target, size, strict=True))


def test_area_bounds_can_be_absent():
    rule = SizeRule(stride=16, max_side=None, min_side=None)
    assert rule.scale((9000, 9000)) is None and rule.target((5000, 33)) == (4992, 32)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (3,), (1, 2, 3)])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(InputError, match=r"\(height, width\)"):
        HIGH.target(size)


@pytest.mark.parametrize(
    "fields",
    [{"stride": 0}, {"stride": 4, "base": -1}, {"stride": 4, "min_side": 2000}, {"stride": 4, "exact": (0, 4)}],
)
def test_a_rule_that_cannot_work_is_refused(fields):
    with pytest.raises(SettingsError, match="SizeRule"):
        SizeRule(**fields)


@given(SIZES)
def test_enlarging_brings_the_short_side_to_64(size):
    enlarged = grids.enlarged_size(size)
    if min(size) >= 32:
        assert enlarged == size
    else:
        assert min(enlarged) in (63, 64)  # one less only by rounding of the factor


@given(SIZES, st.sampled_from([8, 14, 16]))
def test_patch_grid_covers_the_picture(size, patch):
    rows, columns = grids.patch_grid(size, patch)
    assert (rows - 1) * patch < size[0] <= rows * patch and (columns - 1) * patch < size[1] <= columns * patch


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1), st.integers(1, 5))
def test_counts_agree(shapes, side):
    lengths = [rows * columns for rows, columns in shapes]
    bounds = grids.cumulative_lengths(lengths)
    assert bounds[0] == 0 and bounds[-1] == grids.token_count(shapes) == sum(lengths)
    assert np.diff(bounds).tolist() == lengths
    for grid in shapes:
        rows, columns = grids.compressed_grid(grid, side)
        assert (rows, columns) == (math.ceil(grid[0] / side), math.ceil(grid[1] / side))


def test_token_counts_of_the_documentation():
    assert grids.image_token_count((24, 24), (96, 96)) == 600 + 9312 + 3
    assert grids.image_token_count(None, (24, 24)) == 602
    assert grids.video_token_count(64, (14, 14)) == 64 * 211 + 2 == 13_506
    assert grids.video_token_count(256, (6, 6)) == 256 * 43 + 2 == 11_010


def test_compressed_grid_refuses_side_zero():
    with pytest.raises(InputError, match="side"):
        grids.compressed_grid((4, 4), 0)


@given(st.integers(1, 3000), st.integers(1, 300))
def test_frame_indices(total, count):
    indices = grids.uniform_indices(total, count)
    assert indices == np.linspace(0, total - 1, count, dtype=int).tolist()
    assert len(indices) == count and indices[0] == 0 and (count == 1 or indices[-1] == total - 1)
    bounded = grids.bounded_indices(total, count)
    assert bounded == (list(range(total)) if total <= count else indices)


def test_frame_indices_refuse_nothing():
    with pytest.raises(InputError, match="total=0"):
        grids.uniform_indices(0, 4)
