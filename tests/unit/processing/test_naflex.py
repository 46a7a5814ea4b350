"""NaFlex's budget against our rules: it fills a budget where native keeps the size; `area` nearly equals it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from oryx.errors import InputError, SettingsError
from oryx.processing.naflex import naflex_size
from oryx.processing.resolution import Resolution
from workbook.data.pictures import PictureSizes

PATCH, SIDE = 8, 48
BUDGET = (SIDE // PATCH) ** 2


@given(st.integers(4, 3000), st.integers(4, 3000), st.sampled_from([8, 16]), st.sampled_from([36, 256]))
def test_sides_are_whole_patches_within_the_budget(height, width, patch, budget):
    size = naflex_size((height, width), patch, budget)
    rows, columns = (side // patch for side in size)
    assert size == (rows * patch, columns * patch)
    assert 1 <= rows * columns <= budget
    assert (height - width) * (rows - columns) >= 0, "wide stays wide, tall stays tall"
    assert (rows + 1) * (columns + 1) > budget, "the budget is filled: another row and column would not fit"


def test_it_is_the_size_that_transformers_processor_gives():
    processor = Siglip2ImageProcessorPil(patch_size=PATCH, max_num_patches=BUDGET)
    for height, width in ((16, 16), (30, 70), (96, 24), (200, 150)):
        shape = processor(Image.new("RGB", (width, height)), return_tensors="np")["spatial_shapes"][0]
        assert tuple(int(n) * PATCH for n in shape) == naflex_size((height, width), PATCH, BUDGET)


def test_small_pictures_are_enlarged_to_fill_the_budget_which_native_leaves_alone():
    for size in ((16, 16), (16, 32), (32, 24)):
        ours, theirs = Resolution().target(size, PATCH), naflex_size(size, PATCH, BUDGET)
        assert ours == size
        assert np.prod(theirs) >= 2 * np.prod(ours)


def test_against_an_area_of_the_same_budget_it_rounds_down_by_a_few_percent():
    rng, sizes, less, equal = np.random.default_rng(0), PictureSizes(), [], 0
    for _ in range(300):
        size = sizes.draw(rng)
        area, naflex = Resolution("area", SIDE).target(size, PATCH), naflex_size(size, PATCH, BUDGET)
        equal += area == naflex
        less.append(1 - np.prod(naflex) / np.prod(area))
    assert equal / 300 == pytest.approx(0.67, abs=0.06)  # two of three grids are the same
    assert np.mean(less) == pytest.approx(0.057, abs=0.015)


def test_bad_input_is_refused():
    with pytest.raises(InputError):
        naflex_size((0, 5), 8, 36)
    with pytest.raises(SettingsError, match="at least 1, got 8 and 0"):
        naflex_size((5, 5), 8, 0)
