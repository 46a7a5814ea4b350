"""What one row of evidence holds: row schema 1, in one typed definition (docs/data-dictionary.md repeats it in prose).

A row is one answer of one trained arm to one held-out item. It is kept as one JSON object per line.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from oryx.errors import RunError

SCHEMA = 1
PUBLISHED = "rows.parquet"
"""Name of the file of published rows."""
OLDER = ("rows.columns.jsonl.xz", "rows.jsonl.xz")
"""Its names in earlier formats, which are not read any more."""


@dataclass(frozen=True)
class Field:
    """One field of a row. ``kind``: integer | number | text | size | sizes; ``null``: whether null is a value."""

    name: str
    kind: str
    meaning: str
    required: bool = True
    null: bool = False


FIELDS = (
    Field("schema", "integer", "version of this list of fields: 1"),
    Field("study", "text", "study id, also the name of its results folder"),
    Field("arm", "text", "the trained variant that answered"),
    Field("condition", "text", "how it was asked: visual, no_visual (the picture left out) or a study's own"),
    Field("item", "text", "id of the held-out item, the same in every arm and seed"),
    Field("seed", "integer", "seed of the training run"),
    Field("settings_hash", "text", "hash of every setting that changes numbers; seeds are not among them"),
    Field("weights_hash", "text", "hash of the weights the arm started from"),
    Field("data_hash", "text", "hash of the data behind training and evaluation"),
    Field("split", "text", "held-out split: dev (designs are tuned on it) or report (verdicts rest on it)"),
    Field("task", "text", "task the item belongs to; a task weighs the same as any other in a mean"),
    Field("cluster", "text", "what items have in common (document, clip, haystack, picture); unit of the intervals"),
    Field("question", "text", "the question as asked, without the template around it"),
    Field("truth", "text", "the expected answer"),
    Field("answer", "text", "the answer given, as generated; null only where the item failed", null=True),
    Field("score", "number", "0 (wrong) to 1 (right); null exactly where the item failed", null=True),
    Field(
        "logprob",
        "number",
        "natural log-likelihood of the expected answer with its end token; null if unknown",
        False,
        True,
    ),
    Field("chance", "number", "expected score of the best guess without looking, 0 to 1"),
    Field("visual_tokens", "integer", "everything the projector emitted, newlines and separators included"),
    Field("frames", "integer", "pictures, views or video frames the model saw; 0 without a visual", False, True),
    Field("sizes", "sizes", "[height, width] in pixels of each picture as the model saw it", False, True),
    Field("picture_size", "size", "[height, width] in pixels of the picture before any resizing", False, True),
    Field("seconds", "number", "wall-clock seconds for the item (a batch's time shared equally)", False, True),
    Field("error", "text", "why the item failed; null for an item that was answered", null=True),
)
FIELD = {field.name: field for field in FIELDS}
IDENTITY = ("study", "arm", "condition", "item", "seed", "settings_hash", "weights_hash", "data_hash")
TIMING = ("seconds",)


def identity(row: Mapping) -> tuple:
    """The values that name a row, in the order of IDENTITY; two rows with the same identity answer the same thing."""
    try:
        return tuple(int(row[name]) if name == "seed" else row[name] for name in IDENTITY)
    except KeyError as error:
        raise RunError(f"row without {error.args[0]}: a row is named by {', '.join(IDENTITY)}") from error


def check_schema(row: Mapping, where: str) -> None:
    """Raises RunError unless the row is of schema 1; ``where`` names the file and line in the message."""
    found = row.get("schema", 0)  # the first rows ever written carried no version
    if found != SCHEMA:
        raise RunError(f"{where}: rows of schema {found}, expected {SCHEMA}; run the study again with this version")


def published_rows(folder: Path) -> Path | None:
    """The file of published rows in a folder, None if it has none; raises RunError, naming it, for an older format."""
    if (folder / PUBLISHED).exists():
        return folder / PUBLISHED
    if older := next((folder / name for name in OLDER if (folder / name).exists()), None):
        raise RunError(f"{older}: rows of an older format, expected {PUBLISHED}; run and publish the study again")
    return None


def check_row(row: Mapping, where: str = "row") -> None:
    """Raises RunError, naming the field, unless ``row`` holds every required field with a value of its kind.

    Fields beyond the schema are the study's own and pass. An item that failed has an error and no score; every other
    row has a score, because a failure must never count as a wrong answer.
    """
    check_schema(row, where)
    for field in FIELDS:
        if field.name not in row:
            if field.required:
                raise RunError(f"{where}: field {field.name!r} is missing (expected {field.kind}: {field.meaning})")
            continue
        value = row[field.name]
        if value is None:
            if not field.null:
                raise RunError(f"{where}: field {field.name!r} is null, expected {field.kind}")
        elif not _is(field.kind, value):
            raise RunError(f"{where}: field {field.name!r}: expected {field.kind}, got {value!r}")
    for name in ("score", "chance"):
        if row[name] is not None and not 0 <= row[name] <= 1:
            raise RunError(f"{where}: field {name!r}: expected 0 to 1, got {row[name]!r}")
    if row["error"] is None and (row["score"] is None or row["answer"] is None):
        raise RunError(f"{where}: without an error a row has an answer and a score, got {row['score']!r}")
    if row["error"] is not None and row["score"] is not None:
        raise RunError(f"{where}: an item with an error has no score, got {row['score']!r}")


def _is(kind: str, value: object) -> bool:
    if kind == "text":
        return isinstance(value, str)
    if kind == "integer":
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "size":
        return isinstance(value, list | tuple) and len(value) == 2 and all(_is("integer", side) for side in value)
    return isinstance(value, list | tuple) and all(_is("size", size) for size in value)
