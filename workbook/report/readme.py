"""Tables of README and docs/findings.md, filled from ``results/``: ``python -m workbook.report.readme [--check]``.

A block begins with ``<!-- results:STUDY/SCALE:NAME -->`` and ends with ``<!-- end -->``; NAME is ``verdicts`` or
``scores``. Blocks over everything that is published are ``<!-- results:all:NAME -->``; NAME is ``findings``,
``contradicted``, ``not_learned``, ``inconclusive``, ``disagreements`` or ``own_tables``.
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from oryx.errors import SettingsError
from oryx.files import atomic_write_text
from workbook.report.findings_page import WHOLE
from workbook.report.published import published
from workbook.report.tables import to_markdown

PAGES = ("README.md", "docs/findings.md")
BLOCK = re.compile(r"(<!-- results:(?P<place>[\w/,.=+-]+):(?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, results: Path) -> str:
    """``text`` with every block filled from ``results``; raises SettingsError for an unknown block name."""
    runs = published(results) if "<!-- results:all:" in text else []

    def fill(match: re.Match) -> str:
        folder = results / match["place"]
        known = WHOLE if match["place"] == "all" else _TABLES
        if match["name"] not in known:
            raise SettingsError(f"README block {match['name']!r}: expected one of {', '.join(known)}")
        if match["place"] == "all":
            return f"{match[1]}{WHOLE[match['name']](runs)}\n{match[4]}"
        if not (folder / "verdicts.json").exists():
            return f"{match[1]}*Nothing is published for {match['place']} yet.*\n{match[4]}"
        return f"{match[1]}{_TABLES[match['name']](folder)}\n{match[4]}"

    return BLOCK.sub(fill, text)


def verdicts(folder: Path) -> str:
    """Hypotheses with verdict, estimate and interval."""
    found = json.loads((folder / "verdicts.json").read_text())
    lines = [
        {
            "hypothesis": f"{v['id']}: {v['statement']}",
            "verdict": f"**{v['verdict']}**",
            "estimate": "" if v["estimate"] is None else f"{v['estimate']:+.3f} [{v['low']:+.3f}, {v['high']:+.3f}]",
            "items": v["n_items"],
            "seeds": v["seeds"],
            "paper": v["paper_value"],
        }
        for v in found
    ]
    return to_markdown(pd.DataFrame(lines))


def scores(folder: Path) -> str:
    """Mean score per arm and task, with chance and the control: the best that any arm scores without the picture."""
    table = pd.read_csv(folder / "table.csv")
    seen = table[table["condition"] == "visual"]
    wide = seen.pivot_table(index="arm", columns="task", values="score", sort=False)
    chance = seen.groupby("task")["chance"].mean().rename("*chance*").to_frame().T
    hidden = table[table["condition"] == "no_visual"].groupby("task")["score"].max()
    blind = hidden.rename("*best arm without the picture*").to_frame().T
    whole = pd.concat([wide, chance, blind])[list(wide.columns)]
    shown = whole.map(lambda v: "" if pd.isna(v) else f"{v:.2f}").reset_index(names="arm")
    items = int(seen["n_items"].max())
    return (
        to_markdown(shown)
        + f"\n\nUp to {items} items a task, {int(seen['seeds'].max())} seeds; intervals in table.csv."
    )


_TABLES = {"verdicts": verdicts, "scores": scores}


def main(arguments: list[str] | None = None) -> int:
    """Fill the PAGES below the current folder; with --check only say which are not up to date (1 if any)."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    worst = 0
    for path in (Path(page) for page in PAGES if Path(page).exists()):
        old, new = path.read_text(encoding="utf-8"), filled(path.read_text(encoding="utf-8"), Path("results"))
        if check:
            print(f"{path} is up to date" if old == new else f"{path} differs: run python -m workbook.report.readme")
            worst = max(worst, int(old != new))
        elif old != new:
            atomic_write_text(path, new)
    return worst


if __name__ == "__main__":
    sys.exit(main())
