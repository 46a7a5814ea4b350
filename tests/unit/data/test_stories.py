"""Films with seven questions: their facts are what their files show, and training films are made the same way."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx.processing.video import probe, read_frames
from workbook.data import corpora, splits
from workbook.data.needles import COLOURS
from workbook.data.stories import (
    LEAST_MOVING,
    LENGTHS,
    MOST_CARDS,
    MOVES,
    PARTS,
    PATH,
    QUESTIONS,
    SIZE,
    DatasetSizes,
    Segment,
    chance,
    dataset_parts,
    draw_single,
    draw_story,
    make_dataset,
    make_story,
    plan_story,
    story_facts,
    write_part,
)

SMALL = DatasetSizes(signs=6, cards=2, paths=3, photos=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("dataset"), 100, SMALL)


def border(frame: np.ndarray) -> str | None:
    """The colour of a card's frame, None for a frame that is no card."""
    edges = np.concatenate([frame[:4].reshape(-1, 3), frame[-4:].reshape(-1, 3), frame[:, :4].reshape(-1, 3)])
    for name, colour in COLOURS.items():
        if np.abs(edges.astype(int) - colour).max(1).mean() < 30:
            return name
    return None


@given(st.integers(0, 2**32), st.integers(MOST_CARDS + LEAST_MOVING, 40))
@settings(max_examples=60, deadline=None)
def test_plans_hold_what_every_question_needs(seed, frames):
    segments = plan_story(np.random.default_rng(seed), frames)
    kinds = Counter(s.kind for s in segments)
    assert sum(s.frames for s in segments) == frames and kinds["sign"] == 1 and kinds["object"] == 1
    cards = [s for s in segments if s.kind in ("sign", "card")]
    assert 1 <= len(cards) <= MOST_CARDS and len({s.detail for s in cards}) == len(cards)
    assert all(s.frames >= (LEAST_MOVING if s.kind == "object" else 1) for s in segments)
    facts = story_facts(segments, "axe", "42")
    assert set(facts) == set(QUESTIONS) - (set() if len(cards) > 1 else {"order"})
    assert facts["count"] == str(len(cards)) and facts["move"] in MOVES and facts["when"] in PARTS


def test_facts_of_a_known_plan():
    segments = (Segment("card", 2, "blue"), Segment("object", 3, "up"), Segment("photo", 1), Segment("sign", 2, "red"))
    expected = {"what": "axe", "when": "late", "order": "blue red", "move": "up", "colour": "red"}
    assert story_facts(segments, "axe", "17") == expected | {"sign": "17", "count": "2"}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("index", range(4))
def test_a_file_shows_what_its_facts_say(tmp_path, length, index):
    story = make_story(tmp_path, "dev", length, index)
    frames = read_frames(story.path, range(story.frames))
    assert story.frames == LENGTHS[length] == probe(story.path).frames and frames.shape[1:3] == SIZE
    seen = [border(frame) for frame in frames]
    runs = [colour for i, colour in enumerate(seen) if colour and (i == 0 or seen[i - 1] != colour)]
    assert len(runs) == int(story.facts["count"]) and story.facts["colour"] in runs
    if len(runs) > 1:
        assert story.facts["order"] == " ".join(runs[:2])
    middle = np.flatnonzero([colour == story.facts["colour"] for colour in seen]).mean() + 0.5
    assert PARTS[int(middle / story.frames * 3)] == story.facts["when"]


def test_the_icon_moves_where_the_facts_say(tmp_path):
    for index in range(6):
        story = make_story(tmp_path, "dev", "short", index)
        place = 0
        for segment in story.segments:
            if segment.kind == "object":
                break
            place += segment.frames
        first, last = read_frames(story.path, [place, place + segment.frames - 1]).astype(float)
        ink = [np.abs(frame - np.median(frame, (0, 1))).sum(2) for frame in (first, last)]
        centres = [[(i * np.arange(96)).sum() / i.sum() for i in (w.sum(0), w.sum(1))] for w in ink]
        (x, y), step = MOVES[story.facts["move"]], np.subtract(centres[1], centres[0])
        assert step @ (x, y) > 10 and abs(step @ (y, x)) < 6


