"""The paper's claims beside ours: which hypotheses, tests and checks answer each of them, run by run."""

from collections.abc import Sequence
from dataclasses import dataclass

from oryx.evidence.paper import NOT_FOUND, PARTS, Claim, described, load_claims, select, sources
from oryx.evidence.verdicts import Hypothesis
from workbook.report.checks import Checked, check
from workbook.report.published import NOT_TESTED, Published, all_hypotheses, direction, estimate_text

MARKS = {"as claimed": "▲", "against the claim": "▼", "unclear": "·"}
"""What one seed alone says: its interval wholly on the claimed side, wholly on the other, or across."""


@dataclass(frozen=True)
class Answer:
    """One hypothesis in one published run. ``run`` and ``judged`` (its verdict) are None where no run tests it."""

    hypothesis: Hypothesis
    run: Published | None = None
    judged: dict | None = None

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return self.judged["verdict"] if self.judged else NOT_TESTED

    @property
    def cells(self) -> dict[str, object]:
        """The line of a table; the estimate has its interval, corrected for the hypotheses of the study."""
        judged = self.judged or {}
        seeds = self.run.by_seed.get(self.hypothesis.id, {}) if self.run else {}
        return {
            "verdict": self.verdict,
            "hypothesis": f"{self.hypothesis.id}: {self.hypothesis.statement}",
            "paper": judged.get("paper_value", self.hypothesis.paper_value) or NOT_FOUND,
            "ours": (estimate_text(judged) or judged["reason"]) if judged else "no published run tests it",
            "items": judged.get("n_items", ""),
            "clusters": judged.get("n_clusters", ""),
            "seeds": judged.get("seeds", ""),
            "by seed": " ".join(MARKS.get(direction(verdict), "–") for verdict in seeds.values()),
            "run": f"[{self.run.variant}](#{self.run.place})" if self.run else "",
        }


@dataclass(frozen=True)
class Answered:
    """One claim of the paper with everything that answers it."""

    claim: Claim
    answers: list[Answer]
    checked: Checked | None

    @property
    def status(self) -> str:
        """What answers it, in a word or two."""
        if self.checked:
            return self.checked.verdict
        if verdicts := {one.verdict for one in self.answers} - {NOT_TESTED}:
            return verdicts.pop() if len(verdicts) == 1 else "mixed"
        if self.answers:
            return "no result yet"
        if self.claim.tests:
            return "held by tests"
        return "see the answer" if self.claim.answer else NOT_TESTED

    @property
    def outside(self) -> list[str]:
        """What others published about it, each with its source."""
        rows = [row for wanted in self.claim.outside for row in select(wanted)]
        return [f"{described(row)} ({sources()[row['source']]})" for row in rows]


def answered_claims(runs: Sequence[Published]) -> list[Answered]:
    """Every claim of the paper, in order; hypotheses that belong to none follow under their study."""
    known, claims = all_hypotheses(), list(load_claims())
    claimed = {family for claim in claims for family in claim.hypotheses}
    for family, study in {entry.paper: entry.study for entry in known if entry.paper not in claimed}.items():
        part = study if study in PARTS else "data"
        claims.append(
            Claim(
                id=family,
                part=part,
                statement="A hypothesis of ours without a sentence of the paper",
                source="paper",
                hypotheses=(family,),
            )
        )
    claims.sort(key=lambda claim: list(PARTS).index(claim.part))
    return [
        Answered(
            claim,
            [one for entry in known if entry.paper in claim.hypotheses for one in _answers(entry, runs)],
            check(claim) if claim.check else None,
        )
        for claim in claims
    ]


def _answers(hypothesis: Hypothesis, runs: Sequence[Published]) -> list[Answer]:
    judged = [(run, verdict) for run in runs if (verdict := run.verdict(hypothesis.id))]
    tested = [Answer(hypothesis, run, verdict) for run, verdict in judged if verdict["verdict"] != NOT_TESTED]
    return tested or [Answer(hypothesis)]


def counts(claims: Sequence[Answered]) -> list[dict]:
    """For each part of the paper, how many hypotheses (of the default runs) or claims have which verdict."""
    found: dict[str, dict] = {}
    for one in claims:
        part = found.setdefault(one.claim.part, {"part": PARTS[one.claim.part]})
        verdicts = {}
        for answer in one.answers:  # the default run comes first; other settings do not count twice
            verdicts.setdefault(answer.hypothesis.id, answer.verdict)
        for verdict in verdicts.values() if one.answers else [one.status]:
            part[verdict] = part.get(verdict, 0) + 1
    return list(found.values())
