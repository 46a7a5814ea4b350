"""Which part of the data a thing belongs to: ``train``, ``dev`` or ``report``, fixed in code and never by chance.

Designs are tuned on ``dev``; ``report`` is used once per settings. Small sets are divided by name (``splits.toml``),
large ones by the sha256 of their key, so adding or removing one thing moves no other. No torch.
"""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable
from importlib.resources import files

from oryx.errors import SettingsError

PARTS = ("train", "dev", "report")

DEV_SHARE, REPORT_SHARE = 0.10, 0.20
"""Shares of the hashed kinds; the rest is for training. Report is the larger: intervals are computed there."""

_DATA = tomllib.loads(files("workbook.data").joinpath("splits.toml").read_text("utf-8"))
_QUALIFIERS = frozenset(_DATA["qualifiers"].split())

BY_NAME: dict[str, dict[str, str]] = _DATA["parts"]
"""Kind (``font``: a family, ``style`` of icons, ``table``: its id) -> name -> part."""

BY_HASH = ("concept", "document", "photo", "word")
"""Kinds that are divided by the sha256 of their key."""


def concept_key(title: str) -> str:
    """What a title is about, for splitting: lower case, without numbers, colours, sizes and the like, in the singular.

    "Red Apple 2", "apples" and "green apple" share the key "apple", so that near-duplicates fall into one part.
    A title made of qualifiers only keeps them.
    """
    found = re.findall(r"[a-z]+", title.casefold().replace("'", ""))
    kept = [singular(word) for word in found if word not in _QUALIFIERS] or found
    return " ".join(kept) or title.casefold().strip()


def singular(word: str) -> str:
    """The singular of a lower-case English noun by rule, good enough to bring "apple" and "apples" together."""
    if word in _DATA["irregular"]:
        return _DATA["irregular"][word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(tuple(_DATA["invariant"])):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "toes")):
        return word[:-2]
    return word[:-1]


# Of the first 6,000 numbers, one that gives every class of photographs and clip art its share of "dev" and "report";
# chosen by counting titles, before there was any result.
CONCEPT_SALT = 4310


def split_of(kind: str, key: str) -> str:
    """The part that ``key`` belongs to.

    ``kind`` is one of BY_NAME, ``concept`` (a title; pictures of all corpora that share it fall together), ``photo``
    (an item id), ``document`` (the text of a page or the id of a haystack) or ``word``. Raises SettingsError for an
    unknown kind or name.
    """
    if kind in BY_NAME:
        if key not in BY_NAME[kind]:
            raise SettingsError(f"{kind} {key!r}: expected one of {', '.join(sorted(BY_NAME[kind]))}")
        return BY_NAME[kind][key]
    if kind not in BY_HASH:
        raise SettingsError(f"kind {kind!r}: expected one of {', '.join(sorted({*BY_NAME, *BY_HASH}))}")
    salted = f"{kind}-{CONCEPT_SALT}/{concept_key(key)}" if kind == "concept" else f"{kind}/{key}"
    digest = hashlib.sha256(f"oryx-workbook/{salted}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "dev" if share < DEV_SHARE else "report" if share < DEV_SHARE + REPORT_SHARE else "train"


def choose(kind: str, part: str, things: Iterable, key: Callable = str) -> list:
    """Those of ``things`` whose ``key`` is in ``part``, in their order; raises SettingsError for an unknown part."""
    if part not in PARTS:
        raise SettingsError(f"part {part!r}: expected one of {', '.join(PARTS)}")
    return [thing for thing in things if split_of(kind, key(thing)) == part]
