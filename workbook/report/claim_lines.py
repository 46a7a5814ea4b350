"""The paper's claims beside ours, one line per hypothesis and published run: what the report and notebook 90 show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oryx.evidence.paper import NOT_FOUND, PARTS, Claim, described, load_claims, select, sources
from oryx.evidence.verdicts import Hypothesis, load_hypotheses
from workbook.report.paper_checks import Checked, check
from workbook.report.published import NOT_TESTED, Published, direction, estimate_text

if TYPE_CHECKING:
    import pandas as pd

MARKS = {"as claimed": "▲", "against the claim": "▼", "unclear": "·"}
"""What one seed alone says: its interval wholly on the claimed side, wholly on the other, or across."""


@dataclass(frozen=True)
class Line:
    """One hypothesis in one published run; ``run`` is None where no run tests it."""

    id: str
    statement: str
    verdict: str
    paper: str
    hypothesis: Hypothesis | None = None
    run: Published | None = None
    told: dict = field(default_factory=dict)

    @property
    def estimate(self) -> str:
        """Ours with its interval (Bonferroni-corrected over the study), or nothing."""
        return estimate_text(self.told) if self.told else ""

    @property
    def seeds(self) -> list[tuple[int, str, str]]:
        """(seed, mark, its estimate) of every seed by itself."""
        found = self.run.by_seed.get(self.id, {}) if self.run else {}
        return [(seed, MARKS.get(direction(v), "–"), estimate_text(v) or v["verdict"]) for seed, v in found.items()]

    @property
    def figure(self) -> str:
        """Name of the picture that shows it best: the forest of verdicts, else the run's first; empty if none."""
        names = [path.stem for path in self.run.figures()] if self.run else []
        return "verdicts" if "verdicts" in names else next(iter(names), "")


@dataclass(frozen=True)
class Beside:
    """One claim of the paper with everything that answers it."""

    claim: Claim
    lines: list[Line]
    checked: Checked | None

    @property
    def status(self) -> str:
        """What answers it, in a word or two."""
        if self.checked:
            return self.checked.verdict
        if said := [line.verdict for line in self.lines if line.verdict != NOT_TESTED]:
            return said[0] if len(set(said)) == 1 else "mixed"
        if self.lines:
            return "no result yet"
        if self.claim.tests:
            return "held by tests"
        return "see the answer" if self.claim.answer else NOT_TESTED

    @property
    def found(self) -> str:
        """What the check found, or why there is nothing; empty where tests or an answer say it."""
        return self.checked.found if self.checked else self.claim.reason

    @property
    def outside(self) -> list[str]:
        """What others published about it, each with its source."""
        rows = [row for wanted in self.claim.outside for row in select(wanted)]
        return [f"{described(row)} ({sources()[row['source']]})" for row in rows]


def claims_beside(runs: Sequence[Published]) -> list[Beside]:
    """Every claim of the paper, in order; hypotheses that belong to none follow under their study."""
    known = load_hypotheses()
    found = []
    for claim in load_claims():
        lines = [line for family in claim.hypotheses for line in _lines(family, runs, known)]
        found.append(Beside(claim, lines, check(claim) if claim.check else None))
    claimed = {family for claim in load_claims() for family in claim.hypotheses}
    for family in dict.fromkeys(entry.paper for entry in known if entry.paper not in claimed):
        study = next(entry.study for entry in known if entry.paper == family)
        part = study if study in PARTS else "data"
        own = Claim(family, part, "A hypothesis of ours without a sentence of the paper", "paper", (), (family,))
        found.append(Beside(own, _lines(family, runs, known), None))
    order = list(PARTS)
    return sorted(found, key=lambda beside: order.index(beside.claim.part))


def _lines(family: str, runs: Sequence[Published], known: Sequence[Hypothesis]) -> list[Line]:
    lines, told = [], set()
    for run in runs:
        for verdict in run.verdicts:
            if verdict["paper"] == family and verdict["verdict"] != NOT_TESTED:
                entry = next((e for e in known if e.id == verdict["id"]), None)
                told.add(verdict["id"])
                paper = str(verdict.get("paper_value", NOT_FOUND))
                lines.append(Line(verdict["id"], verdict["statement"], verdict["verdict"], paper, entry, run, verdict))
    order = {entry.id: place for place, entry in enumerate(known)}
    for entry in known:
        if entry.paper == family and entry.id not in told:
            lines.append(Line(entry.id, entry.statement, NOT_TESTED, str(entry.paper_value), entry))
    return sorted(lines, key=lambda line: order.get(line.id, len(order)))


def claims_frame(besides: Sequence[Beside]) -> "pd.DataFrame":
    """One line per hypothesis and run, and one per claim that no hypothesis answers; all text."""
    import pandas as pd

    lines = []
    for beside in besides:
        claim = beside.claim
        for line in beside.lines:
            lines.append(
                {
                    "claim": claim.id,
                    "verdict": line.verdict,
                    "hypothesis": f"{line.id}: {line.statement}",
                    "paper": line.paper,
                    "ours": line.estimate,
                    "items": line.told.get("n_items", ""),
                    "seeds": line.told.get("seeds", ""),
                    "by seed": " ".join(mark for _, mark, _ in line.seeds),
                    "run": line.run.variant if line.run else "",
                }
            )
        if not beside.lines:
            found = beside.found or ", ".join(claim.tests) or f"see the question {claim.answer}"
            told = {"claim": claim.id, "verdict": beside.status, "hypothesis": claim.statement}
            empty = dict.fromkeys(("items", "seeds", "by seed", "run"), "")
            lines.append(told | {"paper": claim.paper_value, "ours": found} | empty)
    return pd.DataFrame(lines)


def counts(besides: Sequence[Beside]) -> dict[str, dict[str, int]]:
    """Heading of a part -> verdict -> how many hypotheses (default runs) or claims say so."""
    found: dict[str, dict[str, int]] = {}
    for beside in besides:
        own = found.setdefault(PARTS[beside.claim.part], {})
        said = {}
        for line in beside.lines:  # the default run comes first; other settings do not count twice
            said.setdefault(line.id, line.verdict)
        for verdict in said.values() if beside.lines else [beside.status]:
            own[verdict] = own.get(verdict, 0) + 1
    return found
