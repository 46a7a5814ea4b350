"""Rows as frames: read from one or several files, and kept as parquet for publishing.

Writing them while a run goes on, and resuming after a kill: :mod:`oryx.evidence.store`.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from oryx.errors import RunError
from oryx.evidence.schema import FIELDS, check_schema, identity, named
from oryx.evidence.store import lines_of
from oryx.files import atomic_write_bytes

ROUNDED = {"logprob": 3, "seconds": 4}
"""Decimals of published numbers: further digits are noise, and half of the file. Earlier rows have four of logprob."""
SIZE = pa.list_(pa.int32())
COLUMN_TYPES = {
    "integer": pa.int64(), "number": pa.float64(), "text": pa.string(), "size": SIZE, "sizes": pa.list_(SIZE)
}  # fmt: skip
"""Kind of a field -> type of its column in the file."""


def read_rows(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """The rows of one or several files as a frame, schema fields first, sorted by identity.

    A torn last line (a run killed or still going) is passed over and the file left as it is. Raises RunError naming a
    line that is no row of this schema, and a row whose identity comes twice.
    """
    rows: dict[tuple, dict] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        for row in lines_of(Path(path)):
            if rows.setdefault(identity(row), row) is not row:
                raise RunError(f"{path}: two rows of {named(row)}")
    ordered = [rows[name] for name in sorted(rows)]
    own = {name for row in ordered for name, value in row.items() if value is not None} - set(FIELDS)
    return pd.DataFrame({name: _column(name, [row.get(name) for row in ordered]) for name in [*FIELDS, *sorted(own)]})


def write_published(rows: pd.DataFrame, path: str | Path) -> Path:
    """Write rows as parquet (zstd), what is asked about one item side by side, which halves the file.

    Raises RunError if values of a field have no common type.
    """
    columns = {}
    for name, values in rows.sort_values(["question", "item", "condition", "seed", "arm"]).round(ROUNDED).items():
        kind = COLUMN_TYPES[FIELDS[name]["kind"]] if name in FIELDS else None
        try:
            columns[name] = pa.array(values, kind, from_pandas=True)
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
        table = parquet.read_table(path, columns=list({"schema", *wanted} & set(there)))
        table.validate(full=True)  # texts among others
        if table.num_rows != (stated := parquet.read_metadata(path).num_rows):
            raise pa.ArrowInvalid(f"{stated} rows are stated, {table.num_rows} are there")
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read as parquet ({error})") from error
    for schema in table["schema"].unique().to_pylist() if "schema" in there else [0]:
        check_schema(schema, str(path))
    for name, field in FIELDS.items():
        if name not in there and names is None and field["required"] == "yes":
            raise RunError(f"{path}: field {name!r} is missing (expected {field['kind']}: {field['meaning']})")
        found = table[name].type if name in table.column_names else pa.null()
        if field["kind"] in ("integer", "number") and found not in (COLUMN_TYPES[field["kind"]], pa.null()):
            raise RunError(f"{path}: field {name!r}: expected {field['kind']}, got {found}")
    return pd.DataFrame({name: _column(name, table[name].to_pylist()) for name in wanted})


def _column(name: str, values: list) -> pd.Series:
    # Numbers become a numeric column, with NaN where null; everything else stays as written, null included.
    kind = FIELDS[name]["kind"] if name in FIELDS else pd.api.types.infer_dtype(values, skipna=True)
    numbers = ("integer", "number", "floating", "mixed-integer-float")
    whole = {"integer": "int64", "boolean": "bool"}.get(kind) if None not in values else None
    try:
        return pd.Series(values, dtype=whole or (float if kind in numbers else object))
    except (TypeError, ValueError, OverflowError) as error:
        raise RunError(f"field {name!r}: expected values of one kind, {kind} ({error})") from error
