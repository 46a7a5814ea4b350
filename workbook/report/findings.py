"""Written interpretations of results, tied to the verdicts they were written for (``findings.toml``).

An interpretation whose verdicts have changed is not shown: the page then says what the verdicts are now.
"""

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from oryx.errors import SettingsError
from oryx.evidence.paper import load_claims
from workbook.report.checks import check
from workbook.report.published import Published, direction
from workbook.report.tables import estimate_text

FILE = Path(__file__).with_name("findings.toml")


class Ground(NamedTuple):
    """A verdict that a finding rests on: the one it was written for, and the one that is published now."""

    name: str
    wanted: str
    verdict: str
    number: str
    seeds: str = ""


class Finding(NamedTuple):
    """One finding: its interpretation with the numbers filled in, what it rests on, and what of that has changed."""

    title: str
    text: str
    grounds: list[Ground]
    changed: list[Ground]


def findings(runs: Sequence[Published], path: Path = FILE) -> list[Finding]:
    """Every finding that rests on something published, in the order of the file.

    Raises SettingsError for an entry that is not as ``findings.toml`` says.
    """
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["finding"]:
        if set(entry) != {"title", "rests_on", "text"}:
            raise SettingsError(f"{path.name}: expected title, rests_on and text, got {', '.join(entry)}")
        grounds = [_ground(text, runs) for text in entry["rests_on"]]
        if None not in grounds:
            seeds = {f"s{i}": ground.seeds for i, ground in enumerate(grounds)}
            text = entry["text"].format(*(ground.number for ground in grounds), **seeds)
            changed = [ground for ground in grounds if ground.verdict != ground.wanted]
            found.append(Finding(entry["title"], text, grounds, changed))
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
    for run in runs:
        for found in run.verdicts if run.place == place else ():
            if found["id"] == identifier:
                number = estimate_text(found) or "no estimate"
                seeds = _by_seed(run.by_seed.get(identifier, {}))
                return Ground(f"{identifier} in {place}", wanted, found["verdict"], number, seeds)
    return None


def _by_seed(verdicts: dict[int, dict]) -> str:
    """``as claimed in 3 of 3 seeds``: what seeds say alone, the most frequent first."""
    words = Counter(sorted(map(direction, verdicts.values()))).most_common()
    return ", ".join(f"{word} in {n} of {len(verdicts)} seeds" for word, n in words) or "seeds unknown"
