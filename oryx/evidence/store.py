"""Writing rows: appended one JSON object a line, resumed after a kill. No pandas: every worker process loads this.

Rows reach the disk per evaluation batch. A kill can cut the last line in half; the next writer drops that half line and
the run goes on with the items that are missing, so that the rows of a resumed run equal an undisturbed run's.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from oryx.errors import RunError
from oryx.evidence.schema import FIELDS, IDENTITY, check_row, check_schema, identity


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
            if repaired := _drop_torn_line(self.path):
                print(f"{self.path}: dropped a torn last line of {repaired} bytes", file=sys.stderr)
            self.repaired = repaired
            self.seen = {identity(row) for row in lines_of(self.path)}
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
                raise RunError(f"{self.path}: a row of {named(name)} is already there")
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
        writer.seen |= {identity(row) for row in lines_of(whole)}
    return writer


def gather_parts(folder: Path) -> None:
    """Move the rows of all parts into ``rows.jsonl``; a kill in between loses none and doubles none.

    To be called by one process while no other writes: before the others begin (an earlier run may have been killed,
    with more processes or fewer) and after all have ended.
    """
    with RowWriter(folder / "rows.jsonl") as whole:
        for part in sorted(folder.glob("rows.part-*.jsonl")):
            whole.write([row for row in lines_of(part) if not whole.has(row)])
            part.unlink()


def lines_of(path: Path) -> Iterator[dict]:
    """The rows of a file, a torn last line passed over; raises RunError for any other line that is none."""
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
        return json.dumps(ordered, ensure_ascii=False, allow_nan=False, default=plain) + "\n"
    except (TypeError, ValueError) as error:
        raise RunError(f"row of item {row.get('item')!r} is not a JSON value: {error}") from error


def plain(value: object) -> object:
    """A numpy or torch value as Python's; raises TypeError for anything else: nothing is turned into text silently."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def named(name: tuple) -> str:
    """A row's identity for people to read."""
    return ", ".join(f"{field} {value}" for field, value in zip(IDENTITY[:5], name[:5], strict=True))
