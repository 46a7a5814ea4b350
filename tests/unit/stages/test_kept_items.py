"""Items kept by one job for the others are the items that each would draw."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from workbook.data.items import Item, evaluation_items, training_item
from workbook.data.pictures import PictureSizes
from workbook.stages import kept_items
from workbook.stages.kept_items import kept_evaluation_items, kept_training_items, shelf_of

SIZES, MIXTURE = PictureSizes(), {"word": 1.0, "icon": 1.0}


def alike(some: list[Item], others: list[Item]) -> bool:
    return all(
        a.id == b.id and a.fields == b.fields and np.array_equal(np.asarray(a.picture), np.asarray(b.picture))
        for a, b in zip(some, others, strict=True)
    )


def test_a_shelf_lies_beside_the_folders_of_the_jobs():
    assert shelf_of(Path("seed-0/arms/native")) == Path("seed-0/items")


@pytest.mark.parametrize("count", [3, 8])  # less than a part, and parts with a rest
def test_kept_items_are_those_that_are_drawn(tmp_path, monkeypatch, count):
    monkeypatch.setattr(kept_items, "PART", 3)
    drawn = [training_item(1, i, MIXTURE, SIZES) for i in range(count)]
    asked = evaluation_items("word", "dev", count, SIZES)
    for _ in range(2):  # drawn, then read
        assert alike(kept_training_items(tmp_path, 1, count, MIXTURE, SIZES), drawn)
        assert alike(kept_evaluation_items(tmp_path, "word", "dev", count, SIZES), asked)


def test_other_items_are_never_taken_for_these(tmp_path):
    kept_training_items(tmp_path, 1, 2, MIXTURE, SIZES)
    for seed, mixture, sizes in ((2, MIXTURE, SIZES), (1, {"word": 1.0}, SIZES), (1, MIXTURE, PictureSizes(64))):
        expected = [training_item(seed, i, mixture, sizes) for i in range(2)]
        assert alike(kept_training_items(tmp_path, seed, 2, mixture, sizes), expected)


def test_other_data_are_drawn_anew(tmp_path, monkeypatch):
    kept_training_items(tmp_path, 1, 2, MIXTURE, SIZES)
    before = set(tmp_path.glob("*.pickle"))
    monkeypatch.setattr(kept_items, "data_hash", lambda: "of other data")
    kept_training_items(tmp_path, 1, 2, MIXTURE, SIZES)
    assert len(set(tmp_path.glob("*.pickle")) - before) == 1


def test_two_that_begin_together_draw_a_share_each(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_items, "PART", 1)
    meet, who = threading.Barrier(2), []

    def draw(name: str, index: int) -> int:
        if not index:
            meet.wait(5)  # the first item of one is being drawn until the other has drawn one too
        who.append((name, index))
        if index == 1:
            meet.wait(5)
        return index

    def job(name: str) -> None:
        found[name] = kept_items._kept(tmp_path, ("numbers",), 4, lambda index: draw(name, index))

    found: dict[str, list[int]] = {}
    jobs = [threading.Thread(target=job, args=(name,)) for name in "ab"]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert found == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}
    assert sorted(index for _, index in who) == [0, 1, 2, 3] and {name for name, _ in who} == {"a", "b"}


def test_a_part_is_whole_or_not_there(tmp_path, monkeypatch):
    """A job that is killed while it draws leaves nothing that others would read."""
    monkeypatch.setattr(kept_items, "PART", 2)

    def draw(index: int) -> int:
        if index == 3:
            raise KeyboardInterrupt
        return index

    with pytest.raises(KeyboardInterrupt):
        kept_items._kept(tmp_path, ("numbers",), 4, draw)
    assert [pickle.loads(path.read_bytes()) for path in tmp_path.glob("*.pickle")] == [[0, 1]]
    assert kept_items._kept(tmp_path, ("numbers",), 4, lambda index: index) == [0, 1, 2, 3]
