"""Rows as frames: read from one or several files, merged, compared, and kept as parquet for publishing.

Writing them while a run goes on, and resuming after a kill: :mod:`oryx.evidence.store`.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from oryx.errors import RunError
from oryx.evidence.schema import FIELD, FIELDS, IDENTITY, SCHEMA, TIMING, check_row, check_schema, identity
from oryx.evidence.store import RowWriter, lines_of, named, plain
from oryx.files import atomic_write_bytes

__all__ = [
    "IDENTITY",
    "SCHEMA",
    "TIMING",
    "RowWriter",
    "identity",
    "read_published",
    "read_rows",
    "rows_of",
    "same_rows",
    "write_published",
]

ROUNDED = ("logprob", "seconds")
SIZE = pa.list_(pa.int32())
COLUMN_TYPES = {
    "integer": pa.int64(), "number": pa.float64(), "text": pa.string(), "size": SIZE, "sizes": pa.list_(SIZE)
}  # fmt: skip
"""Kind of a field -> type of its column in the file."""


def read_rows(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """The rows of one or several files as a frame, schema fields first, sorted by identity.

    A torn last line (a run killed or still going) is passed over and the file left as it is. Rows of one identity that
    agree (timing aside) count once; if they differ, or a row is of another schema or invalid, RunError names it.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    return _frame((row, str(path)) for path in paths for row in lines_of(Path(path)))


def write_published(rows: pd.DataFrame | Iterable[Mapping], path: str | Path) -> Path:
    """Write rows as parquet (zstd), sorted by identity; every row is checked before.

    The fields of ROUNDED keep four decimals: their further digits are noise, and a third of the file. Raises RunError
    naming the field if its values have no common type.
    """
    frame = _frame((row, str(path)) for row in rows_of(rows))
    columns = {}
    for name in frame:
        values = [_cell(value) for value in frame[name].tolist()]
        if name in ROUNDED:
            values = [None if value is None else round(value, 4) for value in values]
        try:
            columns[name] = pa.array(values, type=COLUMN_TYPES[FIELD[name].kind] if name in FIELD else None)
        except (pa.ArrowException, TypeError) as error:
            raise RunError(f"{path}: field {name!r}: values of one type expected ({error})") from error
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd", compression_level=19)
    return atomic_write_bytes(path, file.getvalue())


def read_published(path: str | Path, names: Iterable[str] | None = None) -> pd.DataFrame:
    """The frame that :func:`write_published` stored, or the named fields of it that the file has.

    Raises RunError for a file that cannot be read, of another schema, or without a field that rows must have.
    """
    try:
        there = parquet.read_schema(path).names
        wanted = there if names is None else [name for name in dict.fromkeys(names) if name in there]
        table = parquet.read_table(path, columns=[*wanted, *({"schema"} & set(there) - set(wanted))])
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read as parquet ({error})") from error
    for schema in table["schema"].unique().to_pylist() if "schema" in there else [0]:
        check_schema({"schema": schema}, str(path))
    for field in FIELDS:
        if field.name not in table.column_names:
            if field.required and names is None:
                raise RunError(f"{path}: field {field.name!r} is missing (expected {field.kind}: {field.meaning})")
            continue
        column = table[field.name]
        found = pa.string() if column.type == pa.large_string() else column.type  # pandas writes the latter
        if field.kind not in ("size", "sizes") and found not in (COLUMN_TYPES[field.kind], pa.null()):
            raise RunError(f"{path}: field {field.name!r}: expected {field.kind}, got {column.type}")
        if column.null_count and field.required and not field.null:
            raise RunError(f"{path}: field {field.name!r} is null, expected {field.kind}")
    return pd.DataFrame({name: _column(name, table[name].to_pylist()) for name in wanted})


def rows_of(rows: pd.DataFrame | Iterable[Mapping]) -> list[dict]:
    """Rows as plain dictionaries: a frame's missing values become null, its numbers Python's."""
    if not isinstance(rows, pd.DataFrame):
        return [dict(row) for row in rows]
    return [{name: _cell(value) for name, value in row.items()} for row in rows.to_dict("records")]


def same_rows(a: pd.DataFrame | Iterable[Mapping], b: pd.DataFrame | Iterable[Mapping]) -> list[str]:
    """What differs between two sets of rows, one sentence a difference, timing fields aside; empty if the same."""
    first, second = ({identity(row): row for row in rows_of(rows)} for rows in (a, b))
    found = [f"only in the first: {named(name)}" for name in sorted(first.keys() - second.keys())]
    found += [f"only in the second: {named(name)}" for name in sorted(second.keys() - first.keys())]
    for name in sorted(first.keys() & second.keys()):
        found += [f"{named(name)}: {text}" for text in _differences(first[name], second[name])]
    return found


def _differences(a: Mapping, b: Mapping) -> list[str]:
    # A field that only some studies or arms write is null in the others once rows stand in one frame.
    names = [name for name in {**a, **b} if name not in TIMING]
    pairs = [(name, _comparable(a.get(name)), _comparable(b.get(name))) for name in names]
    return [f"{name} {x!r} and {y!r}" for name, x, y in pairs if x != y]


def _frame(rows: Iterator[tuple[dict, str]]) -> pd.DataFrame:
    kept: dict[tuple, dict] = {}
    for row, source in rows:
        check_row(row, f"{source}, item {row.get('item')!r}")
        name = identity(row)
        other = kept.setdefault(name, row)
        if other is not row and (differences := _differences(other, row)):
            raise RunError(f"{source}: two different rows of {named(name)}: {'; '.join(differences)}")
    ordered = [kept[name] for name in sorted(kept)]
    names = {field.name for field in FIELDS} | {name for row in ordered for name in row}
    return _from_columns({name: [row.get(name) for row in ordered] for name in names}, len(ordered))


def _from_columns(columns: Mapping[str, list], count: int) -> pd.DataFrame:
    """A frame of ``count`` rows, schema fields first; a field of the study's own that no row has is left out."""
    known = [field.name for field in FIELDS]
    extra = sorted(n for n, values in columns.items() if n not in FIELD and any(v is not None for v in values))
    every = {name: _column(name, columns.get(name) or [None] * count) for name in [*known, *extra]}
    return pd.DataFrame(every, columns=[*known, *extra])


def _column(name: str, values: list) -> pd.Series:
    # Numbers become a numeric column, with NaN where null; everything else stays as written, null included.
    present = [value for value in values if value is not None]
    kind = FIELD[name].kind if name in FIELD else _kind(present)
    if kind == "integer" and len(present) == len(values):
        return pd.Series(values, dtype="int64")
    if kind == "boolean" and len(present) == len(values):
        return pd.Series(values, dtype="bool")
    return pd.Series(values, dtype=float if kind in ("number", "integer") else object)


def _kind(values: list) -> str:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer"
    return "number" if kinds and kinds <= {int, float} else "other"


def _cell(value: object) -> object:
    if value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return plain(value) if hasattr(value, "tolist") else value


def _comparable(value: object) -> object:
    value = _cell(value)
    return [_comparable(entry) for entry in value] if isinstance(value, list | tuple) else value
