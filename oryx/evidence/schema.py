"""What one row of evidence holds: row schema 1, in one table, ``fields.csv`` (docs/data-dictionary.md shows it too).

A row is one answer of one trained arm to one held-out item. It is kept as one JSON object per line.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError, create_model

from oryx.errors import RunError, first_fault

SCHEMA = 1
SCALES = ("smoke", "nano", "medium", "small", "paper")
"""At what size a study is run: hypotheses are stated for one of them."""
PUBLISHED = "rows.parquet"
"""Name of the file of published rows."""
with open(Path(__file__).with_name("fields.csv"), newline="", encoding="utf-8") as _file:
    FIELDS = {line["name"]: line for line in csv.DictReader(_file)}
"""Field of a row -> its kind, whether it is required, whether null is a value, and its meaning."""
IDENTITY = ("study", "arm", "condition", "item", "seed", "settings_hash", "weights_hash", "data_hash")
TIMING = ("seconds",)

Size = Annotated[list[int], Field(min_length=2, max_length=2)]
KINDS = {"integer": int, "number": float, "text": str, "size": Size, "sizes": list[Size]}
"""Kind of a field -> type of its values."""


def identity(row: Mapping) -> tuple:
    """The values that name a row, in the order of IDENTITY; two rows with the same identity answer the same thing."""
    try:
        return tuple(int(row[name]) if name == "seed" else row[name] + "" for name in IDENTITY)  # text, or TypeError
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunError(f"a row is named by {', '.join(IDENTITY)}; one lacks or spoils a name: {error}") from error


def named(row: Mapping) -> str:
    """A row's identity for people to read."""
    return ", ".join(f"{field} {row[field]}" for field in IDENTITY[:5])


def check_schema(found: object, where: str) -> None:
    """Raises RunError unless rows are of schema 1; ``where`` names the file and line in the message."""
    if found != SCHEMA:
        raise RunError(f"{where}: rows of schema {found}, expected {SCHEMA}; run the study again with this version")


def published_rows(folder: Path) -> Path | None:
    """The file of published rows in a folder, None if it has none."""
    return folder / PUBLISHED if (folder / PUBLISHED).exists() else None


def check_row(line: str, where: str) -> None:
    """Raises RunError, naming the field, unless ``line`` holds every required field with a value of its kind.

    Fields beyond the schema are the study's own and pass. An item that failed has an error and no score; every other
    row has a score, because a failure must never count as a wrong answer.
    """
    try:
        row = _Row.model_validate_json(line)
    except ValidationError as error:
        raise RunError(f"{where}: field {first_fault(error)}") from None
    for name in ("score", "chance"):
        if not 0 <= (getattr(row, name) or 0) <= 1:
            raise RunError(f"{where}: field {name}: expected 0 to 1, got {getattr(row, name)!r}")
    if row.error is None and None in (row.score, row.answer):
        raise RunError(f"{where}: without an error a row has an answer and a score, got {row.score!r}")
    if row.error is not None and row.score is not None:
        raise RunError(f"{where}: an item with an error has no score, got {row.score!r}")


def _declared(field: Mapping[str, str]) -> tuple:
    kind = KINDS[field["kind"]]
    return kind | None if field["null"] == "yes" else kind, ... if field["required"] == "yes" else None


_Row = create_model(
    "_Row",
    __config__=ConfigDict(strict=True, allow_inf_nan=False),
    **{name: _declared(field) for name, field in FIELDS.items() if name != "schema"},
)
