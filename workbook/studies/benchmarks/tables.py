"""Our scores of benchmarks beside published ones, with everything that tells a result from a failed run. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from oryx.evidence.stats import score_of
from oryx.files import read_json
from workbook.data.benchmarks import BENCHMARKS
from workbook.data.protocols import Protocol
from workbook.report.captions import caption_table
from workbook.report.paper import NOT_FOUND, described, numbers, sources
from workbook.report.tables import interval_text

FULL = {"%": 100, "0-1000": 1000}
"""Unit of a published number -> what full marks are."""
TURN = 1_000_000
"""MMBench asks a question again with its options turned, under an index that is higher by this."""
PUBLISHED, SOURCE, NOT_ASKED = "published", "source", "not asked"


def published(benchmark: str, model: str) -> dict[str, Any] | None:
    """The number published for a model: ``value`` (0 to 1), ``text`` and ``source``; None: not found.

    Of videos the number without subtitles. ``benchmark``: its name in the table of published numbers, which has parts
    as well (``VideoMME-Long``).
    """
    for row in numbers():
        same = row["benchmark"] == benchmark and row["model"] == model and row["study"].startswith("main-")
        if same and row["value"] and row["unit"] in FULL and not row["variant"].startswith("w/ "):
            value = float(row["value"]) / FULL[row["unit"]]
            return {"value": value, "text": described(row, named=False), SOURCE: sources()[row["source"]]}
    return None


def scores(rows: pd.DataFrame, model: str, parts: bool = False) -> pd.DataFrame:
    """One line per protocol and benchmark, or kind of question: score with interval, published number and controls.

    The score is the mean over questions, or over tasks where the published number is (MLVU's M-Avg): both stand there.
    ``inside``: whether our 95 % interval holds the published number.
    """
    found = []
    for (arm, name, *kind), own in rows.groupby(["arm", "benchmark", *(["kind"] if parts else [])], sort=False):
        seen, blind = (own[own["condition"] == condition] for condition in ("visual", "no_visual"))
        over = {"questions": score_of(seen.assign(task=name)), "tasks": score_of(seen)}
        main = over["tasks" if BENCHMARKS[name].get("average") else "questions"]
        known = published("-".join([BENCHMARKS[name]["paper"], *(one.capitalize() for one in kind)]), model)
        line = {"benchmark": BENCHMARKS[name]["paper"], "protocol": arm, "kind": ", ".join(kind), **main}
        line |= {f"over {unit}": interval_text(*list(each.values())[:3], ".3f") for unit, each in over.items()}
        line |= {"chance": seen["chance"].mean(), "blind": blind["score"].mean(), "all turns": _all_turns(name, seen)}
        line |= {PUBLISHED: NOT_FOUND, "level": None, "inside": NOT_FOUND}
        if known:
            line |= {PUBLISHED: known["text"], "level": known["value"], SOURCE: known[SOURCE]}
            inside = {True: "yes", False: "no"}[main["low"] <= known["value"] <= main["high"]]
            line["inside"] = "no interval" if pd.isna(main["low"]) else inside  # too few videos for one
        found.append(line)
    return pd.DataFrame(found)


def results_table(rows: pd.DataFrame, model: str, parts: bool = False) -> pd.DataFrame:
    """:func:`scores` for people to read; ``all turns``: MMBench's circular score, right in every turn of a question."""
    found = scores(rows, model, parts).round(3).rename(columns={"blind": "no visual"})
    averages = ["over questions"] if parts else ["over questions", "over tasks", "all turns"]
    kind = ["kind"] if parts else []
    return found[["benchmark", "protocol", *kind, *averages, PUBLISHED, "inside", "no visual", "chance", "n"]]


def captions_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Caption metrics (:func:`workbook.report.captions.caption_table`) of the benchmarks that are published so."""
    found = [caption_table(rows[:0]).assign(benchmark="")]
    for name, own in rows.groupby("benchmark", sort=False):
        if BENCHMARKS[name].get("captions"):
            found.append(caption_table(own).assign(benchmark=BENCHMARKS[name]["paper"]))
    return pd.concat(found).rename(columns={"arm": "protocol"})


def paper_table(rows: pd.DataFrame, model: str, captions: pd.DataFrame) -> pd.DataFrame:
    """Every number of the paper's main tables for a model, or for all of Oryx if it is none of theirs, beside ours.

    Ours is each protocol's score, over questions or tasks as in :func:`scores`, or a caption metric out of ``captions``
    (:func:`captions_table`); it stands beside the number that it is compared with, and with no other (without
    subtitles, the metric that is counted here).
    """
    metrics: dict[tuple[str, str], list[str]] = {}
    for one in captions.itertuples():
        text = one.how if pd.isna(one.score) else interval_text(one.score, one.low, one.high, ".1f")
        metrics.setdefault((one.benchmark, one.metric), []).append(f"{one.protocol}: {text}")
    own: dict[str, list[str]] = {}
    for one in scores(rows, model).itertuples():
        text = interval_text(one.score, one.low, one.high, ".3f")
        own.setdefault(one.benchmark, []).append(f"{one.protocol}: {text}")
    main = [row for row in numbers() if row["study"].startswith("main-") and row["model"].startswith("Oryx")]
    lines = []
    for row in [row for row in main if row["model"] == model] or main:
        compared, text = published(row["benchmark"], row["model"]), described(row, named=False)
        ours = own.get(row["benchmark"], []) if compared and compared["text"] == text else []
        ours = ours or metrics.get((row["benchmark"], row["metric"]), [])
        about = {name: row[name] for name in ("benchmark", "metric", "variant", "model")}
        about |= {PUBLISHED: text if row["value"] else NOT_FOUND, "ours": "; ".join(ours) or NOT_ASKED}
        lines.append(about | {SOURCE: sources()[row["source"]]})
    return pd.DataFrame(lines)


def conditions_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What was really asked: questions, clusters, frames, tokens, pixels, decoder; and answers that are none."""
    lines, seen = [], rows[rows["condition"] == "visual"]
    for (arm, name), own in seen.groupby(["arm", "benchmark"], sort=False):
        good, areas = own[own["error"].isna()], [height * width for each in own["sizes"] for height, width in each]
        line = {"benchmark": name, "protocol": arm, "questions": len(own), "clusters": own["cluster"].nunique()}
        line |= {"frames": _range(good["frames"]), "tokens": _range(good["visual_tokens"]), "pixels": _range(areas)}
        line["decoder"] = ", ".join(sorted(good["decoder"].dropna().unique())) or "none: pictures"
        line |= {"failed": int(own["error"].notna().sum()), "empty": int((good["answer"] == "").sum())}
        if "chosen" in good and good["chosen"].notna().any():
            line["no option chosen"] = int((good["chosen"] == "").sum())
            line["right by likeliest letter"] = round(float((good["likeliest"] == good["truth"]).mean()), 3)
        lines.append(line | {"seconds a question": round(float(own["seconds"].mean()), 3)})
    return pd.DataFrame(lines, dtype=object).fillna("")


def protocol_table(chosen: Sequence[Protocol], benchmarks: Sequence[str]) -> pd.DataFrame:
    """Every value of protocols with its source, and how they ask these benchmarks."""
    lines = []
    for one in chosen:
        values = {field: (getattr(one, field), source) for field, source in one.sources.items()}
        values |= {f"prompt of {name}": (one.prompt(name).text, one.prompt(name).source) for name in benchmarks}
        lines += [[one.name, what, *value] for what, value in values.items()]
    return pd.DataFrame(lines, columns=["protocol", "what", "value", "source"])


def cost_table(folder: Path) -> pd.DataFrame:
    """Hours and peak memory of every arm, from the manifest of the run in ``folder``."""
    (manifest,) = folder.glob("seed-*/manifest.json")
    marks = pd.DataFrame.from_dict(read_json(manifest)["arms"], "index")
    gpu = marks.get("gpu", pd.Series({}, marks.index)).map(lambda one: one["peak_memory_mb"], na_action="ignore")
    hours = (marks["seconds"] / 3600).round(4)
    return pd.DataFrame({"hours": hours, "rows": marks["rows"], "memory, MB": marks["peak_memory_mb"], "GPU, MB": gpu})


def _all_turns(name: str, seen: pd.DataFrame) -> str:
    answered = seen[seen["error"].isna()]
    if name != "mmbench" or answered.empty:
        return ""
    question = answered["item"].str.rpartition("/")[2].astype(int) % TURN
    return f"{answered.groupby(question)['score'].min().mean():.3f}"


def _range(values: Sequence[float]) -> str:
    low, high = (int(min(values)), int(max(values))) if len(values) else (0, 0)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
