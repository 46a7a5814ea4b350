"""The paper's claims beside ours: which hypotheses, tests and checks answer each of them, and what we make of it.

Interpretations (``findings.toml``) are tied to the verdicts they were written for. One whose verdicts have changed is
not shown: the page then says what the verdicts are now.
"""

import tomllib
from collections import Counter, namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from oryx.errors import SettingsError
from oryx.evidence.hypotheses import Hypothesis
from workbook.report.checks import check
from workbook.report.comparisons import compared, comparisons
from workbook.report.names import with_names
from workbook.report.paper import PARTS, Claim, described, load_claims, select, sources
from workbook.report.published import NOT_TESTED, Published, all_hypotheses, direction
from workbook.report.tables import counted, estimate_text

MARKS = {"as claimed": "▲", "against the claim": "▼", "unclear": "·"}
"""What one seed alone says: its interval wholly on the claimed side, wholly on the other, or across."""
FINDINGS = Path(__file__).with_name("findings.toml")


@dataclass(frozen=True)
class Answered:
    """One claim of the paper with everything that answers it.

    ``answers``: a line per hypothesis and run that tests it, the default run first. ``found``: the outcome of its
    check, and the numbers in words.
    """

    claim: Claim
    answers: list[dict]
    found: tuple[str, str] | None

    @property
    def status(self) -> str:
        """What answers it, in a word or two."""
        if self.found:
            return self.found[0]
        if self.answers:
            verdicts = {line["verdict"] for line in self.answers} - {NOT_TESTED} or {"no result yet"}
            return verdicts.pop() if len(verdicts) == 1 else "mixed"
        told = "held by tests" if self.claim.tests else self.claim.answer and "see the answer"
        return told or NOT_TESTED

    @property
    def outside(self) -> list[str]:
        """What others published about it, each with its source."""
        rows = [row for wanted in self.claim.outside for row in select(wanted)]
        return [f"{described(row)} ({sources()[row['source']]})" for row in rows]


def answered_claims(runs: Sequence[Published]) -> list[Answered]:
    """Every claim of the paper, in order; hypotheses that belong to none follow under their study."""
    claims = list(load_claims())
    claimed = {family for claim in claims for family in claim.hypotheses}
    for family, study in {e.paper: e.study for e in all_hypotheses() if e.paper not in claimed}.items():
        words = "A hypothesis of ours without a sentence of the paper"
        part = study if study in PARTS else "data"
        claims.append(Claim(id=family, part=part, statement=words, source="paper", hypotheses=(family,)))
    claims.sort(key=lambda claim: list(PARTS).index(claim.part))
    return [
        Answered(
            claim,
            [line for entry in all_hypotheses() if entry.paper in claim.hypotheses for line in _answers(entry, runs)],
            check(claim) if claim.check else None,
        )
        for claim in claims
    ]


def _answers(entry: Hypothesis, runs: Sequence[Published]) -> list[dict]:
    """A line for every run that tests a hypothesis; the estimate has its interval, corrected for the study's others."""
    lines, name = [], f"{entry.id}: {entry.statement}"
    for run in runs:
        if found := run.verdict(entry.id):
            lines.append(
                {
                    "verdict": found["verdict"],
                    "hypothesis": name,
                    "ours": estimate_text(found) or with_names(found["reason"]),
                    **counted(found),
                    "by seed": " ".join(MARKS.get(direction(v), "–") for v in run.by_seed.get(entry.id, {}).values()),
                    "run": f"[{run.variant}](#{run.place})",
                }
            )
    return lines or [{"verdict": NOT_TESTED, "hypothesis": name, "ours": "no published run tests it"}]


def counts(claims: Sequence[Answered]) -> pd.DataFrame:
    """For each part of the paper, how many hypotheses (of the default runs) or claims have which verdict."""
    lines = []
    for one in claims:
        own = {"hypothesis": one.claim.id, "verdict": one.status}
        lines += [{"part": PARTS[one.claim.part], **answer} for answer in one.answers or [own]]
    # the default run comes first: other settings do not count twice
    each = pd.DataFrame(lines).drop_duplicates(["part", "hypothesis"])
    found = each.pivot_table(index="part", columns="verdict", values="hypothesis", aggfunc="count", sort=False)
    return found.astype("Int64").reset_index()


Ground = namedtuple("Ground", ["name", "wanted", "verdict", "number", "seeds"], defaults=[""])
"""A verdict that a finding rests on: the one it was written for, and the one that is published now."""


def findings(runs: Sequence[Published], path: Path = FINDINGS) -> list[dict]:
    """Every finding that rests on something published, in the order of the file.

    ``title``, ``text`` (the interpretation with the numbers filled in), ``headline`` (one sentence, for a few of them),
    ``grounds`` (what it rests on) and ``changed``: the grounds whose verdict is no longer the one that the
    interpretation was written for.

    Raises SettingsError for an entry that is not as ``findings.toml`` says.
    """
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["finding"]:
        if set(entry) - {"headline"} != {"title", "rests_on", "text"}:
            raise SettingsError(f"{path.name}: expected title, rests_on, text and headline, got {', '.join(entry)}")
        grounds = [_ground(text, runs) for text in entry["rests_on"]]
        if None not in grounds:
            seeds = {f"s{i}": ground.seeds for i, ground in enumerate(grounds)}
            numbers = [ground.number for ground in grounds]
            text, headline = (entry.get(name, "").format(*numbers, **seeds) for name in ("text", "headline"))
            changed = [ground for ground in grounds if ground.verdict != ground.wanted]
            known = {"title": entry["title"], "text": text, "headline": headline}
            found.append(known | {"grounds": grounds, "changed": changed})
    return found


def _ground(text: str, runs: Sequence[Published]) -> Ground | None:
    """What a line of ``rests_on`` names; None if that is not published."""
    name, equals, wanted = (part.strip() for part in text.rpartition("="))  # a variant may hold the sign itself
    place, colon, identifier = name.rpartition(":")
    if not (equals and colon and wanted):
        raise SettingsError(f"findings: expected 'STUDY/VARIANT:HYPOTHESIS = verdict', got {text!r}")
    if place == "claim":
        claim = next((c for c in load_claims() if c.id == identifier and c.check), None)
        if claim is None:
            raise SettingsError(f"findings: no claim {identifier!r} with a check")
        return Ground(f"claim {identifier}", wanted, *check(claim))
    if place == "comparison":
        entry = next((e for e in comparisons() if e.id == identifier), None)
        if entry is None:
            raise SettingsError(f"findings: no comparison {identifier!r}")
        found = compared(entry, runs)
        return found and Ground(f"comparison {identifier}", wanted, found["found"], found["number"])
    for run in runs:
        for found in run.verdicts if run.place == place else ():
            if found["id"] == identifier:
                number = estimate_text(found) or "no estimate"
                seeds = _by_seed(run.by_seed.get(identifier, {}))
                return Ground(f"{identifier} in {place}", wanted, found["verdict"], number, seeds)
    return None


def _by_seed(verdicts: dict[str, dict]) -> str:
    """``as claimed in 3 of 3 seeds``: what seeds say alone, the most frequent first."""
    words = Counter(sorted(map(direction, verdicts.values()))).most_common()
    return ", ".join(f"{word} in {n} of {len(verdicts)} seeds" for word, n in words) or "seeds unknown"
