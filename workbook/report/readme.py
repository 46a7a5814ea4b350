"""Tables of README and docs/findings.md, filled from ``results/``: ``python -m workbook.report.readme [--check]``.

A block begins with ``<!-- results:STUDY/VARIANT:NAME -->`` and ends with ``<!-- end -->``; NAME is ``verdicts`` or
``scores``. Blocks over everything that is published are ``<!-- results:all:NAME -->``; NAME is ``findings``,
``contradicted``, ``not_learned``, ``inconclusive``, ``disagreements`` or ``own_tables``.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from oryx.errors import SettingsError
from oryx.files import atomic_write_text
from workbook.report.checks import CONSISTENT
from workbook.report.page import Page
from workbook.report.published import Published, estimate_text, published
from workbook.report.tables import to_markdown
from workbook.report.templating import as_table

PAGES = ("README.md", "docs/findings.md")
BLOCK = re.compile(r"(<!-- results:(?P<place>[\w/,.=+-]+):(?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
OF_ONE_RUN = ("verdicts", "scores")
OVER_ALL = ("findings", "contradicted", "not_learned", "inconclusive", "disagreements", "own_tables")


def filled(text: str, results: Path) -> str:
    """``text`` with every block filled from ``results``; raises SettingsError for an unknown block name."""
    runs = published(results)

    def fill(match: re.Match) -> str:
        place, name = match["place"], match["name"]
        known = OVER_ALL if place == "all" else OF_ONE_RUN
        if name not in known:
            raise SettingsError(f"README block {name!r}: expected one of {', '.join(known)}")
        run = next((run for run in runs if run.place == place), None)
        if place == "all":
            content = over_all(runs, name)
        elif run is None:
            content = f"*Nothing is published for {place} yet.*"
        else:
            content = scores(run) if name == "scores" else verdicts([run], paper=True)
        return f"{match[1]}{content}\n{match[4]}"

    return BLOCK.sub(fill, text)


def over_all(runs: Sequence[Published], name: str) -> str:
    """The block ``name``, one of OVER_ALL, as Markdown."""
    page = Page(list(runs))
    if name in ("findings", "disagreements"):
        return page.findings() if name == "findings" else page.disagreements()
    if name != "own_tables":
        return verdicts(runs, only=name.replace("_", " "))
    return as_table(
        [
            {"statement": one.claim.statement, "paper": one.claim.paper_value, "verdict": one.checked.verdict}
            | {"found": one.checked.found}
            for one in page.answered
            if one.checked and one.checked.verdict != CONSISTENT
        ]
    )


def verdicts(runs: Sequence[Published], only: str = "", paper: bool = False) -> str:
    """The verdicts of the runs as Markdown, or those that are ``only`` this; with the paper's number, or the run."""
    lines = []
    for run in runs:
        for v in run.verdicts:
            line = {"hypothesis": f"{v['id']}: {v['statement']}", "verdict": f"**{v['verdict']}**"}
            line |= {"estimate": estimate_text(v), "items": v["n_items"], "seeds": v["seeds"]}
            line |= {"paper": v["paper_value"]} if paper else {"run": run.place}
            if only:
                del line["verdict"]
            if only in ("", v["verdict"]):
                lines.append(line)
    return to_markdown(pd.DataFrame(lines)) if lines else "*None.*"


def scores(run: Published) -> str:
    """Mean score per arm and task, with chance and the control: the best that any arm scores without the picture."""
    table = pd.read_csv(run.folder / "table.csv")
    seen = table[table["condition"] == "visual"]
    wide = seen.pivot_table(index="arm", columns="task", values="score", sort=False)
    chance = seen.groupby("task")["chance"].mean().rename("*chance*").to_frame().T
    hidden = table[table["condition"] == "no_visual"].groupby("task")["score"].max()
    blind = hidden.rename("*best arm without the picture*").to_frame().T
    whole = pd.concat([wide, chance, blind])[list(wide.columns)]
    shown = whole.map(lambda v: "" if pd.isna(v) else f"{v:.2f}").reset_index(names="arm")
    items, seeds = int(seen["n_items"].max()), int(seen["seeds"].max())
    return f"{to_markdown(shown)}\n\nUp to {items} items a task, {seeds} seeds; intervals in table.csv."


def main(arguments: list[str] | None = None) -> int:
    """Fill the PAGES below the current folder; with --check only say which are not up to date (1 if any)."""
    parser = argparse.ArgumentParser(prog="python -m workbook.report.readme", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if a page is not up to date")
    check, worst = parser.parse_args(arguments).check, 0
    for path in (Path(page) for page in PAGES if Path(page).exists()):
        old = path.read_text(encoding="utf-8")
        new = filled(old, Path("results"))
        if check:
            print(f"{path} is up to date" if old == new else f"{path} differs: run python -m workbook.report.readme")
            worst = max(worst, int(old != new))
        elif old != new:
            atomic_write_text(path, new)
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
