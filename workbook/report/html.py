"""The report: the paper's claims beside ours on one self-contained page, from ``results/`` alone. No torch."""

import base64
import os
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from oryx.evidence.paper import PARTS
from oryx.files import atomic_write_text
from workbook.report import benchmark_tables
from workbook.report.answers import answers
from workbook.report.claim_lines import claims_beside, counts
from workbook.report.findings import findings
from workbook.report.interval_mark import interval_mark
from workbook.report.published import disagreements, published

TEMPLATES = Path(__file__).with_name("templates")
ORDER = ("supported", "consistent", "held by tests", "in part", "inconclusive", "contradicted", "not consistent")
SHADES = {
    "supported": "good", "consistent": "good", "held by tests": "good", "measured": "good",
    "contradicted": "bad", "not consistent": "bad",
    "inconclusive": "open", "in part": "open", "mixed": "open", "measured in part": "open",
}  # fmt: skip
"""Verdict -> class of its badge; ``none`` for all others. Badges also carry their word: colour is never alone."""


def build(results: Path, out: Path, benchmarks: Path | None = None) -> Path:
    """Write the report over ``results`` to ``out`` and return it; says so where nothing is published.

    ``benchmarks``: the page of benchmarks, the repository's ``docs/benchmarks.md`` unless given. Links to rows and
    notebooks are relative to ``out``; all else is inside the file. Raises RunError for a damaged published folder.
    """
    runs = published(results)
    besides = claims_beside(runs)
    page = (
        _environment(out)
        .get_template("report.html.j2")
        .render(
            runs=runs,
            parts=[(part, title, [b for b in besides if b.claim.part == part]) for part, title in PARTS.items()],
            counts={part: _ordered(own) for part, own in counts(besides).items()},
            answers=answers(runs, benchmark_tables.read(benchmarks)),
            findings=findings(runs),
            disagreements=disagreements(runs),
        )
    )
    return atomic_write_text(out, page)


def _environment(out: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        mark=lambda line: Markup(interval_mark(line.told, line.hypothesis)),
        shade=lambda verdict: SHADES.get(verdict, "none"),
        link=lambda path: os.path.relpath(path, out.parent).replace(os.sep, "/"),
        picture=lambda path: base64.b64encode(path.read_bytes()).decode(),
        anchor=lambda text: "".join(c if c.isalnum() else "-" for c in text),
        words=lambda text: text.replace("_", " "),
    )
    return environment


def _ordered(own: dict[str, int]) -> list[tuple[str, int]]:
    def place(item: tuple[str, int]) -> tuple[int, str]:
        return (ORDER.index(item[0]) if item[0] in ORDER else len(ORDER), item[0])

    return sorted(own.items(), key=place)
