"""A clip's answer is what its frames show."""

import numpy as np
import pytest

from workbook.data.items import generator
from workbook.data.needles import COLOURS, NAMES, draw_clip, make_dataset

SIZE = (32, 32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("dataset"), 0, SIZE, haystacks=2, shots=10, pages=6, pictures=5)


def colour_of(frame):
    """The colour of a card's frame as decoded."""
    corner = frame[0, :8].mean(0)
    return min(COLOURS, key=lambda name: np.abs(corner - COLOURS[name]).sum())


def test_the_dataset_holds_what_it_says(dataset):
    assert len(dataset.frames) == 20 + 6 * 4 + 5 and dataset.frames.shape[1:] == (*SIZE, 3)
    for page in range(6):
        assert [colour_of(dataset.frames[dataset.card(page, c)]) for c in range(4)] == list(NAMES)
    assert dataset.picture(4) == len(dataset.frames) - 1


@pytest.mark.parametrize("variant", ["number", "picture", "change"])
@pytest.mark.parametrize("length", [2, 3, 15])
def test_the_answer_is_shown_once(dataset, variant, length):
    for index in range(40):
        clip = draw_clip(generator("clip", index), dataset, length, {variant: 1.0})
        ((question, answer),) = clip.turns
        assert len(clip.frames) == length
        shown = [f for f in clip.frames if f >= dataset.plain]
        if variant == "picture":
            assert [dataset.names[f - dataset.picture(0)] for f in shown] == [answer] and question == "name"
        elif variant == "change":
            assert " ".join(colour_of(dataset.frames[f]) for f in shown) == answer
            assert len({(f - dataset.plain) // 4 for f in shown}) == 1, "one page in two colours"
        else:
            asked = [f for f in shown if NAMES[(f - dataset.plain) % 4] == question]
            assert [str(dataset.numbers[(f - dataset.plain) // 4]) for f in asked] == [answer]
            assert 1 <= len(shown) <= min(4, length)
