"""Digits with their ink: where a patch's label comes from."""

import numpy as np
import pytest
from PIL import Image

from workbook.data.items import generator
from workbook.data.pictures import PictureSizes
from workbook.data.text_tasks import NO_DIGIT, DigitMap, draw_digits


def drawn(i: int) -> DigitMap:
    return draw_digits(generator("test", i), PictureSizes(), "dev")


@pytest.mark.parametrize("i", range(12))
def test_every_digit_is_labelled_once_from_left_to_right_where_the_picture_is_dark(i):
    one = drawn(i)
    size = (one.picture.height, one.picture.width)
    labels = one.labels(size, 2)
    columns = [np.median(np.nonzero(np.asarray(ink))[1]) for ink in one.ink]
    assert columns == sorted(columns) and len(columns) == len(one.digits)
    assert set(np.unique(labels)) - {NO_DIGIT} == set(one.digits)
    grey = np.asarray(one.picture.convert("L"), dtype=float)
    blocks = grey.reshape(size[0] // 2, 2, size[1] // 2, 2).mean((1, 3))
    paper = np.median(grey)
    assert (blocks[labels == NO_DIGIT] > paper - 50).all(), "no ink outside the labels"
    assert (blocks[labels != NO_DIGIT] < paper - 5).all(), "ink under every label"


def test_labels_follow_the_ink_when_the_picture_is_squeezed():
    ink = [Image.new("L", (32, 16)) for _ in range(2)]
    ink[0].paste(255, (0, 0, 16, 16))
    ink[1].paste(255, (16, 0, 18, 16))  # an eighth of the next patch
    one = DigitMap(Image.new("RGB", (32, 16)), (3, 7), tuple(ink))
    assert one.labels((16, 32), 16).tolist() == [[3, 7]]
    assert one.labels((16, 16), 16).tolist() == [[3]], "more ink wins"
    assert one.labels((16, 16), 8).tolist() == [[3, 7], [3, 7]]
    one.ink[1].paste(0, (17, 0, 18, 16))
    assert one.labels((16, 32), 16).tolist() == [[3, NO_DIGIT]]
