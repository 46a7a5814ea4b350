"""Items on disk are the items that are drawn, and others are never taken for them."""

import numpy as np
import pytest

from workbook.data import items
from workbook.data.items import Item, ItemCache, evaluation_items, training_item
from workbook.data.pictures import PictureSizes

SIZES, MIXTURE = PictureSizes(), {"word": 1.0, "icon": 1.0}


def alike(some: list[Item], others: list[Item]) -> bool:
    return all(
        a.id == b.id and a.fields == b.fields and np.array_equal(np.asarray(a.picture), np.asarray(b.picture))
        for a, b in zip(some, others, strict=True)
    )


def test_cached_items_are_those_that_are_drawn(tmp_path):
    drawn, asked = [training_item(1, i, MIXTURE, SIZES) for i in range(5)], evaluation_items("word", "dev", 3, SIZES)
    for _ in range(2):  # drawn, then read
        assert alike(ItemCache(tmp_path).training(1, 5, MIXTURE, SIZES), drawn)
        assert alike(ItemCache(tmp_path).evaluation("word", "dev", 3, SIZES), asked)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_items_are_never_taken_for_these(tmp_path):
    cache = ItemCache(tmp_path)
    cache.training(1, 2, MIXTURE, SIZES)
    for seed, mixture, sizes in ((2, MIXTURE, SIZES), (1, {"word": 1.0}, SIZES), (1, MIXTURE, PictureSizes(40))):
        expected = [training_item(seed, i, mixture, sizes) for i in range(2)]
        assert alike(cache.training(seed, 2, mixture, sizes), expected)
    assert len(cache.training(1, 3, MIXTURE, SIZES)) == 3


def test_other_data_are_drawn_anew(tmp_path, monkeypatch):
    cache = ItemCache(tmp_path)
    cache.training(1, 2, MIXTURE, SIZES)
    monkeypatch.setattr(items, "data_hash", lambda: "of other data")
    cache.training(1, 2, MIXTURE, SIZES)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    """A job that is killed while it draws leaves nothing that others would read."""

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(items, "training_item", killed)
    with pytest.raises(KeyboardInterrupt):
        ItemCache(tmp_path).training(1, 2, MIXTURE, SIZES)
    assert not list(tmp_path.iterdir())
