"""The store of evidence: rows appended one JSON object a line, resumed after a kill, merged and compared.

Rows reach the disk per evaluation batch. A kill can cut the last line in half; the next writer drops that half line and
the run goes on with the items that are missing, so that the rows of a resumed run equal an undisturbed run's.
"""

import json
import lzma
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from oryx.errors import RunError
from oryx.evidence.files import atomic_write_bytes
from oryx.evidence.schema import FIELD, FIELDS, IDENTITY, SCHEMA, TIMING, check_row, check_schema, identity

__all__ = [
    "IDENTITY",
    "SCHEMA",
    "TIMING",
    "RowWriter",
    "gather_parts",
    "identity",
    "part_writer",
    "read_rows",
    "read_rows_xz",
    "rows_of",
    "same_rows",
    "write_rows_xz",
]


ROUNDED = ("logprob", "seconds")
XZ = {"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 4, "pb": 0, "nice_len": 273, "depth": 24}
"""Found by trial on published rows: two thirds of preset 9's size, a tenth of the time of its extreme variant."""


class RowWriter:
    """Appends rows to one file and knows which are already there.

    ``seen``: identities in the file. ``repaired``: bytes of a torn last line that were dropped on opening, 0 if none.
    Raises RunError for a file of another schema, an unreadable line, an invalid row or a disk that is full. Usable as
    a context manager; one writer per file (the run's lock sees to it).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.repaired = _drop_torn_line(self.path)
            self.seen = {identity(row) for row in _lines(self.path)}
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise RunError(f"{self.path}: cannot be opened ({error.strerror or error})") from error

    def has(self, row: Mapping) -> bool:
        """Whether a row of this identity (IDENTITY fields of ``row``; others are not needed) is in the file."""
        return identity(row) in self.seen

    def write(self, rows: Iterable[Mapping]) -> None:
        """Append one batch of rows; on return it is on the disk. All rows are checked before the first is written."""
        rows, fresh = list(rows), set()
        for row in rows:
            check_row(row, f"{self.path.name}, item {row.get('item')!r}")
            name = identity(row)
            if name in self.seen or name in fresh:
                raise RunError(f"{self.path}: a row of {_named(name)} is already there")
            fresh.add(name)
        data = "".join(_line(row) for row in rows).encode()
        try:
            start = self._file.seek(0, os.SEEK_END)
            try:
                left = memoryview(data)
                while left:
                    left = left[self._file.write(left) :]
                os.fsync(self._file.fileno())
            except OSError:
                os.ftruncate(self._file.fileno(), start)  # a batch is there as a whole or not at all
                raise
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror or error}); earlier rows stay") from error
        self.seen |= fresh

    def close(self) -> None:
        """Close the file; nothing is pending, every batch is already on the disk."""
        self._file.close()

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def part_writer(folder: Path, number: int) -> RowWriter:
    """The writer of process ``number`` of several that share the rows of ``folder``.

    Each has a file of its own, and knows what is in ``rows.jsonl`` already. See :func:`gather_parts`.
    """
    writer = RowWriter(folder / f"rows.part-{number}.jsonl")
    if (whole := folder / "rows.jsonl").exists():
        writer.seen |= {identity(row) for row in _lines(whole)}
    return writer


def gather_parts(folder: Path) -> None:
    """Move the rows of all parts into ``rows.jsonl``; a kill in between loses none and doubles none.

    To be called by one process while no other writes: before the others begin (an earlier run may have been killed,
    with more processes or fewer) and after all have ended.
    """
    with RowWriter(folder / "rows.jsonl") as whole:
        for part in sorted(folder.glob("rows.part-*.jsonl")):
            whole.write([row for row in _lines(part) if not whole.has(row)])
            part.unlink()


def read_rows(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """The rows of one or several files as a frame, schema fields first, sorted by identity.

    A torn last line (a run killed or still going) is passed over and the file left as it is. Rows of one identity that
    agree (timing aside) count once; if they differ, or a row is of another schema or invalid, RunError names it.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    return _frame((row, str(path)) for path in paths for row in _lines(Path(path)))


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
    """The frame that ``write_rows_xz`` stored; rules and errors as ``read_rows``."""
    try:
        lines = lzma.decompress(Path(path).read_bytes()).splitlines()
        columns = {column["field"]: column["values"] for column in map(json.loads, lines)}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    except (OSError, lzma.LZMAError) as error:
        raise RunError(f"{path}: cannot be read as xz ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: not a file of published rows ({type(error).__name__}: {error})") from error
    for number, row in enumerate(rows, start=1):
        check_schema(row, f"{path}, row {number}")
    present = ({name: v for name, v in row.items() if v is not None or _is_required(name)} for row in rows)
    return _frame((row, str(path)) for row in present)


def rows_of(rows: pd.DataFrame | Iterable[Mapping]) -> list[dict]:
    """Rows as plain dictionaries: a frame's missing values become null, its numbers Python's."""
    if not isinstance(rows, pd.DataFrame):
        return [dict(row) for row in rows]
    return [{name: _cell(value) for name, value in row.items()} for row in rows.to_dict("records")]


def same_rows(a: pd.DataFrame | Iterable[Mapping], b: pd.DataFrame | Iterable[Mapping]) -> list[str]:
    """What differs between two sets of rows, one sentence a difference, timing fields aside; empty if the same."""
    first, second = ({identity(row): row for row in rows_of(rows)} for rows in (a, b))
    found = [f"only in the first: {_named(name)}" for name in sorted(first.keys() - second.keys())]
    found += [f"only in the second: {_named(name)}" for name in sorted(second.keys() - first.keys())]
    for name in sorted(first.keys() & second.keys()):
        found += [f"{_named(name)}: {text}" for text in _differences(first[name], second[name])]
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
            raise RunError(f"{source}: two different rows of {_named(name)}: {'; '.join(differences)}")
    ordered = [kept[name] for name in sorted(kept)]
    known = [field.name for field in FIELDS]
    extra = sorted({name for row in ordered for name in row} - set(known))
    columns = {name: _column(name, [row.get(name) for row in ordered]) for name in [*known, *extra]}
    return pd.DataFrame(columns, columns=[*known, *extra])


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


def _lines(path: Path) -> Iterator[dict]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file of rows") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from error
    yield from _parsed(data[: data.rfind(b"\n") + 1], path)


def _parsed(data: bytes, path: str | Path) -> Iterator[dict]:
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RunError(f"{where}: not a JSON object ({error})") from error
        if not isinstance(row, dict):
            raise RunError(f"{where}: expected a JSON object, got {type(row).__name__}")
        check_schema(row, where)
        yield row


def _drop_torn_line(path: Path) -> int:
    with open(path, "a+b") as file:
        file.seek(0)
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(whole)
            os.fsync(file.fileno())
    return len(data) - whole


def _line(row: Mapping) -> str:
    known = [field.name for field in FIELDS if field.name in row]
    ordered = {name: row[name] for name in [*known, *sorted(set(row) - set(known))]}
    try:
        return json.dumps(ordered, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise RunError(f"row of item {row.get('item')!r} is not a JSON value: {error}") from error


def _plain(value: object) -> object:
    # numpy and torch values know how to become Python's; nothing else is turned into text silently.
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _cell(value: object) -> object:
    if value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return _plain(value) if hasattr(value, "tolist") else value


def _comparable(value: object) -> object:
    value = _cell(value)
    return [_comparable(entry) for entry in value] if isinstance(value, list | tuple) else value


def _named(name: tuple) -> str:
    return ", ".join(f"{field} {value}" for field, value in zip(IDENTITY[:5], name[:5], strict=True))