def test_a_story_is_a_function_of_its_name_and_is_written_once(tmp_path):
    first, again = (make_story(tmp_path / name, "dev", "short", 3) for name in ("a", "b"))
    assert first.path.read_bytes() == again.path.read_bytes() and first.facts == again.facts
    before = first.path.stat().st_mtime_ns
    assert make_story(tmp_path / "a", "dev", "short", 3).path.stat().st_mtime_ns == before
    other = make_story(tmp_path / "a", "report", "short", 3)
    assert other.path != first.path and other.path.read_bytes() != first.path.read_bytes()


def test_material_of_the_splits_is_their_own(tmp_path):
    names = {
        part: {make_story(tmp_path, part, "short", i).facts["what"] for i in range(12)} for part in ("dev", "report")
    }
    assert not names["dev"] & names["report"]
    photos = {part: {i.id for i in splits.choose("photo", part, corpora.load("photos").items, key=lambda i: i.id)}
              for part in splits.PARTS}  # fmt: skip
    assert all(photos.values()) and not photos["train"] & photos["report"] and not photos["train"] & photos["dev"]


def test_chance_is_one_over_the_answers():
    assert chance("what", "dev") == 2 * chance("what", "train") == 1 / 12
    assert [chance(kind, "dev") for kind in ("when", "order", "move", "colour", "sign", "count")] == [
        1 / 3, 1 / 12, 1 / 4, 1 / 4, 1 / 90, 1 / 4,
    ]  # fmt: skip


def test_a_dataset_holds_what_it_says(dataset):
    frames = np.concatenate([read_frames(path, range(probe(path).frames)) for path in dataset.files])
    assert len(dataset.files) == len(dataset_parts(SMALL))
    for number, colour in enumerate(COLOURS):
        numbers, facts = dataset.frames(np.random.default_rng(number), Segment("sign", 2, colour))
        assert len(numbers) == 2 and facts["number"] in dataset.facts[f"sign-{colour}"]
        assert border(frames[numbers[0]]) == colour
        numbers, facts = dataset.frames(np.random.default_rng(number), Segment("card", 1, colour))
        assert border(frames[numbers[0]]) == colour and facts == {}
    for direction in MOVES:
        numbers, facts = dataset.frames(np.random.default_rng(5), Segment("object", 4, direction))
        assert numbers == sorted(numbers) and numbers[-1] - numbers[0] == PATH - 1
        assert all(border(frames[n]) is None for n in numbers) and facts["name"] in dataset.facts[f"path-{direction}"]
    numbers, _ = dataset.frames(np.random.default_rng(6), Segment("photo", 9))
    assert max(numbers) < len(frames) == sum(probe(path).frames for path in dataset.files)


def test_training_stories_ask_what_held_out_ones_are_asked(dataset):
    rng = np.random.default_rng(0)
    drawn = [draw_story(rng, dataset, 8) for _ in range(40)]
    assert all(len(story.frames) == 8 and 6 <= len(story.turns) <= 7 for story in drawn)
    assert {question for story in drawn for question, _ in story.turns} == set(QUESTIONS.values())
    for kind, count, asked in (("sign", 1, {"read", "colour"}), ("object", PATH, {"name", "move"})):
        single = draw_single(rng, dataset, kind)
        assert len(single.frames) == count and {question for question, _ in single.turns} == asked


def test_dataset_files_do_not_depend_on_one_another(tmp_path, dataset):
    path, numbers = write_part(tmp_path, 100, SMALL, "sign-green")
    place = list(dataset_parts(SMALL)).index("sign-green")
    assert path.read_bytes() == dataset.files[place].read_bytes() and numbers == dataset.facts["sign-green"]
