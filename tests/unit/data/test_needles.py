"""A needle has one answer and lies where its trial says, in the file too."""

import numpy as np
import pytest
from PIL import Image

from oryx.errors import InputError
from oryx.processing.video import read_frames
from workbook.data.items import generator
from workbook.data.needles import COLOURS, DISTRACTORS, LARGE, VARIANTS, Lettering, card, draw_needle, make_trial
from workbook.data.text_tasks import split_fonts

SIZE = (32, 32)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def pixels(picture):
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_places_are_those_of_the_variant(variant, depth):
    for index in range(10):
        trial = make_trial("dev", variant, 50, depth, index, SIZE)
        places = [*trial.needles, *trial.others]
        assert len(set(places)) == len(places) == len(trial.inserted) and all(0 <= p < 50 for p in places)
        assert len(trial.others) == len(trial.needle.others) == DISTRACTORS.get(variant, 0)
        first = trial.needles[0]
        assert abs(first - depth * 49) <= (1 if variant == "change" else 0.5)
        if variant == "near":
            assert max(abs(place - first) for place in trial.others) <= 3
        elif variant == "far":
            assert min(abs(place - first) for place in trial.others) >= 50 / 8
        elif variant == "change":
            assert trial.needles[1] > first


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_complete_file_holds_every_frame_at_its_place(tmp_path, variant):
    trial = make_trial("report", variant, 12, 0.5, 3, SIZE)
    file = trial.file(tmp_path)
    frames = read_frames(file.path, range(12))
    assert len(file.shots) + len(trial.inserted) == len(frames) == 12
    for place, picture in trial.inserted.items():
        distance = [np.abs(pixels(frame) - pixels(picture)).mean() for frame in frames]
        assert int(np.argmin(distance)) == place and distance[place] < 12, "of 255, what H.264 costs"


def test_a_trial_is_a_function_of_its_cell_and_trials_differ():
    trials = [make_trial("report", "number", 100, 0.5, index, SIZE) for index in range(40)]
    again = make_trial("report", "number", 100, 0.5, 7, SIZE)
    assert again.needle.answer == trials[7].needle.answer and again.inserted.keys() == trials[7].inserted.keys()
    assert np.array_equal(pixels(again.needle.frames[0]), pixels(trials[7].needle.frames[0]))
    assert len({trial.needle.answer for trial in trials}) > 20
    assert sorted(trial.haystack for trial in trials) == list(range(40)), "dealt, none more often than another"
    assert {trial.needle.question for trial in trials} == set(COLOURS)


def test_trials_hide_the_same_needle_at_every_length_and_among_distractors():
    base = [make_trial("report", "number", 50, 0.25, index, SIZE) for index in range(40)]
    assert len({trial.needle.cluster for trial in base}) == 40
    for variant, frames in (("number", 1600), ("near", 50), ("far", 200)):
        for index in (0, 7, 39):
            other = make_trial("report", variant, frames, 0.25, index, SIZE)
            assert other.needle.cluster == base[index].needle.cluster and other.haystack == base[index].haystack
            assert other.needle.answer == base[index].needle.answer and other.id != base[index].id
            assert np.array_equal(pixels(other.needle.frames[0]), pixels(base[index].needle.frames[0]))
    assert make_trial("report", "number", 50, 0.5, 0, SIZE).needle.cluster != base[0].needle.cluster


@pytest.mark.parametrize("variant", ["near", "far"])
def test_only_one_card_has_the_colour_that_is_asked(variant):
    for index in range(30):
        needle = draw_needle(generator("t", variant, index), variant, "dev", SIZE, "t")
        corners = [tuple(frame.getpixel((0, 0))) for frame in (*needle.frames, *needle.others)]
        assert corners.count(COLOURS[needle.question]) == 1 and corners[0] == COLOURS[needle.question]


def test_a_change_names_both_colours_in_order():
    for index in range(20):
        needle = draw_needle(generator("t", index), "change", "dev", SIZE, "t")
        assert [COLOURS[colour] for colour in needle.answer.split()] == [f.getpixel((0, 0)) for f in needle.frames]
        assert needle.chance == 1 / 12
        first, second = (pixels(frame)[4:-4, 4:-4] for frame in needle.frames)
        assert np.array_equal(first, second), "only the frame changes"


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (224, 224)])
@pytest.mark.parametrize("letters", [Lettering(), LARGE, Lettering((0.5, 0.8), varied=1.0)])
def test_numbers_stay_inside_their_frame(size, letters):
    border = max(2, round(min(size) / 10))
    for index in range(60):
        page = pixels(card(generator("card", index), 10 + index, "red", "report", size, letters))
        inner = page[border:-border, border:-border]
        edge = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
        assert edge.min() > 150, "ink on the frame"
        assert inner.min() < 120, "no ink"
    assert split_fonts("report") and not set(split_fonts("report")) & set(split_fonts("train"))


def test_varied_numbers_have_another_shape_each_time():
    page = [card(generator("varied", i), 42, "red", "dev", SIZE, Lettering((0.7, 0.7), varied=1.0)) for i in range(20)]
    inks = [Image.fromarray((pixels(p)[4:-4, 4:-4].mean(-1) < 150).astype(np.uint8)).getbbox() for p in page]
    assert len({(right - left, bottom - top) for left, top, right, bottom in inks}) > 8


def test_bad_requests_say_what_was_expected():
    for frames, depth in ((7, 0.5), (50, 1.5), (50, -0.1)):
        with pytest.raises(InputError, match=f"got depth {depth}, {frames} frames"):
            make_trial("dev", "number", frames, depth, 0, SIZE)


def test_a_cards_picture_is_of_the_size_asked():
    assert isinstance(card(generator("x"), 42, "blue", "train", (32, 48)), Image.Image)
    assert card(generator("x"), 42, "blue", "train", (32, 48)).size == (48, 32)
