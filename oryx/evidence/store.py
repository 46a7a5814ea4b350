"""Writing rows: appended one JSON object a line, resumed after a kill. No pandas: every worker process loads this.

Rows reach the disk per evaluation batch. A kill can cut the last line in half; the next writer drops that half line and
the run goes on with the items that are missing, so that the rows of a resumed run equal an undisturbed run's.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from oryx.errors import RunError
from oryx.evidence.schema import check_row, check_schema, identity, named
from oryx.files import atomic_write_bytes


class RowWriter:
    """Appends rows to one file and knows which are already there.

    ``seen``: identities in the file. A torn last line is dropped on opening, which stderr says. Raises RunError for a
    file of another schema, an unreadable line, an invalid row or a disk that is full. Usable as a context manager; one
    writer per file (the run's lock sees to it).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - closed by __exit__
            self._file.seek(0)
            data = self._file.readall()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                self._file.truncate(whole)
                print(f"{self.path}: dropped a torn last line of {len(data) - whole} bytes", file=sys.stderr)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be opened ({error.strerror or error})") from error
        self.seen = {identity(row) for row in lines_of(self.path)}

    def has(self, row: Mapping) -> bool:
        """Whether a row of this identity (IDENTITY fields of ``row``; others are not needed) is in the file."""
        return identity(row) in self.seen

    def write(self, rows: Iterable[Mapping]) -> None:
        """Append one batch of rows; on return it is on the disk. All rows are checked before the first is written."""
        lines, fresh = [], set()
        for row in rows:
            lines.append(_line(row, f"{self.path.name}, item {row.get('item')!r}"))
            if self.has(row) or identity(row) in fresh:
                raise RunError(f"{self.path}: a row of {named(row)} is already there")
            fresh.add(identity(row))
        left = "".join(lines).encode()
        start = self._file.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):  # a batch is there as a whole or not at all
                self._file.truncate(start)
            raise RunError(f"{self.path}: cannot be written ({error.strerror or error}); earlier rows stay") from error
        self.seen |= fresh

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()


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


def failed_rows(folder: Path) -> int:
    """How many rows in ``rows.jsonl`` of ``folder``, if there is one, hold an error instead of an answer."""
    path = folder / "rows.jsonl"
    return sum(row["error"] is not None for row in lines_of(path)) if path.exists() else 0


def lay_failed_aside(folder: Path) -> None:
    """Move the rows that hold an error from ``rows.jsonl`` to the end of ``failed.jsonl``: they are missing then.

    A kill in between loses none and doubles none. To be called while no process writes, as :func:`gather_parts`.
    """
    path, aside = folder / "rows.jsonl", folder / "failed.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    failed = [line for line, row in zip(lines, lines_of(path), strict=True) if row["error"] is not None]
    earlier = aside.read_bytes() if aside.exists() else b""
    atomic_write_bytes(aside, b"".join([earlier, *(line for line in failed if line not in earlier)]))
    atomic_write_bytes(path, b"".join(line for line in lines if line not in failed))


def lines_of(path: Path) -> Iterator[dict]:
    """The rows of a file, a torn last line passed over; raises RunError for any other line that is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from error
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            check_schema(row.get("schema", 0), where)  # the first rows ever written carried no version
        except (ValueError, AttributeError) as error:
            raise RunError(f"{where}: not a JSON object ({error})") from error
        yield row


def _line(row: Mapping, where: str) -> str:
    check_schema(row.get("schema", 0), where)
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise RunError(f"{where}: not a JSON value: {error}") from error
    check_row(line, where)
    return line + "\n"


def _plain(value: object) -> object:
    """A numpy or torch value as Python's; raises TypeError for anything else: nothing is turned into text silently."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")
