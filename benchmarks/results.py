"""What a benchmark does with its results: print the table, keep the numbers, renew its block in a Markdown file."""

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from oryx.files import atomic_write_json
from workbook.runs.provenance import git_state, hardware, now, versions


def deliver(found: Any, text: str, numbers: Path | None, docs: Path | None, block: str) -> None:
    """Print ``text``; write ``found`` and where it comes from as JSON to ``numbers``, and ``text`` between
    ``<!-- block -->`` and the next end of ``docs``.

    Either file may be None.
    """
    print(text)
    if numbers:
        atomic_write_json(numbers, {"source": source(), "found": found})
    if docs:
        marks = rf"(<!-- {block} -->\n).*?(<!-- end -->)"
        docs.write_text(re.sub(marks, lambda match: f"{match[1]}{text}\n{match[2]}", docs.read_text(), flags=re.DOTALL))


def source() -> dict[str, Any]:
    """Where numbers that were just measured come from: command, code, packages and machine.

    ``load``: its mean load over 1, 5 and 15 minutes, for who else used the machine changes what is measured.
    """
    commit, dirty = code()
    return {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "commit": commit,
        "dirty": dirty,
        "written": now(),
        "python": platform.python_version(),
        "packages": versions(),
        **hardware(),
        "load": os.getloadavg(),
    }


@cache
def code() -> tuple[str | None, bool | None]:
    """Commit of the code and whether anything in it is changed, as when this is first called in a process.

    Asked once, because a block that one benchmark renews in the docs would be a change to the next.
    """
    return git_state()


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows that have the same names as a table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """A value in a table: numbers in few digits, a verdict as yes or no, nothing as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
