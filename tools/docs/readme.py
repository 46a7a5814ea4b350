"""Tables of README, docs/results.md and docs/findings.md, from ``results/``: ``python -m tools.docs.readme [--check]``.

A block begins with ``<!-- results:STUDY/VARIANT:NAME -->`` and ends with ``<!-- end -->``; NAME is ``verdicts`` or
``scores``. Blocks over everything that is published are ``<!-- results:all:NAME -->``; NAME is ``headlines``,
``studies``, ``findings``,
``contradicted``, ``not_learned``, ``inconclusive``, ``alike``, ``comparisons``, ``changes``, ``disagreements`` or
``own_tables``; and ``start``, ``scales``, ``weights`` and ``bibtex``, which need no results.
"""

import argparse
import inspect
import re
from functools import partial
from pathlib import Path

import pandas as pd

from oryx.errors import SettingsError
from oryx.evidence.verdicts import AGAINST, ALIKE, CLAIMED
from oryx.files import atomic_write_text
from tools.docs import citation, starting
from workbook.cli import find_study
from workbook.report.checks import CONSISTENT
from workbook.report.claims import findings
from workbook.report.names import name_of
from workbook.report.page import Page
from workbook.report.paper import PARTS
from workbook.report.published import published
from workbook.report.tables import as_table, estimate_text, verdict_table

