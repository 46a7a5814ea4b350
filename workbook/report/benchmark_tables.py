"""The tables of ``docs/benchmarks.md``, read back: so that no measured number is typed twice."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def block(name: str, text: str) -> str:
    """What stands between ``<!-- NAME -->`` and ``<!-- end -->``; empty if there is no such block."""
    found = re.search(rf"<!-- {re.escape(name)} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    return found[1].strip() if found else ""


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every Markdown table of a text: one dictionary a line, its columns' names as keys."""
    found = []
    for part in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in part.strip().splitlines()]
        if len(lines) > 2 and all(re.fullmatch(r":?-+:?", cell) for cell in lines[1]):
            found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def table_with(column: str, text: str) -> list[dict[str, str]]:
    """The first table of ``text`` that has a column of this name; empty if none has."""
    return next((table for table in tables(text) if column in table[0]), [])


def read(docs: Path | None = None) -> str:
    """The whole page; empty where the package is installed without the repository's ``docs``."""
    path = docs or DOCS
    return path.read_text(encoding="utf-8") if path.is_file() else ""
