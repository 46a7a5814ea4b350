"""Which part of the data a thing belongs to: ``train``, ``dev`` or ``report``, fixed in code and never by chance.

Designs are tuned on ``dev``; ``report`` is used once per settings. Small sets are divided by name below; large ones by
the sha256 of their key, so adding or removing one thing moves no other. No torch.
"""

import hashlib
import re
from collections.abc import Callable, Iterable

from oryx.errors import SettingsError

PARTS = ("train", "dev", "report")

DEV_SHARE, REPORT_SHARE = 0.10, 0.20
"""Shares of the hashed kinds; the rest is for training. Report is the larger: intervals are computed there."""

FONTS = {
    "Cabin": "dev",
    "Caladea": "report",
    "Cantarell": "report",
    "Comic Neue": "report",
    "Courier Prime": "report",
    "Dancing Script": "train",
    "DejaVu Sans": "train",
    "DejaVu Sans Mono": "train",
    "DejaVu Serif": "train",
    "Go Mono": "dev",
    "Liberation Mono": "train",
    "Liberation Sans": "train",
    "Liberation Serif": "train",
    "Lobster Two": "train",
    "Open Sans": "train",
    "Oxygen": "train",
    "Quicksand": "train",
    "Roboto Slab": "dev",
}
"""Font families. Families drawn from one another (DejaVu, Liberation) stay together."""

STYLES = {"noto": "train", "twemoji": "train", "fluent": "report"}
"""Drawing styles of the icons. Designs of style studies are tuned on held-out concepts of the training styles."""

TABLES = {
    "co2_concentration": "train",
    "gapminder": "train",
    "gapminder_health_income": "report",
    "global_temp": "report",
    "iowa_electricity": "dev",
    "penguins": "train",
    "population_engineers_hurricanes": "report",
    "seattle_weather": "train",
    "us_employment": "train",
    "us_state_capitals": "train",
    "wheat": "dev",
}
"""Tables by id."""

_FIXED = {"font": FONTS, "style": STYLES, "table": TABLES}

_QUALIFIERS = frozenset(
    re.findall(
        r"\S+",
        """
        a an the of with in on at and my very little small big large old new open opened closed empty full simple basic
        plain colour color coloured colored red orange yellow green blue purple pink brown black white grey gray golden
        gold silver dark light bright left right up down upper lower front back face head smiling happy sad cute cartoon
        icon clipart picture image drawing outline silhouette style sign button symbol
        """,
    )
)
_IRREGULAR = {"mice": "mouse", "leaves": "leaf", "knives": "knife", "men": "man", "women": "woman", "people": "person"}
_INVARIANT = ("ss", "us", "is", "news", "series", "species", "glasses", "scissors", "pants", "jeans", "trousers")


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
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(_INVARIANT):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "toes")):
        return word[:-2]
    return word[:-1]


CONCEPT_SALT = 4310
"""Of the first 6,000 numbers, one that gives every class of photographs and clip art its share of ``dev`` and
``report``; chosen by counting titles, without looking at any result."""


def _hashed(kind: str, key: str) -> str:
    salt = f"-{CONCEPT_SALT}" if kind == "concept" else ""
    digest = hashlib.sha256(f"oryx-workbook/{kind}{salt}/{key}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    if share < DEV_SHARE:
        return "dev"
    return "report" if share < DEV_SHARE + REPORT_SHARE else "train"


_HASHED: dict[str, Callable[[str], str]] = {
    "concept": concept_key,
    "document": str,
    "photo": str,
    "word": str,
}
"""Kinds divided by hash -> what of the key counts."""


def split_of(kind: str, key: str) -> str:
    """The part that ``key`` belongs to.

    ``kind`` is ``concept`` (a title; pictures of all corpora that share it fall together), ``photo`` (an item id),
    ``document`` (the text of a page or the id of a haystack), ``word``, or one of the sets divided by name: ``font`` (a
    family), ``style`` (an icon style), ``table`` (a table id). Raises SettingsError for an unknown kind or name.
    """
    if kind in _FIXED:
        if key not in _FIXED[kind]:
            raise SettingsError(f"{kind} {key!r}: expected one of {', '.join(sorted(_FIXED[kind]))}")
        return _FIXED[kind][key]
    if kind not in _HASHED:
        raise SettingsError(f"kind {kind!r}: expected one of {', '.join(sorted({*_FIXED, *_HASHED}))}")
    return _hashed(kind, _HASHED[kind](key))


def choose(kind: str, part: str, things: Iterable, key: Callable = str) -> list:
    """Those of ``things`` whose ``key`` is in ``part``, in their order; raises SettingsError for an unknown part."""
    if part not in PARTS:
        raise SettingsError(f"part {part!r}: expected one of {', '.join(PARTS)}")
    return [thing for thing in things if split_of(kind, key(thing)) == part]
