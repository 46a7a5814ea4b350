"""The blocks of docs/findings.md: interpretations, and every negative verdict, from what is published."""

from collections.abc import Sequence

import pandas as pd

from oryx.evidence.paper import load_claims
from workbook.report.findings import findings
from workbook.report.paper_checks import CONSISTENT, check
from workbook.report.published import NOT_TESTED, Published, disagreements, estimate_text
from workbook.report.tables import to_markdown

NONE = "*None.*"


def written(runs: Sequence[Published]) -> str:
    """Every interpretation with its numbers and what it rests on."""
    parts = [f"### {one.title}\n\n{one.text}\n\n*{one.evidence}*" for one in findings(runs)]
    return "\n\n".join(parts) or "*Nothing that an interpretation rests on is published yet.*"


def with_verdict(runs: Sequence[Published], verdict: str) -> str:
    """Every hypothesis of every run with this verdict."""
    lines = [
        {
            "hypothesis": f"{v['id']}: {v['statement']}",
            "estimate": estimate_text(v),
            "items": v["n_items"],
            "seeds": v["seeds"],
            "run": run.place,
        }
        for run in runs
        for v in run.verdicts
        if v["verdict"] == verdict
    ]
    return to_markdown(pd.DataFrame(lines)) if lines else NONE


def apart(runs: Sequence[Published]) -> str:
    """Where seeds of one run, or runs of other weights and settings, do not say the same."""
    lines = [
        {"hypothesis": f"{one.id}: {one.statement}", "between": one.between, "what they say": one.text}
        for one in disagreements(runs)
    ]
    tested = sum(v["verdict"] != NOT_TESTED for run in runs for v in run.verdicts)
    return (to_markdown(pd.DataFrame(lines)) if lines else NONE) + f"\n\n{tested} verdicts were compared."


def own_tables(runs: Sequence[Published]) -> str:
    """Statements of the paper that its own numbers, or arithmetic on the released code, do not bear out in full."""
    lines = [
        {"statement": claim.statement, "paper": claim.paper_value, "verdict": checked.verdict, "found": checked.found}
        for claim in load_claims()
        if claim.check and (checked := check(claim)).verdict != CONSISTENT
    ]
    return to_markdown(pd.DataFrame(lines)) if lines else NONE


WHOLE = {
    "findings": written,
    "contradicted": lambda runs: with_verdict(runs, "contradicted"),
    "not_learned": lambda runs: with_verdict(runs, "not learned"),
    "inconclusive": lambda runs: with_verdict(runs, "inconclusive"),
    "disagreements": apart,
    "own_tables": own_tables,
}
