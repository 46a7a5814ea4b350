"""Written interpretations of results, tied to the verdicts they were written for (``findings.toml``).

An interpretation whose verdicts have changed is not shown: the page then says what the verdicts are now.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oryx.errors import SettingsError
from oryx.evidence.paper import load_claims
from workbook.report.paper_checks import check
from workbook.report.published import Published, direction, estimate_text

FILE = Path(__file__).with_name("findings.toml")


@dataclass(frozen=True)
class Finding:
    """One finding: its interpretation with the numbers filled in, and the verdicts that it rests on."""

    title: str
    text: str
    evidence: str
    holds: bool


@dataclass(frozen=True)
class _Ground:
    name: str
    wanted: str
    verdict: str | None
    number: str
    seeds: str = ""


def findings(runs: Sequence[Published], path: Path = FILE) -> list[Finding]:
    """Every finding that rests on something published, in the order of the file.

    Raises SettingsError for an entry that is not as ``findings.toml`` says.
    """
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["finding"]:
        if set(entry) != {"title", "rests_on", "text"}:
            raise SettingsError(f"{path.name}: expected title, rests_on and text, got {', '.join(entry)}")
        grounds = [_ground(text, runs) for text in entry["rests_on"]]
        if any(ground.verdict is None for ground in grounds):
            continue
        evidence = "Rests on " + "; ".join(f"{g.name}: {g.verdict}" for g in grounds) + "."
        changed = [g for g in grounds if g.verdict != g.wanted]
        if changed:
            text = "; ".join(f"{g.name} is now {g.verdict} ({g.number}), no longer {g.wanted}" for g in changed)
            text = f"The interpretation that was written here no longer holds: {text}."
        else:
            seeds = {f"s{i}": ground.seeds for i, ground in enumerate(grounds)}
            text = entry["text"].format(*(ground.number for ground in grounds), **seeds)
        found.append(Finding(entry["title"], text, evidence, not changed))
    return found


def _ground(text: str, runs: Sequence[Published]) -> _Ground:
    name, equals, wanted = (part.strip() for part in text.rpartition("="))  # a variant may hold the sign itself
    place, colon, identifier = name.rpartition(":")
    if not (equals and colon and wanted):
        raise SettingsError(f"findings: expected 'STUDY/VARIANT:HYPOTHESIS = verdict', got {text!r}")
    if place == "claim":
        claim = next((c for c in load_claims() if c.id == identifier), None)
        if claim is None or not claim.check:
            raise SettingsError(f"findings: no claim {identifier!r} with a check")
        checked = check(claim)
        return _Ground(f"claim {identifier}", wanted, checked.verdict, checked.found)
    run = next((run for run in runs if run.place == place), None)
    verdict = run.verdict(identifier) if run else None
    if verdict is None:
        return _Ground(name, wanted, None, "")
    number = estimate_text(verdict) or "no estimate"
    return _Ground(f"{identifier} in {place}", wanted, verdict["verdict"], number, _by_seed(run, identifier))


def _by_seed(run: Published, name: str) -> str:
    """``as claimed in 3 of 3 seeds``: what seeds say alone, the most frequent first."""
    said = [direction(verdict) for verdict in run.by_seed.get(name, {}).values()]
    words = sorted(set(said), key=lambda word: (-said.count(word), word))
    return ", ".join(f"{word} in {said.count(word)} of {len(said)} seeds" for word in words) or "seeds unknown"
