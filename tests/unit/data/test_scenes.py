"""Views of scenes: what is asked can be answered from what is shown."""

from itertools import pairwise

import numpy as np
import pytest

from workbook.data.needles import COLOURS
from workbook.data.stories import CARD, KINDS, MOST_CARDS, SIZE, STEP, VIEWS, make_scene


def test_a_scene_is_a_function_of_split_and_index():
    one, again, other = make_scene("dev", 3), make_scene("dev", 3), make_scene("report", 3)
    assert one.facts == again.facts
    assert all(np.array_equal(a, b) for a, b in zip(one.views, again.views, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one.views, other.views, strict=True))


def test_views_overlap_and_every_card_is_whole_in_one():
    scene = make_scene("dev", 0)
    views = [np.asarray(view) for view in scene.views]
    assert len(views) == VIEWS and all(view.shape == (*SIZE, 3) for view in views)
    for left, right in pairwise(views):
        assert np.array_equal(left[:, STEP:], right[:, : SIZE[1] - STEP])
    width = (SIZE[1] + STEP * (VIEWS - 1)) // MOST_CARDS
    for slot in range(MOST_CARDS):
        for left in range(slot * width, slot * width + width - CARD + 1):
            assert any(i * STEP <= left and left + CARD <= i * STEP + SIZE[1] for i in range(VIEWS)), left


@pytest.mark.parametrize("index", range(12))
def test_facts_agree_with_the_cards_that_are_there(index):
    scene = make_scene("dev", index)
    views = [np.asarray(view).astype(int) for view in scene.views]
    page = np.concatenate([views[0], *(view[:, SIZE[1] - STEP :] for view in views[1:])], 1)
    found = {}
    for name, colour in COLOURS.items():
        columns = np.flatnonzero((np.abs(page - np.array(colour)).max(-1) < 12).sum(0) > CARD // 2)
        if len(columns):  # a card's two upright edges
            found[name] = columns.min()
    assert scene.facts["colour"] in found and len(found) >= int(scene.facts["count"])
    if int(scene.facts["count"]) == len(found) > 1:
        assert scene.facts["order"].split() == sorted(found, key=found.get)[:2]
    assert ("order" in scene.facts) == (scene.facts["count"] != "1")
    assert set(scene.facts) <= set(KINDS)
    assert 10 <= int(scene.facts["sign"]) <= 99
