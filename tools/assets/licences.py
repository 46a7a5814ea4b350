"""Origin, licence and attribution of the shipped assets, read from ``workbook/data/assets/licences.toml``."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Template

_TEXT = Path(__file__).parents[2].joinpath("workbook/data/assets/licences.toml").read_text(encoding="utf-8")

ALLOWED = frozenset(tomllib.loads(_TEXT)["allowed"])
"""SPDX identifiers where one exists; anything else is refused by the build and by the tests."""


Source = SimpleNamespace
"""One package that assets were made from: package, registry, version, file, sha256 (that of ``file`` as its registry
delivers it), corpora, licence, attribution, homepage, changes."""


def sources() -> list[Source]:
    """All sources, in the order of the file."""
    return [Source(**entry) for entry in tomllib.loads(_TEXT)["source"]]


def markdown_table() -> str:
    """The licence table of docs/data.md: one row per package with corpus, version, licence, attribution and sha256."""
    template = Path(__file__).with_name("licences.md.jinja").read_text(encoding="utf-8")
    return Template(template).render(sources=sources()).strip()
