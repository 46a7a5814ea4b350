"""Templates of pages: sentences stand in ``templates/*.md.j2``, values come in by name. No torch."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workbook.report.tables import to_markdown

TEMPLATES = Path(__file__).with_name("templates")


def render(name: str, **values: Any) -> str:
    """The template ``name`` filled with ``values``, as text without surrounding blank lines.

    Raises jinja2.UndefinedError for a value that the template needs and was not given.
    """
    return _environment().get_template(name).render(values).strip()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(table=as_table, span=span)
    return environment


def as_table(lines: pd.DataFrame | Sequence[dict]) -> str:
    """A Markdown table of a frame or of dictionaries with equal keys; columns without any text are left out."""
    frame = pd.DataFrame(lines)
    frame = frame.astype(object).where(frame.notna(), "")
    return to_markdown(frame.loc[:, (frame.astype(str) != "").any()]) if len(frame) else "*None.*"


def span(values: Sequence[float]) -> str:
    """The smallest and the largest of ``values``, ``0.40 to 0.75``; one number where they are equal."""
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