PAGES = ("README.md", "docs/results.md", "docs/findings.md")
FIRST = Path(__file__).parents[2] / "docs" / "first-verdicts.csv"
"""Verdicts when every study had been published once, the hypotheses that followed them, and by which change."""
DECIDED = (CLAIMED, AGAINST, ALIKE)
BLOCK = re.compile(r"(<!-- results:([\w/,.=+-]+):(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, results: Path) -> str:
    """``text`` with every block filled from ``results``; raises SettingsError for an unknown block name."""
    runs = published(results)

    def fill(match: re.Match) -> str:
        start, place, name, end = match.groups()
        if name not in BLOCKS:
            raise SettingsError(f"README block {name!r}: expected one of {', '.join(BLOCKS)}")
        chosen = [run for run in runs if place in ("all", run.place)]
        text = BLOCKS[name](Page(chosen)) if chosen else f"*Nothing is published for {place} yet.*"
        return f"{start}{text}\n{end}"

    return BLOCK.sub(fill, text)


def verdicts(page: Page, only: str = "") -> str:
    """The verdicts of the runs and the paper's numbers as Markdown, or those that are ``only`` this, with their run."""
    table = verdict_table([verdict for run in page.runs for verdict in run.verdicts])
    table["hypothesis"] += ": " + table["statement"]
    if only:
        table["run"] = [run.place for run in page.runs for _ in run.verdicts]
        table = table[table["verdict"] == only]
        return as_table(table[["hypothesis", "estimate", "alone", "clusters", "seeds", "could find", "run"]])
    table["verdict"] = "**" + table["verdict"] + "**"
    return as_table(table[["hypothesis", "verdict", "estimate", "alone", "clusters", "seeds", "could find"]])


def scores(page: Page) -> str:
    """Mean score per arm and task, with chance and the control: the best that any arm scores without the picture."""
    table = pd.read_csv(page.runs[0].folder / "table.csv")
    seen, hidden = table[table["condition"] == "visual"], table[table["condition"] == "no_visual"]
    whole = seen.pivot_table(index="arm", columns="task", values="score", sort=False).rename(index=name_of)
    whole.loc["*chance*"] = seen.groupby("task")["chance"].mean()
    whole.loc["*best arm without the picture*"] = hidden.groupby("task")["score"].max()
    shown = whole.map("{:.2f}".format, na_action="ignore").reset_index()
    items, seeds = int(seen["n_items"].max()), int(seen["seeds"].max())
    told = f"Up to {items} items per task, {seeds} seed{'s' * (seeds > 1)}; intervals in table.csv."
    if below := sorted(set(seen.loc[seen["high"] < seen["chance"], "task"])):
        told += (
            f" Some arms score below chance ({', '.join(below)}): chance there is to read all that could be the answer "
            "and to pick one; an arm that cannot read names none of it."
        )
    return f"{as_table(shown)}\n\n{told}"


def studies(page: Page) -> str:
    """A line for the default run of every study: what it asks, its verdicts by kind, and where to read and run it."""
    lines, order = [], list(PARTS)
    whole = [run for run in page.runs if run.variant == run.scale]
    for run in sorted(whole, key=lambda run: order.index(run.study) if run.study in order else len(order)):
        study = find_study(run.study)
        asks = inspect.getmodule(type(study)).__doc__.splitlines()[0].partition(": ")[2]  # "Study 1: does ...?"
        line = {"study": f"{study.title}: {asks}", "verdicts": run.told}
        line |= {
            "seeds": len(run.manifest["seeds"]),
            "read": "[tables](docs/results.md)",
            "run": f"`python -m oryx run {run.study}`",
        }
        if (read := run.folder / "notebook.ipynb").exists():
            line["read"] = f"[as executed]({read.as_posix()})"
        for notebook in Path("notebooks").glob(f"[0-9][0-9]_{run.study}.ipynb"):
            line["run"] = f"[notebook]({notebook.as_posix()})"
        lines.append(line)
    return as_table(lines)


def own_tables(page: Page) -> str:
    """What the paper's own tables and integer arithmetic do not bear out, as Markdown."""
    claims = [(one.claim, *one.found) for one in page.answered if one.found]
    lines = [(c.statement, c.paper_value, verdict, found) for c, verdict, found in claims if verdict != CONSISTENT]
    return as_table(pd.DataFrame(lines, columns=["statement", "paper", "verdict", "found"]))


def first_verdicts(page: Page) -> str:
    """What the hypotheses of the first published runs said, and what those that followed them say now."""
    lines, decided = [], {"then": 0, "now": 0}
    for was in pd.read_csv(FIRST).astype(object).where(lambda frame: frame.notna(), None).to_dict("records"):
        runs = sorted((run for run in page.runs if run.study == was["study"]), key=lambda run: len(run.variant))
        now = next((found for run in runs if (found := run.verdict(was["successor"]))), None)
        each = {"then": was, "now": now or {"verdict": "no published run tests it", "estimate": None}}
        line = {"hypothesis": was["statement"]}
        for when, said in each.items():
            line[when] = f"**{said['verdict']}** {estimate_text(said)}".strip()
            decided[when] += said["verdict"] in DECIDED
        lines.append(line | {"reason": was["why"]})
    then, now = decided.values()
    counts = f"Of {len(lines)} hypotheses {then} were decided then; of them or their successors {now} are now."
    return f"{counts}\n\n{as_table(lines)}"


def headlines(page: Page) -> str:
    """The findings that have a sentence for the first screen, with their numbers."""
    told = [found["headline"] for found in findings(page.runs) if found["headline"] and not found["changed"]]
    return "\n".join(f"- {sentence}" for sentence in told)


BLOCKS = {
    "verdicts": verdicts,
    "scores": scores,
    "headlines": headlines,
    "studies": studies,
    "findings": Page.findings,
    "contradicted": partial(verdicts, only="contradicted"),
    "not_learned": partial(verdicts, only="not learned"),
    "inconclusive": partial(verdicts, only="inconclusive"),
    "alike": partial(verdicts, only="no difference that matters"),
    "comparisons": Page.comparisons,
    "changes": Page.changes,
    "first_verdicts": first_verdicts,
    "disagreements": Page.disagreements,
    "own_tables": own_tables,
    "start": lambda page: starting.start(),
    "scales": lambda page: starting.scales(),
    "weights": lambda page: starting.weights(),
    "bibtex": lambda page: citation.bibtex(),
}
"""Name of a block -> what fills it."""


def main(arguments: list[str] | None = None) -> int:
    """Fill the PAGES below the current folder; with --check only say which are not up to date (1 if any)."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs.readme", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if a page is not up to date")
    check, worst = parser.parse_args(arguments).check, 0
    for path in (Path(page) for page in PAGES if Path(page).exists()):
        old = path.read_text(encoding="utf-8")
        new = filled(old, Path("results"))
        if not check:
            atomic_write_text(path, new)
        elif old != new:
            print(f"{path} differs: run python -m tools.docs.readme")
            worst = 1
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
