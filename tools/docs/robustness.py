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
        if fault["decoder"] == "auto":
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


PARTS = {"decoders": ("Truth table of decoders", decoders)}


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
