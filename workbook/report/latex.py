"""Any table of a run as LaTeX, by pandas."""

import json
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from oryx.errors import InputError
from workbook.report.tables import verdict_table

LONG = 40
"""A column with longer text is a paragraph of its own width."""


def latex(path: Path) -> str:
    """The table in a csv file or a run's ``verdicts.json`` as LaTeX, with the rules of the package booktabs.

    Raises InputError for a file of another kind, or one that is not there or cannot be read.
    """
    if path.suffix not in (".csv", ".json"):
        raise InputError(f"{path}: expected a csv file or a verdicts.json")
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else verdict_table(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: no table there ({type(error).__name__}: {error})") from error
    texts = {name: frame[name].fillna("").astype(str).str.len().max() > LONG for name in frame}
    columns = "".join("p{6cm}" if texts[name] else "r" if is_numeric_dtype(frame[name]) else "l" for name in frame)
    styled = frame.style.hide(axis="index").format(precision=3, escape="latex", na_rep="")
    return styled.format_index(escape="latex", axis=1).to_latex(hrules=True, column_format=columns).rstrip()
