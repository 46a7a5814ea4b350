"""How notebooks show frames: in full, texts to the left, arms by their names."""

import re

import pandas as pd
from pandas.api.types import is_numeric_dtype

from workbook.report.names import name_of, with_names

ARMS = ("arm", "connector", "trained at", "asked at")
"""Columns, and levels of an index, that hold arms."""
MOST_ROWS = 1000
"""Of longer frames the first and last rows are shown."""


def show_frames_whole() -> None:
    """From now on IPython shows every frame by :func:`as_html`."""
    from IPython import get_ipython

    if shell := get_ipython():
        shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, as_html)


def as_html(frame: pd.DataFrame) -> str:
    """A frame as an HTML table: no sentence is cut, numbers have at most three digits behind the point, rows no numbers
    of their own."""
    shown = readable(frame)
    # counted from the right, for a row begins with fewer cells where its index is that of the row before
    texts = [len(shown.columns) - place for place, kind in enumerate(shown.dtypes) if not is_numeric_dtype(kind)]
    look = "-".join(["texts", *map(str, texts)])
    style = "".join(f"table.{look} :is(td, th):nth-last-child({place}) {{text-align: left}}" for place in texts)
    with pd.option_context("display.max_colwidth", None):
        table = shown.to_html(
            index=not isinstance(frame.index, pd.RangeIndex), border=0, justify="left", na_rep="", max_rows=MOST_ROWS,
            float_format=lambda value: f"{value:,.3f}".rstrip("0").rstrip("."), classes=look,
        )  # fmt: skip
    return f"<style>{style}</style>{table}"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the names of arms where it has their codes."""
    shown = frame.assign(**frame[[name for name in ARMS if name in frame]].map(name_of, na_action="ignore"))
    for level in {*ARMS} & {*shown.index.names}:
        shown = shown.rename(index=name_of, level=level if shown.index.nlevels > 1 else None)
    # headings such as "minus native" and "native, plain text" say an arm's name too
    return shown.rename(columns=lambda it: with_names(it) if re.search("^minus |, ", str(it)) else it)
