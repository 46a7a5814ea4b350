"""What the paper claims and reports, as data: its claims, every number that could be found, and where it stands.

``claims.toml`` has one ``[[claim]]`` per statement:

===================  ================================================================================================
id, part, statement  own id; a study's id, ``tables``, ``method`` or ``data``; the claim in our words
source               where the statement stands: a key of ``paper_sources.csv`` (the article was read in the copy
                     https://php.sqjnqi.com/faq/1036297.html)
paper                the paper's number: filters of ``paper_results.csv``, each {column = value}
hypotheses           families of hypotheses that answer it (the field ``paper`` of ``hypotheses.toml``)
tests                tests that hold the statement, ``FILE::NAME``
answer               id of the question (:mod:`workbook.report.questions`) that answers it
check                what the paper's own numbers, or arithmetic, say of it (:mod:`workbook.report.checks`)
outside              filters of ``paper_results.csv``: what others published about it
reason               why nothing here answers it
===================  ================================================================================================

At least one of hypotheses, tests, answer, check and reason. ``paper_results.csv`` holds one number a line with its
source and confidence; ``not-found`` lines are those that no public source gives. Nothing is filled from memory.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from oryx.errors import SettingsError
from oryx.evidence.entries import Entry, Listed, Text, read_entries

FOLDER = Path(__file__).parent
PARTS = {
    "native_vs_fixed_resolution": "Native against fixed resolution",
    "oryxvit_vs_siglip": "OryxViT against SigLIP",
    "pooling_vs_dynamic_compression": "Pooling against dynamic compression",
    "needle_in_a_haystack": "Needle in a haystack",
    "spatial_correspondence": "Spatial correspondence",
    "tables": "Main tables",
    "method": "Method",
    "data": "Training and data",
}
"""Part of the paper -> its heading, in order."""
Filters = Annotated[tuple[dict[str, str], ...], Listed]
Texts = Annotated[tuple[Text, ...], Listed]
NOT_FOUND, NO_NUMBER = "not found", "no number stated"


class Claim(Entry):
    """One entry of claims.toml, checked; fields as at the top of this file."""

    id: Text
    part: Literal[tuple(PARTS)]
    statement: Text
    source: Text
    paper: Filters = ()
    hypotheses: Texts = ()
    tests: Texts = ()
    answer: str = ""
    check: dict[str, Any] = Field(default_factory=dict)
    outside: Filters = ()
    reason: str = ""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "Claim":
        if self.source not in sources():
            raise ValueError(f"source: {self.source!r} is no key of paper_sources.csv")
        if not (self.hypotheses or self.tests or self.answer or self.check or self.reason):
            raise ValueError("reason: expected hypotheses, tests, an answer, a check or the reason why there is none")
        for wanted in (*self.paper, *self.outside):
            select(wanted)
        return self

    @property
    def paper_value(self) -> str:
        """The paper's number or numbers as text; ``not found`` where no public source gives the one that it has."""
        if not self.paper:
            return NO_NUMBER
        found = [row for wanted in self.paper for row in select(wanted) if row["value"]]
        return "; ".join(described(row, len(found) > 1) for row in found) or NOT_FOUND

    @property
    def source_text(self) -> str:
        """Where the statement stands, in full."""
        return sources()[self.source]


@cache
def numbers() -> tuple[dict[str, str], ...]:
    """Every line of ``paper_results.csv``, in order."""
    return tuple(_read("paper_results.csv"))


@cache
def sources() -> dict[str, str]:
    """Key -> source in full."""
    return {row["key"]: row["source"] for row in _read("paper_sources.csv")}


def select(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    """The lines whose columns have these values; raises SettingsError for an unknown column, or if there is no line."""
    if unknown := sorted(set(wanted) - set(numbers()[0])):
        raise SettingsError(f"paper_results.csv has no column {unknown[0]!r}; it has {', '.join(numbers()[0])}")
    found = [row for row in numbers() if all(row[name] == value for name, value in wanted.items())]
    if not found:
        raise SettingsError(f"paper_results.csv: no line with {dict(wanted)}")
    return found


def described(row: Mapping[str, str], named: bool = True) -> str:
    """A line as text: its value and unit, with what it is of if ``named``."""
    value = f"{row['value']} {row['unit']}".strip()
    model = "" if row["model"] == "Oryx" else row["model"]  # which of the released models is not told
    what = " ".join(part for part in (row["benchmark"], model, row["variant"]) if part)
    return f"{what}: {value}" if named else value


@cache
def load_claims(path: Path = FOLDER / "claims.toml") -> tuple[Claim, ...]:
    """All claims, in the order of the file. Raises SettingsError naming the id and field of whatever is wrong."""
    return tuple(read_entries(path, "claim", Claim))


def _read(name: str) -> list[dict[str, str]]:
    with open(FOLDER / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
