"""The last lines of a run: verdicts, how it compares with the published rows, and where everything lies."""

import json

from oryx.runs.settings import StudySettings


def print_ending(study, settings: StudySettings) -> None:
    """Print the verdict table of the run's folder; says so if the run has not got that far."""
    folder = study.run_folder(settings)
    try:
        verdicts = json.loads((folder / "verdicts.json").read_text())
    except FileNotFoundError:
        print(f"{study.id} at {settings.scale}: no verdicts yet; the run's files are in {folder}")
        return
    width = max((len(v["id"]) for v in verdicts), default=0)
    print(f"\n{study.title}, scale {settings.scale}, seeds {', '.join(map(str, settings.seeds))}")
    for v in verdicts:
        interval = "" if v["estimate"] is None else f"  {v['estimate']:+.3f} [{v['low']:+.3f}, {v['high']:+.3f}]"
        print(f"  {v['id']:<{width}}  {v['verdict']}{interval}")
    if (folder / "comparison.txt").exists():
        print((folder / "comparison.txt").read_text().rstrip())
    print(f"rows, tables, figures and the executed notebook: {folder}")
