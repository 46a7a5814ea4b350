"""Origin, licence and attribution of the shipped assets, read from ``assets/licences.toml``; standard library only."""

import tomllib
from importlib.resources import files
from types import SimpleNamespace

_TEXT = files("workbook.data").joinpath("assets/licences.toml").read_text(encoding="utf-8")

ALLOWED = frozenset(tomllib.loads(_TEXT)["allowed"])
"""SPDX identifiers where one exists; anything else is refused by the build and by the tests."""

PER_FILE = "per file"
"""A source whose files differ in licence: each index entry carries its own."""


Source = SimpleNamespace
"""One package that assets were made from: package, registry, version, file, sha256 (that of ``file`` as its registry
delivers it), corpora, licence, attribution, homepage, changes."""


def sources() -> list[Source]:
    """All sources, in the order of the file."""
    return [Source(**entry) for entry in tomllib.loads(_TEXT)["source"]]


def markdown_table() -> str:
    """The licence table of docs/data.md: one row per package with corpus, version, licence, attribution and sha256."""
    rows = ["| corpus | package | version | licence | attribution | what was changed | sha256 of the package |"]
    rows.append("|---|---|---|---|---|---|---|")
    for s in sources():
        package = f"[{s.package}]({s.homepage}) ({s.registry})"
        cells = (", ".join(s.corpora), package, s.version, s.licence, s.attribution, s.changes, f"`{s.sha256}`")
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
