"""Bar charts: the answer stands under the highest bar, and the numbers are those of the split's tables."""

import numpy as np

from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.text_tasks import LEAD, numeric_columns

ITEMS = evaluation_items("chart", "dev", 40, PictureSizes())


def test_the_answer_stands_under_the_highest_bar():
    for item in ITEMS:
        pixels = np.asarray(item.picture, dtype=int)
        saturated = np.ptp(pixels, axis=2) > 25  # page and ink are grey, most bars are not
        columns = np.flatnonzero(saturated.any(0))
        if not len(columns):
            continue  # a bar in a greyish colour: nothing to tell it from the page by
        tops = np.where(saturated.any(0), saturated.argmax(0), pixels.shape[0])
        assert item.question == "highest" and len(item.answer) == 1 and 2 <= round(1 / item.chance) <= 6
        runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
        heights = [pixels.shape[0] - int(tops[run].min()) for run in runs]
        assert len(runs) == round(1 / item.chance)
        assert sorted(heights)[-1] > sorted(heights)[-2] or LEAD * max(heights) < 2, item.id


def test_tables_of_the_splits_are_disjoint_and_some_are_numbers():
    columns = {split: set(numeric_columns(split)) for split in ("train", "dev", "report")}
    assert all(columns.values()) and not columns["train"] & (columns["dev"] | columns["report"])
