"""Resolution: whole strides, the wanted area, the shape kept, bad settings refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oryx.errors import InputError, SettingsError
from oryx.processing.sizes import GREY, Resolution

SIDES = st.integers(16, 400)


@given(SIDES, SIDES, st.sampled_from([24, 48, 96]))
def test_area_keeps_the_token_count_near_the_wanted_one(height, width, side):
    rows, columns = (s // 8 for s in Resolution("area", side).target((height, width), 8))
    cells = (side // 8) ** 2
    assert rows >= 1 and columns >= 1
    if max(height, width) / min(height, width) <= cells:
        assert abs(rows * columns - cells) <= max(rows, columns) / 2 + 0.5
    assert (height - width) * (rows - columns) >= 0, "wide stays wide, tall stays tall"


@given(SIDES, SIDES)
def test_every_target_is_made_of_whole_strides(height, width):
    for resolution in (Resolution(), Resolution("area", 48), Resolution("squash", 48), Resolution("pad", 48)):
        assert all(side >= 8 and side % 8 == 0 for side in resolution.target((height, width), 8))


def test_native_leaves_a_picture_of_whole_strides_alone():
    picture = Image.new("RGB", (64, 24))
    assert Resolution().apply(picture, 8) is picture


def test_padding_keeps_the_shape_and_is_grey():
    picture = Image.new("RGB", (96, 24), (255, 0, 0))
    seen = np.asarray(Resolution("pad", 48).apply(picture, 8))
    assert seen.shape == (48, 48, 3)
    assert (seen[:17] == GREY).all() and (seen[-17:] == GREY).all()
    assert (seen[18:30] == (255, 0, 0)).all()


@pytest.mark.parametrize(
    "kind, side",
    [("area", True), ("natve", None), ("area", None), ("native", 48), ("pad", 0), ("area", "x"), ("pad", [])],
)
def test_bad_settings_are_refused(kind, side):
    with pytest.raises(SettingsError):
        Resolution(kind, side)


@pytest.mark.parametrize("kind", ["squash", "pad", "area"])
def test_a_side_that_takes_too_many_pixels_is_refused_before_they_are_made(kind):
    with pytest.raises(InputError, match=r"would have 71\d+ x 71\d+ in the model's input; expected at most 128000000"):
        Resolution(kind, 71087).apply(Image.new("RGB", (48, 48)), 32)


@pytest.mark.parametrize("side", [0, -3, 1.5, "64", 1 << 24, 10**30])
def test_a_side_that_no_picture_can_have_is_refused(side):
    with pytest.raises(SettingsError, match="resolution side: expected a positive number of pixels of 24 bits"):
        Resolution("area", side)
