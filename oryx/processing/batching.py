"""Which images and videos belong to which text of a batch, and to which mark in it."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from oryx.errors import InputError
from oryx.processing.chat import MARK

VIDEO_MARK = "<video>"
MARKS = re.compile(f"{MARK}|{VIDEO_MARK}")


def per_text(items: Any, texts: int, marks: Sequence[int], name: str, is_one=lambda item: not is_list(item)) -> list:
    """Of every text the list of its visuals.

    Args:
        items: None; one visual; a list of them over the whole batch, given out by the marks, or one each where the
            texts have none; or a list for every text.
        marks: how many marks each text has.
        name: of the argument, for messages.
        is_one: whether something is one visual.

    Raises InputError for numbers that do not fit.
    """
    if items is None:
        return [[] for _ in range(texts)]
    flat = [items] if is_one(items) else list(items)
    if not all(map(is_one, flat)):  # one list a text
        if len(flat) != texts:
            raise InputError(f"{name}: expected one list for each of {texts} text(s), got {len(flat)}")
        return [[] if own is None else list(own) if is_list(own) else [own] for own in flat]
    counts = [len(flat)] if texts == 1 else list(marks) if any(marks) else [1] * texts
    if sum(counts) != len(flat):
        raise InputError(
            f"{name}: expected {sum(counts)} for {texts} text(s) with {list(marks)} mark(s), got {len(flat)}"
        )
    remaining = iter(flat)
    return [list(islice(remaining, count)) for count in counts]


def is_list(item: Any) -> bool:
    """Whether this is a plain list or tuple."""
    return isinstance(item, (list, tuple))


def in_order(found: Sequence[str], images: Sequence[Any], videos: Sequence[Any]) -> list[Any]:
    """The visuals of one text in the order of its marks ``found``; where it has images or videos alone as they are.

    Raises InputError if there are marks for another number of either.
    """
    if not (images and videos):
        return [*images, *videos]
    for mark, given in ((MARK, images), (VIDEO_MARK, videos)):
        if found.count(mark) != len(given):
            raise InputError(f"text has {found.count(mark)} {mark} mark(s), {len(given)} came; expected one mark each")
    sources = {MARK: iter(images), VIDEO_MARK: iter(videos)}
    return [next(sources[mark]) for mark in found]
