"""Items: the same everywhere, held-out parts disjoint, sizes as stated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbook.data.items import OBJECT_TASKS, TASKS, _pool, draw_item, evaluation_items, generator, kinds, training_item
from workbook.data.pictures import PictureSizes, size_bin
from workbook.data.text_tasks import TEXT_TASKS, known_words, split_fonts

SIZES = PictureSizes()


@pytest.mark.parametrize("task", [*TASKS, "word_legible"])
def test_an_item_depends_on_split_task_and_index_alone(task):
    first, again = evaluation_items(task, "dev", 3, SIZES), evaluation_items(task, "dev", 2, SIZES)
    for a, b in zip(first[:2], again, strict=True):
        assert (a.id, a.question, a.answer, a.size) == (b.id, b.question, b.answer, b.size)
        assert np.array_equal(np.asarray(a.picture), np.asarray(b.picture))
    assert len({item.id for item in first}) == 3


def test_training_items_differ_by_seed_and_follow_the_mixture():
    assert training_item(0, 1, {"word": 1.0}, SIZES).answer == training_item(0, 1, {"word": 1.0}, SIZES).answer
    answers = {training_item(seed, 1, {"word": 1.0}, SIZES).answer for seed in range(6)}
    assert len(answers) > 1
    assert training_item(0, 0, {"number": 0.0, "icon": 1.0}, SIZES).task == "icon"


def test_no_font_or_picture_is_in_two_parts():
    parts = [set(split_fonts(part)) for part in ("train", "dev", "report")]
    assert all(parts) and not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    for task in OBJECT_TASKS:
        pools = [{item.id for item, _ in _pool(task, part)} for part in ("train", "dev", "report")]
        assert all(pools)
        assert not (pools[0] & pools[1] or pools[0] & pools[2] or pools[1] & pools[2])


def test_restyled_icons_are_known_titles_in_new_drawings():
    taught = _pool("icon-title", "train")
    pools = [_pool("icon-restyled", part) for part in ("dev", "report")]
    for pool in pools:
        assert {answer for _, answer in pool} <= {answer for _, answer in taught}
        assert not {item.id for item, _ in pool} & {item.id for item, _ in taught}
        assert {item.style for item, _ in pool} == {"fluent"}
    assert not {answer for _, answer in pools[0]} & {answer for _, answer in pools[1]}


def test_every_held_out_answer_was_seen_in_training():
    for task in OBJECT_TASKS:
        seen = {answer for _, answer in _pool(task, "train")}
        for part in ("dev", "report"):
            assert {answer for _, answer in _pool(task, part)} <= seen
    assert "other" not in kinds("clipart")


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_sizes_are_whole_patches_within_the_stated_limits(seed):
    height, width = SIZES.draw(np.random.default_rng(seed))
    assert height % SIZES.patch == 0 and width % SIZES.patch == 0
    assert (height // SIZES.patch) * (width // SIZES.patch) <= SIZES.max_tokens
    assert 0.25 <= height * width / SIZES.side**2 <= 4.0
    assert min(height, width) >= SIZES.min_side


def test_sizes_cover_areas_and_shapes():
    sizes = [SIZES.draw(generator("cover", i)) for i in range(400)]
    bins = [size_bin(h * w / SIZES.side**2) for h, w in sizes]
    assert all(bins.count(name) > 60 for name in ("smaller", "about", "larger"))
    assert max(max(s) / min(s) for s in sizes) > 8
    assert sum(h > w for h, w in sizes) > 100 and sum(w > h for h, w in sizes) > 100


@pytest.mark.parametrize("task", list(TEXT_TASKS))
def test_the_answer_is_drawn_and_chance_is_a_probability(task):
    for item in evaluation_items(task, "dev", 8, SIZES):
        assert 0.0 <= item.chance <= 1.0
        assert np.asarray(item.picture.convert("L")).std() > 1.0
        assert item.answer


def test_legible_text_grows_with_the_picture():
    rng = [generator("legible", i) for i in range(40)]
    plain = [draw_item(r, "word", "train", SIZES, "a") for r in rng]
    rng = [generator("legible", i) for i in range(40)]
    grown = [draw_item(r, "word_legible", "train", SIZES, "a") for r in rng]

    def ink(items):
        return np.mean([(np.asarray(i.picture.convert("L")) < 128).sum() for i in items if i.area_ratio > 2])

    assert ink(grown) > 2 * ink(plain)


def test_the_known_words_are_short_and_different():
    words = known_words()
    assert len(words) == len(set(words)) == 100 and all(3 <= len(word) <= 5 for word in words)
