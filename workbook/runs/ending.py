"""The last lines of a run: verdicts, how it compares with the published rows, and where everything lies."""

import json

import pandas as pd

from workbook.runs.settings import StudySettings
from workbook.runs.study import RunnableStudy


def print_ending(study: RunnableStudy, settings: StudySettings) -> int:
    """Print the verdict table of a finished run; returns how many items failed."""
    folder = study.run_folder(settings)
    verdicts = json.loads((folder / "verdicts.json").read_text())
    failed = int(pd.read_csv(folder / "table.csv")["failed"].sum())
    width = max((len(v["id"]) for v in verdicts), default=0)
    seeds = list(settings.seeds)
    if settings.source == "published":  # those of the rows that are shown, whatever this run was asked for
        seeds = list(json.loads((folder / "manifest.json").read_text())["seeds"])
    print(f"\n{study.title}, scale {settings.scale}, seeds {', '.join(map(str, seeds))}")
    for v in verdicts:
        interval = "" if v["estimate"] is None else f"  {v['estimate']:+.3f} [{v['low']:+.3f}, {v['high']:+.3f}]"
        print(f"  {v['id']:<{width}}  {v['verdict']}{interval}")
    if failed:
        print(f"{failed} items failed; their rows name the error")
    if (comparison := folder / "comparison.txt").exists():
        print(comparison.read_text().rstrip())
    print(f"rows, tables and figures: {folder}")
    return failed
