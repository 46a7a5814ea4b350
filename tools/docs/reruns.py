"""``python -m tools.docs.reruns RUNS``: the table of docs/rerun.md, of the reruns below ``RUNS`` (results/runs).

A line for each rerun is kept in docs/reruns.csv; those of the folder replace earlier lines of the same run.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from oryx.evidence.compare import LEAST
from oryx.evidence.stats import LEAST_SEEDS

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- reruns: python -m tools.docs.reruns -->", "<!-- end of the reruns -->"
OUTSIDE = 0.05
"""Share of the cells that two runs whose 95 % intervals tell the truth leave outside the tolerance, at most."""


def line(folder: Path) -> dict:
    """What one rerun came to; ``folder`` holds ``rerun.csv``, ``rerun_verdicts.json`` and its seeds' manifests."""
    cells = pd.read_csv(folder / "rerun.csv")
    old, new = json.loads((folder / "rerun_verdicts.json").read_text()).values()
    manifests = [json.loads(path.read_text()) for path in sorted(folder.glob("seed-*/manifest.json"))]
    assert len(manifests) < LEAST_SEEDS, f"{folder}: the table's verdicts are directions, of fewer than {LEAST_SEEDS}"
    judged = [name for name in old if old[name]["estimate"] is not None and new[name]["estimate"] is not None]
    differing = [name for name in judged if old[name]["verdict"] != new[name]["verdict"]]
    jobs = [job for manifest in manifests for job in manifest["arms"].values()]
    parameters = manifests[0]["reproduce"].partition(" -p ")[2].replace("'", "").replace('"', "").replace(" -p ", ", ")
    return {
        "study": manifests[0]["study"],
        "settings": parameters or "default",
        "seeds": " ".join(str(manifest["seed"]) for manifest in manifests),
        "commit": manifests[0]["commit"][:8],
        "cells": len(cells),
        "within": int(cells["same"].sum()),
        "largest": round(float(cells["difference"].abs().max()), 3),
        "verdicts": len(judged),
        "same": len(judged) - len(differing),
        "differing": "; ".join(
            f"{name} {old[name]['estimate']:+.3f} -> {new[name]['estimate']:+.3f} "
            f"({_direction(old[name])} -> {_direction(new[name])})"
            for name in differing
        ),
        "cpu_minutes": round(sum(job["cpu_seconds"] for job in jobs) / 60, 1),
    }


def _direction(verdict: dict) -> str:
    return verdict["verdict"].removeprefix("direction only: ")


def table(found: pd.DataFrame) -> str:
    """The lines as a markdown table, with what chance alone would do below it."""
    head = ["study", "settings", "seeds", "cells within tolerance", "largest difference", "directions the same",
            "CPU minutes"]  # fmt: skip
    lines = [
        f"| `{r.study}` | {r.settings} | {r.seeds} | {r.within} of {r.cells} | {r.largest:.3f} | "
        f"{r.same} of {r.verdicts}{' (' + r.differing + ')' if r.differing else ''} | {r.cpu_minutes:.1f} |"
        for r in found.fillna("").itertuples()
    ]
    cells, within = int(found["cells"].sum()), int(found["within"].sum())
    commits = ", ".join(f"`{commit}`" for commit in dict.fromkeys(found["commit"]))
    said = (
        f"Together {within:,} of {cells:,} cells lie within tolerance; {cells - within} lie outside, where chance "
        f"alone would put up to {OUTSIDE:.0%}, {OUTSIDE * cells:.0f}. {int(found['same'].sum())} of "
        f"{int(found['verdicts'].sum())} directions are the same. No tolerance is below {LEAST}. Code: {commits}."
    )
    rule = ["---", "---", "--:", "--:", "--:", "---", "--:"]
    return "\n".join([BEGIN, "", *(f"| {' | '.join(row)} |" for row in (head, rule)), *lines, "", said, "", END])


def main(runs: Path) -> None:
    """Take in the reruns below ``runs`` and renew csv and page."""
    kept, page = DOCS / "reruns.csv", DOCS / "rerun.md"
    found = pd.DataFrame([line(path.parent) for path in sorted(runs.glob("*/*/*/rerun_verdicts.json"))])
    earlier = [pd.read_csv(kept, dtype={"seeds": str})] if kept.exists() else []
    found = pd.concat([*earlier, found]).drop_duplicates(["study", "settings", "seeds"], keep="last")
    found = found.sort_values(["study", "settings"])
    found.to_csv(kept, index=False)
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + table(found) + rest.partition(END)[2])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
