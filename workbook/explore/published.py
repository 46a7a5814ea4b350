"""The published reference in short: every verdict in ``results/``. No torch."""

from pathlib import Path

import pandas as pd

import oryx
from workbook.report.published import published
from workbook.report.tables import verdict_table


def folder(results: str | Path = "results") -> Path:
    """The results folder; a relative one that is not here is the repository's: a notebook may be run from anywhere."""
    here, repository = Path(results), Path(oryx.__path__[0]).parent / results
    return here if here.is_absolute() or here.is_dir() or not repository.is_dir() else repository


def verdicts(results: str | Path = "results") -> pd.DataFrame:
    """One line per hypothesis of every published run; empty if nothing is published there."""
    tables = [verdict_table(run.verdicts).assign(study=run.study, run=run.variant) for run in published(results)]
    columns = ["study", "run", "hypothesis", "statement", "verdict", "estimate", "seeds", "paper"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def tally(frame: pd.DataFrame) -> pd.DataFrame:
    """How many hypotheses of each study came out how."""
    return frame.pivot_table(index="study", columns="verdict", values="hypothesis", aggfunc="count", fill_value=0)
