"""The kind ``area`` against the rule of SigLIP 2 NaFlex in transformers: nearly equal; neither keeps a size."""

import numpy as np
import pytest
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

from oryx.processing.sizes import Resolution
from workbook.data.pictures import PictureSizes

PATCH, SIDE = 8, 48


def naflex(size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) for a picture of ``size`` within the tokens of a square of SIDE."""
    return get_image_size_for_max_num_patches(*size, PATCH, (SIDE // PATCH) ** 2)


def test_small_pictures_are_enlarged_where_native_leaves_them_alone():
    for size in ((16, 16), (16, 32), (32, 24)):
        assert Resolution().target(size, PATCH) == size
        for enlarged in (naflex(size), Resolution("area", SIDE).target(size, PATCH)):
            assert np.prod(enlarged) >= 2 * np.prod(size)


def test_naflex_rounds_down_by_a_few_percent():
    rng, sizes, less, equal = np.random.default_rng(0), PictureSizes(), [], 0
    for _ in range(300):
        size = sizes.draw(rng)
        area, theirs = Resolution("area", SIDE).target(size, PATCH), naflex(size)
        equal += area == theirs
        less.append(1 - np.prod(theirs) / np.prod(area))
    assert equal / 300 == pytest.approx(0.67, abs=0.06)  # two of three grids are the same
    assert np.mean(less) == pytest.approx(0.057, abs=0.015)
