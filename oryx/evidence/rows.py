"""Rows as frames: read from one or several files, merged, compared, and packed for publishing.

Writing them, and going on after a kill: :mod:`oryx.evidence.store`.
"""

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

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
    "read_columns",
    "read_rows",
    "read_rows_xz",
    "rows_of",
    "same_rows",
    "write_rows_xz",
]


ROUNDED = ("logprob", "seconds")
XZ = {"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 4, "pb": 0, "nice_len": 273, "depth": 24}
"""Found by trial on published rows: two thirds of preset 9's size, a tenth of the time of its extreme variant."""


def read_rows(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """The rows of one or several files as a frame, schema fields first, sorted by identity.

    A torn last line (a run killed or still going) is passed over and the file left as it is. Rows of one identity that
    agree (timing aside) count once; if they differ, or a row is of another schema or invalid, RunError names it.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    return _frame((row, str(path)) for path in paths for row in lines_of(Path(path)))


def write_rows_xz(rows: pd.DataFrame | Iterable[Mapping], path: str | Path) -> Path:
    """Write rows field by field, one JSON line ``{"field": NAME, "values": [...]}`` each, compressed by xz.

    Answers to one item stand together, which makes the file a quarter of the rows' own size compressed. The same rows
    in any order give the same bytes (with one version of liblzma). The fields of ROUNDED keep four decimals: their
    further digits are noise, and a third of the file.
    """
    # Through a frame, so that rows from files and rows from a frame (gaps as null, 1 as 1.0) give the same bytes.
    frame = _frame((row, str(path)) for row in rows_of(rows))
    frame = frame.sort_values("item", kind="stable")
    lines = []
    for name in frame:
        values = [_cell(value) for value in frame[name].tolist()]
        if name in ROUNDED:
            values = [None if value is None else round(value, 4) for value in values]
        lines.append(json.dumps({"field": name, "values": values}, ensure_ascii=False, allow_nan=False) + "\n")
    return atomic_write_bytes(path, lzma.compress("".join(lines).encode(), filters=[XZ]))


def read_rows_xz(path: str | Path) -> pd.DataFrame:
    """The frame that ``write_rows_xz`` stored; rules and errors as ``read_rows``.

    Rows that are all well are checked field by field, which is faster; any doubt is settled row by row.
    """
    try:
        lines = lzma.decompress(Path(path).read_bytes()).splitlines()
        columns = {column["field"]: column["values"] for column in map(json.loads, lines)}
        order = _order_if_well(columns)
        if order is not None:
            return _from_columns({name: [values[i] for i in order] for name, values in columns.items()}, len(order))
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    except (OSError, lzma.LZMAError) as error:
        raise RunError(f"{path}: cannot be read as xz ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: not a file of published rows ({type(error).__name__}: {error})") from error
    for number, row in enumerate(rows, start=1):
        check_schema(row, f"{path}, row {number}")
    present = ({name: v for name, v in row.items() if v is not None or _is_required(name)} for row in rows)
    return _frame((row, str(path)) for row in present)


def read_columns(path: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """The named fields of every published row, in the file's order; a field that no row has is left out.

    For tables that need few fields of many rows: a tenth of the time of :func:`read_rows_xz`, which checks every row.
    Raises RunError for a file that is not one of published rows, or of another schema.
    """
    wanted, columns = {"schema", *names}, {}
    try:
        for line in lzma.decompress(Path(path).read_bytes()).splitlines():
            name = json.loads(line[len(b'{"field": ') : line.index(b', "values": [')])
            if name in wanted:
                columns[name] = json.loads(line)["values"]
        schemas = set(columns.pop("schema", [0]))
    except (OSError, lzma.LZMAError) as error:
        raise RunError(f"{path}: cannot be read as xz ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: not a file of published rows ({type(error).__name__}: {error})") from error
    for found in sorted(schemas - {SCHEMA}, key=str):
        check_schema({"schema": found}, str(path))
    return pd.DataFrame({name: _column(name, columns[name]) for name in columns})


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


def _order_if_well(columns: Mapping[str, list]) -> list[int] | None:
    """The order by identity of rows given by field, if :func:`check_row` passes all and no two have one identity.

    None if that is not so, or not so plain that a look at whole fields tells (rows with errors).
    """
    count = len(columns.get("schema", ()))
    if set(columns.get("schema", ())) != {SCHEMA} or {len(values) for values in columns.values()} != {count}:
        return None
    if any(field.required and field.name not in columns for field in FIELDS):
        return None
    if not all(FIELD[name].all_well(values) for name, values in columns.items() if name in FIELD):
        return None
    if any(error is not None for error in columns["error"]):
        return None
    if None in columns["score"] or None in columns["answer"]:
        return None
    if any(not 0 <= value <= 1 for name in ("score", "chance") for value in set(columns[name])):
        return None
    names = list(zip(*(columns[name] for name in IDENTITY), strict=True))
    return sorted(range(count), key=names.__getitem__) if len(set(names)) == count else None


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


def _is_required(name: str) -> bool:
    return name in FIELD and FIELD[name].required


def _cell(value: object) -> object:
    if value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return plain(value) if hasattr(value, "tolist") else value


def _comparable(value: object) -> object:
    value = _cell(value)
    return [_comparable(entry) for entry in value] if isinstance(value, list | tuple) else value
