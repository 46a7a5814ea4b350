"""``python -m tools.docs.reruns RUNS``: the table of docs/rerun.md, of the reruns below ``RUNS`` (results/runs).

A line for each rerun is kept in docs/reruns.csv; those of the folder replace earlier lines of the same run.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from oryx.evidence.stats import LEAST_SEEDS
from oryx.evidence.verdicts import AGAINST, CLAIMED, DIRECTIONS
from workbook.runs.compare import LEAST, OUTSIDE

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- reruns: python -m tools.docs.reruns -->", "<!-- end of the reruns -->"
SIDES = {DIRECTIONS[CLAIMED], DIRECTIONS[AGAINST]}


def line(folder: Path) -> dict:
    """What one rerun came to; ``folder`` holds ``rerun.csv``, ``rerun_verdicts.json`` and its seeds' manifests."""
    cells = pd.read_csv(folder / "rerun.csv")
    old, new = json.loads((folder / "rerun_verdicts.json").read_text()).values()
    manifests = [json.loads(path.read_text()) for path in sorted(folder.glob("seed-*/manifest.json"))]
    assert len(manifests) < LEAST_SEEDS, f"{folder}: the table's verdicts are directions, of fewer than {LEAST_SEEDS}"
    judged = [name for name in old if old[name]["estimate"] is not None and new[name]["estimate"] is not None]
    differing = [name for name in judged if old[name]["verdict"] != new[name]["verdict"]]
    parameters = manifests[0]["reproduce"].partition(" -p ")[2].replace("'", "").replace('"', "").replace(" -p ", ", ")
    return {
        "study": manifests[0]["study"],
        "settings": parameters or "default",
        "seeds": " ".join(str(manifest["seed"]) for manifest in manifests),
        "commit": manifests[0]["commit"][:8],
        "cpu_minutes": round(sum(arm["cpu_seconds"] for m in manifests for arm in m["arms"].values()) / 60, 1),
        "cells": len(cells),
        "within": int(cells["same"].sum()),
        "largest": round(float(cells["difference"].abs().max()), 3),
        "verdicts": len(judged),
        "same_sign": sum(old[name]["estimate"] * new[name]["estimate"] >= 0 for name in judged),
        "same": len(judged) - len(differing),
        "changed_sides": sum({_direction(old[name]), _direction(new[name])} == SIDES for name in judged),
        "differing": "; ".join(
            f"{name} {old[name]['estimate']:+.3f} -> {new[name]['estimate']:+.3f} "
            f"({_direction(old[name])} -> {_direction(new[name])})"
            for name in differing
        ),
    }


def _direction(verdict: dict) -> str:
    return verdict["verdict"].rpartition(": ")[2]


def table(found: pd.DataFrame) -> str:
    """The lines as a markdown table, with what chance alone would do below it."""
    head = "study, settings, seeds, CPU minutes, cells within tolerance, largest difference, same sign, same verdict"
    lines = [head.split(", "), ["---"] * len(head.split(", "))]
    for r in found.fillna("").itertuples():
        verdicts = f"{r.same} of {r.verdicts}" + (f": {r.differing}" if r.differing else "")
        counts = [f"{r.within} of {r.cells}", f"{r.largest:.3f}", f"{r.same_sign} of {r.verdicts}", verdicts]
        lines.append([f"`{r.study}`", r.settings, str(r.seeds), f"{r.cpu_minutes:.0f}", *counts])
    total = found[["cells", "within", "verdicts", "same_sign", "same", "changed_sides"]].sum().astype(int)
    code = ", ".join(f"`{one}`" for one in found["commit"].unique())
    summary = (
        f"Together {total['within']:,} of {total['cells']:,} cells lie within tolerance (at least {LEAST}); "
        f"{total['cells'] - total['within']} lie outside, where chance alone would put up to {OUTSIDE:.0%}, "
        f"{OUTSIDE * total['cells']:.0f}. Of {total['verdicts']} verdicts {total['same_sign']} keep the sign of "
        f"their estimate and {total['same']} their words; {total['changed_sides']} go from one side to the other. "
        f"Code: {code}."
    )
    return "\n".join([BEGIN, "", *(f"| {' | '.join(line)} |" for line in lines), "", summary, "", END])


def main(runs: Path) -> None:
    """Take in the reruns below ``runs`` and renew csv and page."""
    kept, page = DOCS / "reruns.csv", DOCS / "rerun.md"
    found = pd.DataFrame([line(path.parent) for path in sorted(runs.glob("*/*/*/rerun_verdicts.json"))])
    earlier = [pd.read_csv(kept, dtype={"seeds": str})] if kept.exists() else []
    found = pd.concat([*earlier, found]).drop_duplicates(["study", "settings", "seeds"], keep="last")
    found = found.sort_values(["study", "settings"]).convert_dtypes()
    found.to_csv(kept, index=False)
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + table(found) + rest.partition(END)[2])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
