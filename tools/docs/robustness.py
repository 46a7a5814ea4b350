"""The tables of docs/robustness.md, from the counts that ``python -m tools.abuse`` left in results/abuse."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from workbook.report.tables import as_table

BEGIN, END = "<!-- robustness: python -m tools.docs -->", "<!-- end of robustness -->"
RESULTS = Path(__file__).parents[2] / "results" / "abuse"


def decoders(found: dict[str, Any]) -> str:
    """Kind by decoder: how many files are right, refused, wrong."""
    rows = []
    for kind, files in found["kinds"].items():
        row = {"kind": kind, "files": str(files)}
        rows.append(row | {name: _counts(kinds[kind]) for name, kinds in found["counts"].items()})
    total = {"kind": "**all**", "files": f"**{found['files']}**"}
    for name, kinds in found["counts"].items():
        sums: dict[str, int] = {}
        for counts in kinds.values():
            for outcome, number in counts.items():
                sums[outcome] = sums.get(outcome, 0) + number
        total[name] = f"**{_counts(sums)}**"
    times = {"kind": "ms for all frames, for four", "files": ""}
    times |= {name: f"{ms['dense']:g}, {ms['sparse']:g}" for name, ms in found["milliseconds"].items()}
    text = as_table(pd.DataFrame([*rows, total, times]).fillna(""))
    for fault in found["faults"]:
        if fault["decoder"] == "pyav":
            text += f"\n- {fault['outcome']}: {fault['file']} ({fault['kind']}): {fault['why']}"
    for name, what in (("not_written", "Not written here"), ("not_installed", "Not installed here")):
        if found[name]:
            text += f"\n\n{what}: {'; '.join(found[name])}."
    return text


def _counts(counts: dict[str, int]) -> str:
    """Right / refused / wrong, and what is worse if there is any."""
    text = " / ".join(str(counts.get(name, 0)) for name in ("right", "refused", "wrong"))
    worse = [f"{counts[name]} {name}" for name in ("hung", "died", "traceback") if counts.get(name)]
    return ", ".join([text, *worse])


def fuzz(found: dict[str, Any]) -> str:
    """Kind of input by outcome, and what the faults are."""
    outcomes = ("accepted", "unchecked", "refused", "traceback", "wrong", "hung", "died")
    rows = [
        {"kind": kind, "inputs": f"{sum(counts.values()):,}"} | {name: f"{counts.get(name, 0):,}" for name in outcomes}
        for kind, counts in found["counts"].items()
    ]
    sums = {name: sum(counts.get(name, 0) for counts in found["counts"].values()) for name in outcomes}
    total = {"kind": "**all**", "inputs": f"**{found['inputs']:,}**"}
    rows.append(total | {name: f"**{count:,}**" for name, count in sums.items()})
    text = as_table(pd.DataFrame(rows))
    for kind in found["counts"]:
        faults = [fault for fault in found["faults"] if fault["kind"] == kind]
        for fault in faults[:MOST_NAMED]:
            text += f"\n- {kind}, {fault['times']} times {fault['outcome']}" + f": `{_plain(fault['why'])}`" * bool(
                fault["why"]
            )
        if len(faults) > MOST_NAMED:
            text += f"\n- {kind}: {len(faults) - MOST_NAMED} more, in results/abuse/fuzz.json"
    return text


def crashes(found: dict[str, Any]) -> str:
    """Kind of disturbance by study: how many points went on to the undisturbed run's rows, of how many."""
    rows = []
    for kind in next(iter(found["counts"].values())):
        row = {"disturbance": kind}
        for study, kinds in found["counts"].items():
            counts = {outcome: count for outcome, count in kinds[kind].items() if outcome != "too late"}
            fine = counts.get("resumed", 0) + counts.get("unharmed", 0)
            row[study] = f"{fine} / {sum(counts.values())}" if counts else ""
        rows.append(row)
    sums: dict[str, int] = {}
    for kinds in found["counts"].values():
        for counts in kinds.values():
            for outcome, count in counts.items():
                sums[outcome] = sums.get(outcome, 0) + count
    text = as_table(pd.DataFrame(rows))
    text += f"\n\n{found['points']} points: {', '.join(f'{count} {outcome}' for outcome, count in sums.items())}."
    for fault in found["faults"]:
        text += f"\n- {fault['outcome']}: {fault['study']}, {fault['kind']} (point {fault['number']})"
        text += f": `{_plain(fault['why'])}`" * bool(fault["why"])
    if found["not_here"]:
        text += f"\n\nNot tried here: {', '.join(found['not_here'])}."
    return text


def load(found: dict[str, Any]) -> str:
    """A line a load."""
    return as_table(pd.DataFrame([line | {"wrong": line["wrong"] or "nothing"} for line in found["lines"]]))


def _plain(text: str) -> str:
    """What a fault said, in one line that ends no code and no cell."""
    return " ".join(text.replace("`", "'").replace("|", "/").split())


PARTS = {
    "decoders": ("Truth table of decoders", decoders),
    "fuzz": ("Fuzzing", fuzz),
    "crashes": ("Crash matrix", crashes),
    "load": ("Load", load),
}
MOST_NAMED = 5
"""Faults of a kind that the page names."""


def blocks() -> str:
    """A table a part, with where it comes from."""
    text = [BEGIN]
    for name, (title, table) in PARTS.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        source = found["source"]
        text += [f"### {title}", table(found), _source(source)]
    return "\n\n".join([*text, END])


def _source(source: dict[str, Any]) -> str:
    commit = (source["commit"] or "no commit")[:10] + (" with changes" if source["dirty"] else "")
    used = ", ".join(
        f"{name} {source['packages'][name]}"
        for name in ("av", "decord", "torchcodec", "pillow")
        if name in source["packages"]
    )
    return (
        f"`{source['command']}`: {source['seconds']} s on {source['cores']} cores ({source['machine']}), "
        f"{source['start'][:10]}, {commit}, Python {source['python']}, {used}."
    )
