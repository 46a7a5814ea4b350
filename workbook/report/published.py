"""What is published under ``results/``: every run with its verdicts, also seed by seed, and where runs disagree.

Read from the folders alone (no torch, no study code): ``verdicts.json``, ``manifest.json`` and the rows.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

import workbook
from oryx.errors import RunError
from oryx.evidence.hypotheses import Hypothesis, load_hypotheses
from oryx.evidence.rows import read_published
from oryx.evidence.schema import PUBLISHED as ROWS
from oryx.evidence.verdicts import AGAINST, ALIKE, CLAIMED
from workbook.report.names import with_names
from workbook.report.tables import estimate_text
from workbook.runs.settings import REPOSITORY

HYPOTHESES = sorted(
    path
    for path in Path(workbook.__path__[0], "studies").glob("*/*.toml")
    if "[[hypothesis]]" in path.read_text("utf-8")
)
NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Published:
    """One published run: ``results/<study>/<variant>/``; ``variant`` is the scale, and what differs from its preset."""

    folder: Path
    study: str
    variant: str
    verdicts: list[dict]
    manifest: dict

    @property
    def scale(self) -> str:
        """The scale alone."""
        return self.variant.partition(",")[0]

    @property
    def place(self) -> str:
        """``study/variant``, the folder below ``results``."""
        return f"{self.study}/{self.variant}"

    def rows(self, *names: str) -> pd.DataFrame:
        """Every row, or these fields of it as far as rows have them. Raises RunError if they are unreadable."""
        return read_published(self.folder / ROWS, names or None)

    @property
    def by_seed(self) -> dict[str, dict[str, dict]]:
        """Hypothesis -> seed -> its verdict on the rows of that seed alone; early runs did not keep these."""
        return {v["id"]: {seed: v | own for seed, own in v.get("by_seed", {}).items()} for v in self.verdicts}

    @property
    def seen(self) -> dict[str, str]:
        """Figure -> what is seen in it; early runs did not keep it."""
        path = self.folder / "figures" / "seen.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @property
    def command(self) -> str:
        """What makes this run again, with all its seeds."""
        seeds = self.manifest["seeds"]
        return re.sub(r"(--seeds) \S+", rf"\1 {','.join(seeds)}", next(iter(seeds.values()))["reproduce"])

    @property
    def told(self) -> str:
        """How many of its hypotheses came out how, the most frequent first: ``5 supported, 4 inconclusive``."""
        verdicts = Counter(v["verdict"] for v in self.verdicts)
        return ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common() if verdict != NOT_TESTED)

    def verdict(self, name: str) -> dict | None:
        """The verdict on a hypothesis, None if this run does not test it."""
        return next((v for v in self.verdicts if v["id"] == name and v["verdict"] != NOT_TESTED), None)


def published(results: str | Path) -> list[Published]:
    """Every published run below ``results``, studies by name, the default run of a study first; where a relative folder
    has none, those of the repository.

    Raises RunError naming a folder whose verdicts or manifest cannot be read.
    """
    found, places = [], (sorted(Path(root, results).glob("*/*/verdicts.json")) for root in (".", REPOSITORY))
    for path in next(filter(None, places), ()):
        folder = path.parent
        if folder.parent.name == "runs" or folder.name.startswith("."):
            continue
        try:
            verdicts, manifest = (json.loads((folder / f"{n}.json").read_text()) for n in ("verdicts", "manifest"))
        except (OSError, ValueError) as error:
            raise RunError(f"{folder}: not a whole published run ({error})") from error
        found.append(Published(folder, *folder.parts[-2:], verdicts, manifest))
    return found


@cache
def all_hypotheses() -> tuple[Hypothesis, ...]:
    """What the workbook's studies state, study by study."""
    return tuple(entry for path in HYPOTHESES for entry in load_hypotheses(path))


def direction(verdict: dict) -> str:
    """What one seed alone says: ``as claimed``, ``against the claim``, ``unclear``, or why it says nothing."""
    return verdict["verdict"].rpartition(": ")[2]


def disagreements(runs: Sequence[Published]) -> list[dict[str, str]]:
    """Where verdicts differ between runs of one study and scale, and where estimates of seeds change sides.

    Runs that do not test a hypothesis do not count. Among seeds the side of the point estimate is compared, if the
    seeds lie further apart than the margin: below it a change of sign does not matter.
    """
    found, known = [], {entry.id: entry for entry in all_hypotheses()}
    for run in runs:
        for name, seeds in run.by_seed.items():
            values = [v["estimate"] for v in seeds.values() if v["estimate"] is not None]
            sides = {_as_claimed(value, known[name]) for value in values if name in known}
            if len(sides) > 1 and max(values) - min(values) > known[name].margin:
                texts = [f"seed {seed}: {estimate_text(v) or v['verdict']}" for seed, v in seeds.items()]
                found.append((next(iter(seeds.values())), f"seeds of {run.place}", texts))
    by_hypothesis: dict[tuple, dict[str, dict]] = {}
    for run in runs:
        for v in run.verdicts:
            if v["verdict"] != NOT_TESTED:
                by_hypothesis.setdefault((run.study, run.scale, v["id"]), {})[run.variant] = v
    for (study, *_), judged in by_hypothesis.items():
        if len({v["verdict"] for v in judged.values()}) > 1:
            texts = [f"{who}: {v['verdict']} {estimate_text(v)}" for who, v in judged.items()]
            found.append((next(iter(judged.values())), f"runs of {study}", texts))
    return [
        {"hypothesis": f"{v['id']}: {v['statement']}", "between": between, "what they say": "; ".join(texts)}
        for v, between, texts in found
    ]


def changes(runs: Sequence[Published]) -> list[dict[str, str]]:
    """Every verdict of a published run that is another now than when its rows were first judged, with the reason."""
    found = []
    for run in runs:
        first = next(iter(run.manifest.get("earlier_verdicts", [])), {"verdicts": {}})["verdicts"]
        for v in run.verdicts:
            if (before := first.get(v["id"], v["verdict"])) != v["verdict"]:
                line = {"hypothesis": f"{v['id']}: {v['statement']}", "run": run.place, "before": before}
                line |= {"now": v["verdict"], "estimate": estimate_text(v), "reason": _why(v)}
                found.append(line)
    return found


def _why(verdict: dict) -> str:
    if verdict["verdict"] == ALIKE:
        return f"the interval lies within the margin of {verdict['margin']:g}, and every arm learned every task"
    if verdict["verdict"] in (CLAIMED, AGAINST):
        shared = f"alpha is shared with the other {verdict['family']}s alone"
        return f"{shared}; what varies with seed and item together counts once"
    return with_names(verdict["reason"])


def _as_claimed(value: float, entry: Hypothesis) -> bool:
    """Whether a point estimate alone, whatever its interval, lies on the claimed side."""
    if entry.kind == "equivalence":
        return abs(value) < entry.margin
    return value > {"level": entry.level, "retention": -entry.margin}.get(entry.kind, 0.0)
