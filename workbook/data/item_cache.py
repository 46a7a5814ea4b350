"""Items on disk: a cached dataset, found again by what it is drawn with. All arms of a seed read the same files."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image

from oryx.files import atomic_write_bytes
from workbook.data.corpora import data_hash
from workbook.data.items import Item, evaluation_item, training_item
from workbook.data.pictures import PictureSizes

TEXT = tuple(field.name for field in fields(Item) if field.name != "picture")


class ItemCache:
    """Items in ``folder``; those that are not there are drawn and written, in one piece, for who comes next.

    The key is a sha256 over what decides the items: kind, seed or split, settings of drawing, their number, and the
    shipped data.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def training(self, seed: int, count: int, mixture: dict[str, float], sizes: PictureSizes) -> list[Item]:
        """The first ``count`` items of :func:`workbook.data.items.training_item`."""
        return self._items(
            ("training", seed, mixture, sizes), count, lambda index: training_item(seed, index, mixture, sizes)
        )

    def evaluation(self, task: str, split: str, count: int, sizes: PictureSizes) -> list[Item]:
        """What :func:`workbook.data.items.evaluation_items` gives."""
        return self._items(
            ("evaluation", split, task, sizes), count, lambda index: evaluation_item(task, split, index, sizes)
        )

    def _items(self, what: Sequence[object], count: int, draw: Callable[[int], Item]) -> list[Item]:
        key = hashlib.sha256(repr((*what, count, data_hash())).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.npz"
        if not path.exists():
            atomic_write_bytes(path, packed([draw(index) for index in range(count)]))
        return unpacked(path)


def packed(items: Sequence[Item]) -> bytes:
    """Items as the bytes of an npz file: sizes and pixels of their pictures, all else as JSON."""
    pixels = [np.asarray(item.picture.convert("RGB")) for item in items]
    file = io.BytesIO()
    np.savez(
        file,
        sizes=np.array([one.shape[:2] for one in pixels]),
        pixels=np.concatenate([one.ravel() for one in pixels]),
        fields=json.dumps([{name: getattr(item, name) for name in TEXT} for item in items]),
    )
    return file.getvalue()


def unpacked(path: Path) -> list[Item]:
    """The items in a file of :func:`packed`."""
    with np.load(path) as stored:
        sizes, pixels, found = stored["sizes"], stored["pixels"], json.loads(str(stored["fields"]))
    ends = np.cumsum(3 * sizes.prod(1))
    parts = np.split(pixels, ends[:-1])
    return [
        Item(picture=Image.fromarray(part.reshape(*size, 3)), **one)
        for part, size, one in zip(parts, sizes, found, strict=True)
    ]
