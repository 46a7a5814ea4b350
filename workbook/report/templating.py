"""Templates of pages: sentences stand in ``templates/*.md.j2``, values come in by name. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workbook.report.tables import estimate_text

TEMPLATES = Path(__file__).with_name("templates")


def render(name: str, **values: Any) -> str:
    """The template ``name`` filled with ``values``, as text without surrounding blank lines.

    Raises jinja2.UndefinedError for a value that the template needs and was not given.
    """
    return _ENVIRONMENT.get_template(name).render(values).strip()


def as_table(lines: pd.DataFrame | Sequence[dict]) -> str:
    """A Markdown table of a frame or of dictionaries, pipes escaped; a missing value is an empty cell."""
    frame = pd.DataFrame(lines, dtype=object)
    frame = frame.where(frame.notna(), "").astype(str)
    rows = [list(frame), ["---"] * len(frame.columns), *frame.values.tolist()]
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return text if len(frame) else "*None.*"


def span(values: Sequence[float]) -> str:
    """The smallest and the largest of ``values``, ``0.40 to 0.75``; one number where they are equal."""
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_ENVIRONMENT.filters.update(table=as_table, span=span, estimate=estimate_text)
