"""Written interpretations of results, tied to the verdicts they were written for (``findings.toml``).

An interpretation whose verdicts have changed is not shown: the page then says what the verdicts are now.
"""

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oryx.errors import SettingsError
from oryx.evidence.paper import load_claims
from workbook.report.checks import check
from workbook.report.published import Published, direction, estimate_text

FILE = Path(__file__).with_name("findings.toml")


@dataclass(frozen=True)
class Ground:
    """A verdict that a finding rests on: the one it was written for, and the one that is published now."""

    name: str
    wanted: str
    verdict: str | None
    number: str = ""
    seeds: str = ""


@dataclass(frozen=True)
class Finding:
    """One finding: its interpretation with the numbers filled in (empty if it no longer holds), and its grounds."""

    title: str
    text: str
    grounds: tuple[Ground, ...]

    @property
    def changed(self) -> list[Ground]:
        """The grounds whose verdict is no longer the one that the interpretation was written for."""
        return [ground for ground in self.grounds if ground.verdict != ground.wanted]


def findings(runs: Sequence[Published], path: Path = FILE) -> list[Finding]:
    """Every finding that rests on something published, in the order of the file.

    Raises SettingsError for an entry that is not as ``findings.toml`` says.
    """
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["finding"]:
        if set(entry) != {"title", "rests_on", "text"}:
            raise SettingsError(f"{path.name}: expected title, rests_on and text, got {', '.join(entry)}")
        grounds = tuple(_ground(text, runs) for text in entry["rests_on"])
        if any(ground.verdict is None for ground in grounds):
            continue
        seeds = {f"s{i}": ground.seeds for i, ground in enumerate(grounds)}
        finding = Finding(entry["title"], entry["text"].format(*(g.number for g in grounds), **seeds), grounds)
        found.append(Finding(finding.title, "", grounds) if finding.changed else finding)
    return found


def _ground(text: str, runs: Sequence[Published]) -> Ground:
    name, equals, wanted = (part.strip() for part in text.rpartition("="))  # a variant may hold the sign itself
    place, colon, identifier = name.rpartition(":")
    if not (equals and colon and wanted):
        raise SettingsError(f"findings: expected 'STUDY/VARIANT:HYPOTHESIS = verdict', got {text!r}")
    if place == "claim":
        claim = next((c for c in load_claims() if c.id == identifier), None)
        if claim is None or not claim.check:
            raise SettingsError(f"findings: no claim {identifier!r} with a check")
        checked = check(claim)
        return Ground(f"claim {identifier}", wanted, checked.verdict, checked.found)
    run = next((run for run in runs if run.place == place), None)
    verdict = run.verdict(identifier) if run else None
    if verdict is None:
        return Ground(name, wanted, None)
    number = estimate_text(verdict) or "no estimate"
    return Ground(f"{identifier} in {place}", wanted, verdict["verdict"], number, _by_seed(run, identifier))


def _by_seed(run: Published, name: str) -> str:
    """``as claimed in 3 of 3 seeds``: what seeds say alone, the most frequent first."""
    seeds = Counter(direction(verdict) for verdict in run.by_seed.get(name, {}).values())
    ordered = sorted(seeds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{word} in {n} of {seeds.total()} seeds" for word, n in ordered) or "seeds unknown"
