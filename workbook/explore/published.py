"""The published reference at a glance: every verdict in ``results/``. No torch."""

import json
from pathlib import Path

import pandas as pd

import oryx


def folder(results: str | Path = "results") -> Path:
    """The results folder; a relative one that is not here is the repository's: a notebook may be run from anywhere."""
    here, repository = Path(results), Path(oryx.__path__[0]).parent / results
    return here if here.is_absolute() or here.is_dir() or not repository.is_dir() else repository


def verdicts(results: str | Path = "results") -> pd.DataFrame:
    """One line per hypothesis of every published run; empty if nothing is published there."""
    lines = []
    for path in sorted(Path(results).glob("*/*/verdicts.json")):
        if path.parts[-3] == "runs":
            continue
        for v in json.loads(path.read_text()):
            interval = "" if v["estimate"] is None else f"{v['estimate']:+.2f} [{v['low']:+.2f}, {v['high']:+.2f}]"
            lines.append(
                {
                    "study": path.parts[-3],
                    "run": path.parts[-2],
                    "hypothesis": v["id"],
                    "says": v["statement"],
                    "verdict": v["verdict"],
                    "estimate": interval,
                    "seeds": v["seeds"],
                    "paper": v["paper_value"],
                }
            )
    columns = ["study", "run", "hypothesis", "says", "verdict", "estimate", "seeds", "paper"]
    return pd.DataFrame(lines, columns=columns)


def tally(frame: pd.DataFrame) -> pd.DataFrame:
    """How many hypotheses of each study came out how."""
    return frame.pivot_table(index="study", columns="verdict", values="hypothesis", aggfunc="count", fill_value=0)
