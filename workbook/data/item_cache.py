"""Items on disk: a cached dataset, found again by what it is drawn with. All arms of a seed read the same files."""

import hashlib
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from oryx.files import atomic_write_bytes
from workbook.data.corpora import data_hash
from workbook.data.items import Item, evaluation_item, training_item
from workbook.data.pictures import PictureSizes


class ItemCache:
    """Items in ``folder``; those that are not there are drawn and written, in one piece, for who comes next.

    The key is a sha256 over what decides the items: kind, seed or split, settings of drawing, their number, and the
    shipped data.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def training(self, seed: int, count: int, mixture: dict[str, float], sizes: PictureSizes) -> list[Item]:
        """The first ``count`` items of :func:`workbook.data.items.training_item`."""
        draw = partial(training_item, seed, mixture=mixture, sizes=sizes)
        return self._items(("training", seed, mixture, sizes), count, draw)

    def evaluation(self, task: str, split: str, count: int, sizes: PictureSizes) -> list[Item]:
        """What :func:`workbook.data.items.evaluation_items` gives."""
        draw = partial(evaluation_item, task, split, sizes=sizes)
        return self._items(("evaluation", split, task, sizes), count, draw)

    def _items(self, what: Sequence[object], count: int, draw: Callable[[int], Item]) -> list[Item]:
        key = hashlib.sha256(repr((*what, count, data_hash())).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.pickle"
        if not path.exists():
            atomic_write_bytes(path, pickle.dumps([draw(index) for index in range(count)]))
        return pickle.loads(path.read_bytes())
